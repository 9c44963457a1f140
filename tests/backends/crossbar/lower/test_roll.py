"""Rolling: exact for every stream, small for regular ones, and harmless for real programs."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings

from epimc.backends.crossbar.check.checker import check
from epimc.backends.crossbar.core.program import Program
from epimc.backends.crossbar.isa.assembly import format_program, parse_program
from epimc.backends.crossbar.isa.binary import decode, encode
from epimc.backends.crossbar.isa.loops import executed_count, expand, loop_problem, region_problem
from epimc.backends.crossbar.lower.roll import roll
from epimc.backends.crossbar.sim.counters import Counters
from epimc.backends.crossbar.sim.simulator import Simulator
from epimc.backends.crossbar.summary import program_summary
from epimc.compiler.compiler import compile_model
from epimc.compiler.options import Request
from tests.backends.crossbar.mutations import operand_mutations, stream_mutations
from tests.backends.crossbar.programs import PROGRAMS, sum_and_mean
from tests.backends.crossbar.streams import Stream, rolled_streams
from tests.crossbars import program_in

EXAMPLES = Path(__file__).parents[4] / "examples"
COMPILED = [
    ("mnist-conv", "epim-256"),
    ("mnist-conv", "tiny"),
    ("fashion-resnet8", "epim-256"),
    ("fashion-resnet8", "tiny"),
]


@cache
def compiled(model: str, target: str) -> Program:
    """The program of an example."""
    return program_in(compile_model(Request(EXAMPLES / f"{model}.onnx", target=target)))


@settings(max_examples=60, deadline=None)
@given(rolled_streams())
def test_expanding_undoes_rolling(stream: Stream) -> None:
    assert loop_problem(stream) is None
    (plain,) = expand((stream,))
    assert len(plain) == executed_count(stream)
    (rolled,) = roll((plain,))
    assert expand((rolled,)) == (plain,)
    assert loop_problem(rolled) is None
    assert region_problem(rolled) is None
    assert len(rolled) <= len(plain)
    assert roll((stream,)) == roll((rolled,)) == (rolled,)


@settings(max_examples=60, deadline=None)
@given(rolled_streams())
def test_text_and_binary_hold_the_same(stream: Stream) -> None:
    for streams in ((stream,), roll((stream,))):
        text = format_program(streams)
        assert parse_program(text, "p.asm") == streams
        assert decode(encode(streams)) == streams
        assert format_program(decode(encode(streams))) == text


def rolled_text(*lines: str) -> list[str]:
    """The lines of one tile's stream, rolled."""
    text = "\n".join([".epimc 1", ".tile 0", *lines]) + "\n"
    return format_program(roll(parse_program(text, "p.asm"))).splitlines()[2:]


def test_rows_go_round_their_ring() -> None:
    lines = []
    for row in range(10):
        lines.append(f"load dst={64 + row % 3 * 32}, src={row * 32}, bytes=28")
        lines.append(f"mvm table=0, rows={row}:{row + 1}, dst=0:1, src=[64:3]")
    assert rolled_text(*lines, "halt") == [
        "    loop count=10",
        "        load dst=0x40+32%0x40:96, src=0x0+32, bytes=28",
        "        mvm table=0, rows=0:1+1, dst=0x0:1, src=[0x40:3]",
        "    end",
        "    halt",
    ]


def test_loops_in_loops() -> None:
    lines = []
    for row in range(6):
        lines += [f"load dst=0, src={(4 * row + k) * 8}, bytes=8" for k in range(4)]
        lines += [f"mvm table=0, rows={row}:{row + 1}, dst=8:1, src=[0:1]"]
        lines += [f"wait sem=1, count={row + 1}"]
    assert rolled_text(*lines, "halt") == [
        "    loop count=6",
        "        loop count=4",
        "            load dst=0x0, src=0x0+8+32, bytes=8",
        "        end",
        "        mvm table=0, rows=0:1+1, dst=0x8:1, src=[0x0:1]",
        "        wait sem=1, count=1+1",
        "    end",
        "    halt",
    ]


def test_what_does_not_advance_evenly_stays() -> None:
    lines = [f"    load dst=0x0, src={hex(8 * row * row)}, bytes=8" for row in range(5)]
    assert rolled_text(*lines, "halt") == [*lines, "    halt"]


def test_numbers_too_large_for_a_stride_stay() -> None:
    lines = [f"    signal sem={row}" for row in range(6)]
    lines += [f"    load dst={hex(2**32 - 8 * row - 8)}, src=0x0, bytes=8" for row in range(6)]
    assert rolled_text(*lines, "halt") == [*lines, "    halt"]


def test_a_long_stream_takes_seconds() -> None:
    """10,000 instructions, none of which repeats evenly."""
    random = np.random.default_rng(0)
    lines = [f"load dst=0, src={8 * n}, bytes=8" for n in random.integers(0, 10**6, 10000)]
    assert len(rolled_text(*lines)) <= 10000


@pytest.mark.parametrize(("model", "target"), COMPILED)
def test_compiled_programs(model: str, target: str) -> None:
    program = compiled(model, target)
    plain = replace(program, streams=expand(program.streams))
    assert roll(plain.streams) == program.streams
    total = sum(map(len, program.streams))
    assert total < sum(map(len, plain.streams))
    assert check(plain) == check(program) == []
    text, binary = format_program(program.streams), encode(program.streams)
    assert parse_program(text, "p.asm") == decode(binary) == program.streams
    (port,) = program.inputs
    x = np.random.default_rng(0).random((3, *(port.shape or ())), np.float32)
    results = []
    for version in (program, plain):
        counters = Counters(version)
        outputs = Simulator(version, host=sum_and_mean).run({port.name: x}, [counters])
        results.append(([outputs[o.name].tobytes() for o in version.outputs], counters.layers()))
    assert results[0] == results[1]


def test_a_residual_network_shrinks() -> None:
    program = compiled("fashion-resnet8", "epim-256")
    streams, summary = program.streams, program_summary(program)
    assert summary.stored_instructions == sum(map(len, streams))
    assert sum(summary.instructions.values()) == sum(map(len, expand(streams)))
    assert sum(map(len, streams)) <= 0.4 * sum(map(len, expand(streams)))


@pytest.mark.parametrize("name", PROGRAMS)
def test_rolled_programs_are_good_and_compute_the_same(name: str) -> None:
    program = PROGRAMS[name]()
    rolled = replace(program, streams=roll(program.streams))
    assert check(rolled) == []
    inputs = {p.name: np.ones((2, *(p.shape or ())), np.float32) for p in program.inputs}
    _, expected = Simulator(program, host=sum_and_mean).run_collect(inputs)
    _, actual = Simulator(rolled, host=sum_and_mean).run_collect(inputs)
    assert actual.keys() == expected.keys()
    assert all(np.array_equal(actual[key], expected[key]) for key in expected)


@pytest.mark.parametrize("name", ["conv", "split", "spill"])
def test_every_mutation_of_a_rolled_program_is_refused(name: str) -> None:
    """Unless it means the same: a region in which nothing wraps may have any size."""
    program = PROGRAMS[name]()
    rolled = replace(program, streams=roll(program.streams))
    assert rolled.streams != program.streams
    survivors = [
        what
        for mutations in (operand_mutations, stream_mutations)
        for what, changed in mutations(rolled)
        if not check(changed) and expand(changed.streams) != program.streams
    ]
    assert survivors == []
