"""Loops: what is executed, and what is wrong."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from epimc.backends.crossbar.check.checker import check
from epimc.backends.crossbar.core.limits import MAXIMUM_EXECUTED
from epimc.backends.crossbar.core.program import Advance, Program
from epimc.backends.crossbar.instructions.registry import format_instruction
from epimc.backends.crossbar.isa.assembly import format_program, parse_program
from epimc.backends.crossbar.isa.loops import (
    executed,
    executed_count,
    loop_problem,
    lowest,
    value_of,
    walk,
)
from epimc.backends.crossbar.lower.roll import roll
from epimc.backends.crossbar.sim.simulator import Simulator
from epimc.support.diagnostics import EpimcError, render
from tests.backends.crossbar.programs import PROGRAMS
from tests.backends.crossbar.streams import Stream

pytestmark = pytest.mark.smoke

NESTED = """\
loop count=2
  signal sem=0
  loop count=3
    wait sem=0, count=10+1+5
    load dst=96+32+64%64:96, src=0+8, bytes=32
  end
end
halt
"""


def stream(text: str) -> Stream:
    """One tile's stream."""
    return parse_program(f".epimc 1\n.tile 0\n{text}", "p.asm")[0]


def rolled(name: str, *changes: tuple[str, str]) -> Program:
    """A program, rolled, with parts of its text replaced, each once."""
    program = PROGRAMS[name]()
    text = format_program(roll(program.streams))
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    return replace(program, streams=parse_program(text, "p.asm"))


def test_order_of_execution() -> None:
    texts = [format_instruction(instruction) for instruction in executed(stream(NESTED))]
    # Addresses from 0x40 on, 96 bytes: 64 + (32 + 32 * inner + 64 * outer) % 96.
    assert texts == [
        "signal sem=0",
        "wait sem=0, count=10", "load dst=0x60, src=0x0, bytes=32",
        "wait sem=0, count=11", "load dst=0x80, src=0x8, bytes=32",
        "wait sem=0, count=12", "load dst=0x40, src=0x10, bytes=32",
        "signal sem=0",
        "wait sem=0, count=15", "load dst=0x40, src=0x0, bytes=32",
        "wait sem=0, count=16", "load dst=0x60, src=0x8, bytes=32",
        "wait sem=0, count=17", "load dst=0x80, src=0x10, bytes=32",
        "halt",
    ]  # fmt: skip
    assert executed_count(stream(NESTED)) == len(texts)


def test_places() -> None:
    places = [cursor.place for cursor in walk(stream(NESTED))]
    assert places[0] == "instruction 1 in iteration 0"
    assert places[-2:] == ["instruction 4 in iteration 1.2", "instruction 7"]


def test_nothing_is_written_out() -> None:
    """A loop of four billion iterations begins at once."""
    cursors = walk(stream("loop count=4294967295\nsignal sem=0\nend\nhalt"))
    assert [next(cursors).place for _ in range(2)][-1] == "instruction 1 in iteration 1"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (NESTED, None),
        ("signal sem=0\nend\nhalt", (1, "An 'end' without a 'loop'.")),
        ("loop count=2\nsignal sem=0\nhalt", (0, "A 'loop' without an 'end'.")),
        ("loop count=2\nend\nhalt", (1, "A loop without instructions.")),
        ("loop count=0\nsignal sem=0\nend\nhalt", (0, "A loop of 0 iterations.")),
        (
            "loop count=1\n" * 5 + "halt\n" + "end\n" * 5,
            (4, "More than 4 loops enclose each other."),
        ),
        (
            "loop count=2\nload dst=0+8+8, src=0, bytes=8\nend\nhalt",
            (1, "Operand 'dst' has more strides (2) than loops around it (1)."),
        ),
        (
            "load dst=0, src=0+8, bytes=8\nhalt",
            (0, "Operand 'src' has more strides (1) than loops around it (0)."),
        ),
    ],
)
def test_what_is_wrong_with_loops(text: str, problem: tuple[int, str] | None) -> None:
    assert loop_problem(stream(text)) == problem


@pytest.mark.parametrize(
    ("texts", "count"),
    [
        (["loop count=4294967295\n" * 4 + "halt\n" + "end\n" * 4], 4294967295**4),
        # All streams together: each alone is below the limit.
        (["loop count=600000\nsignal sem=0\nend\nhalt"] * 2, 1200002),
        # Loops that are not paired are counted too: nobody walks them.
        (["loop count=4294967295\nend\nend\nloop count=2000000\nsignal sem=0\nhalt"], 4000000),
    ],
)
def test_what_executes_too_much_is_refused(texts: list[str], count: int) -> None:
    program = PROGRAMS["conv"]()
    with pytest.raises(EpimcError) as caught:
        check(replace(program, streams=tuple(stream(text) for text in texts)))
    assert str(caught.value) == (
        f"error: The program executes {count} instructions; the limit is {MAXIMUM_EXECUTED}.\n"
        "  hint: Its loops repeat too often, or its maps have too many rows."
    )
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            ("loop count=4", "loop count=6"),
            "error: Rows 5:6 are no rows of 'acc', which has 5.\n"
            "  --> tile 0, instruction 3 in iteration 5: "
            "mvm table=0, rows=5:6, dst=0x48:1, src=[0x0:3]",
        ),
        (
            ("loop count=4", "loop count=0"),
            "error: A loop of 0 iterations.\n  --> tile 0, instruction 1: loop count=0",
        ),
        (
            ("src=0x18+24", "src=0x18+32"),
            "error: No row of a map begins at off-chip address 0x38.\n"
            "  --> tile 0, instruction 2 in iteration 1: load dst=0x30, src=0x38, bytes=24",
        ),
        (
            ("    end\n", ""),
            "error: A 'loop' without an 'end'.\n  --> tile 0, instruction 1: loop count=4",
        ),
        (
            ("src=0x18+24", "src=0x18-25"),
            "error: Malformed instruction 'load'.\n  --> tile 0, instruction 2 in iteration 1",
        ),
    ],
)
def test_the_checker_says_where(change: tuple[str, str], message: str) -> None:
    text = format_program(rolled("conv").streams)
    assert render(check(rolled("conv", change))[0]) == message, text


def test_a_deadlock_in_a_loop_is_reported() -> None:
    stuck = rolled("spill", ("count=1+2", "count=3+2"))
    inputs = {p.name: np.zeros((1, *(p.shape or ())), np.float32) for p in stuck.inputs}
    with pytest.raises(EpimcError) as caught:
        Simulator(stuck, engine="bytes").run(inputs)
    assert str(caught.value) == (
        "error: The program is deadlocked.\n"
        "  note: tile 1, instruction 1 in iteration 1: wait sem=0, count=5 waits."
    )


@pytest.mark.parametrize("piece", [1, 3, 2**20])
def test_the_lowest_address_is_that_of_all_iterations(
    piece: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("epimc.backends.crossbar.isa.loops._PIECE", piece)
    random = np.random.default_rng(piece)
    for _ in range(200):
        low, size, depth = int(random.integers(9)), int(random.integers(1, 60)), random.integers(4)
        first, *strides = (int(n) for n in random.integers(size, size=depth + 2))
        counts = [int(n) for n in random.integers(1, 6, size=4)]
        operand = Advance(low + first, tuple(strides), (low, size))
        iterations = product(*(range(count) for count in reversed(counts)))
        every = [value_of(operand, list(numbers)) for numbers in iterations]
        assert lowest(operand, counts) == min(n for n in every if isinstance(n, int))


def test_the_lowest_address_of_many_iterations_takes_little_memory() -> None:
    # The iterations of both loops together would be 2 GiB of addresses.
    assert lowest(Advance(5, (1048583, 7), (0, 2**32 - 5)), [4095, 65536]) == 5
