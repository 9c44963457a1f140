"""Loops that are checked by induction: the same verdicts as when every iteration is walked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from epimc.backends.crossbar.check import induction
from epimc.backends.crossbar.check.bodies import period_of
from epimc.backends.crossbar.check.checker import STREAMS, check
from epimc.backends.crossbar.check.induction import Jump, longest_run
from epimc.backends.crossbar.core.program import Program
from epimc.backends.crossbar.isa.assembly import format_program, parse_program
from epimc.backends.crossbar.target.schema import load_target
from epimc.compiler.compiler import compile_model
from epimc.compiler.memory import InMemory
from epimc.compiler.options import Request
from epimc.support.diagnostics import EpimcError, render
from tests.backends.crossbar.mutations import operand_mutations, stream_mutations
from tests.backends.crossbar.programs import PROGRAMS
from tests.crossbars import program_in
from tests.helpers.onnx_networks import Network

ROWS = 120


def convolution() -> tuple[Network, str]:
    """Rows come in and go out, one after the other."""
    network = Network({"x": (1, ROWS, 3)})
    return network, network.node("Relu", network.conv("x", 1, 2))


def strided() -> tuple[Network, str]:
    """Two rows for one."""
    network = Network({"x": (2, 2 * ROWS, 4)})
    y = network.node("MaxPool", network.conv("x", 2, 2), kernel_shape=[2, 2], strides=[2, 2])
    return network, network.conv(y, 2, 3, strides=[2, 1])


def residual() -> tuple[Network, str]:
    """A map is read twice, at different times."""
    network = Network({"x": (2, ROWS, 2)})
    y = network.node("Relu", network.conv("x", 2, 2))
    z = network.node("Add", y, network.conv(network.conv(y, 2, 2, 5), 2, 2))
    return network, z


def upsampled() -> tuple[Network, str]:
    """One row for two."""
    network = Network({"x": (2, ROWS, 2)})
    scales = network.constant(np.array([1, 1, 2, 1], np.float32))
    y = network.node("Resize", network.conv("x", 2, 2), "", scales, mode="nearest")
    return network, network.conv(y, 2, 2)


NETWORKS: dict[str, Callable[[], tuple[Network, str]]] = {
    "convolution": convolution,
    "strided": strided,
    "residual": residual,
    "upsampled": upsampled,
}


@cache
def program_of(name: str) -> Program:
    """The program of a network."""
    network, output = NETWORKS[name]()
    return program_in(compile_model(Request(None), memory=InMemory(network.model(output))))


def verdict(program: Program, monkeypatch: pytest.MonkeyPatch, *, least: int) -> list[str]:
    """What the checker says of the streams, with jumps of so many iterations and more."""
    monkeypatch.setattr(induction, "WORTHWHILE", least)
    return [render(diagnostic) for diagnostic in check(program, STREAMS)]


@pytest.fixture
def jumps(monkeypatch: pytest.MonkeyPatch) -> list[Jump]:
    """The jumps that are made, as they are made."""
    made: list[Jump] = []
    original = induction.Induction._fill

    def noted(self: induction.Induction, tile: int, jump: Jump) -> None:
        made.append(jump)
        original(self, tile, jump)

    monkeypatch.setattr(induction.Induction, "_fill", noted)
    return made


@pytest.mark.parametrize("name", NETWORKS)
def test_loops_are_jumped(name: str, jumps: list[Jump], monkeypatch: pytest.MonkeyPatch) -> None:
    assert verdict(program_of(name), monkeypatch, least=8) == []
    assert sum(jump.end - jump.start for jump in jumps) > 20


@pytest.mark.parametrize("name", NETWORKS)
def test_what_is_wrong_is_said_alike(
    name: str, jumps: list[Jump], monkeypatch: pytest.MonkeyPatch
) -> None:
    program = program_of(name)
    mutants = [*operand_mutations(program), *stream_mutations(program)]
    random = np.random.default_rng(len(name))
    wrong = jumped = 0
    for number in random.permutation(len(mutants))[:120]:
        change, mutant = mutants[number]
        before = len(jumps)
        quick = verdict(mutant, monkeypatch, least=2)
        jumped += len(jumps) > before
        assert quick == verdict(mutant, monkeypatch, least=2**40), change
        wrong += bool(quick)
    assert wrong > 50
    assert jumped > 5


def test_what_cannot_be_jumped_is_walked_so_far(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows go to another tile and are not used there: no induction, and no end in sight."""
    program = PROGRAMS["split"]()
    first = "loop count=100\nload dst=0, src=0, bytes=24\nsend tile=1, src=0, bytes=24\n"
    second = "loop count=100\nrecv tile=0, dst=0, bytes=24\nrecv tile=0, dst=0, bytes=24\nend\n"
    text = format_program(program.streams)
    text = text.replace(
        ".tile 0\n",
        f".tile 0\n{first}load dst=0, src=72, bytes=24\nsend tile=1, src=0, bytes=24\nend\n",
    ).replace(".tile 1\n", f".tile 1\n{second}")
    idle = replace(program, streams=parse_program(text, "p.asm"))
    assert check(idle) == []
    monkeypatch.setattr("epimc.backends.crossbar.check.abstract.MAXIMUM_WALKED", 500)
    with pytest.raises(EpimcError) as caught:
        check(idle)
    assert str(caught.value) == (
        "error: More than 500 instructions must be checked one by one.\n"
        "  --> tile 0, instruction 5 in iteration 62: end\n"
        "  hint: Loops are walked whose rows go to other tiles, or to ever other places."
    )


def test_a_loop_that_does_nothing_new_is_jumped(jumps: list[Jump]) -> None:
    program = PROGRAMS["conv"]()
    loads = "load dst=0, src=0, bytes=24\nload dst=0, src=72, bytes=24"
    idle = f".tile 0\nloop count=500000\n{loads}\nend\n"
    text = format_program(program.streams).replace(".tile 0\n", idle)
    assert check(replace(program, streams=parse_program(text, "p.asm"))) == []
    (jump,) = jumps
    assert (jump.start, jump.end) == (3, 499999)


def test_periods_and_runs() -> None:
    assert period_of(np.array([3, 1, 4, 3, 1, 4])) == 3
    assert period_of(np.array([3, 1, 4])) == 3
    assert period_of(np.array([7, 7, 7])) == 1
    assert longest_run(np.array([True, False, True, True, True, False, True])) == (2, 5)
    assert longest_run(np.array([False, False])) == (0, 0)


def spilled(folder: Path) -> Program:
    """A tile whose buffer is too small: it stores rows of a map, and loads them again."""
    network = Network({"x": (2, 400, 4)})
    y = z = network.node("Relu", network.conv("x", 2, 2))
    for _ in range(4):
        z = network.conv(z, 2, 2, 5)
    model = network.model(network.node("Add", y, z))
    target = load_target("epim-256")
    small = target.model_copy(update={"tile": target.tile.model_copy(update={"buffer_bytes": 280})})
    file = folder / "small.toml"
    file.write_text(small.to_toml())
    request = Request(None, target=str(file))
    return program_in(compile_model(request, memory=InMemory(model)))


def test_rows_that_a_loop_stores_and_loads_again(
    tmp_path: Path, jumps: list[Jump], monkeypatch: pytest.MonkeyPatch
) -> None:
    program = spilled(tmp_path)
    assert sum(feature.address >= 0 for feature in program.maps) == 3
    assert verdict(program, monkeypatch, least=256) == []
    assert jumps
    mutants = [mutant for _, mutant in operand_mutations(program)]
    random = np.random.default_rng(1)
    before = len(jumps)
    for number in random.permutation(len(mutants))[:40]:
        quick = verdict(mutants[number], monkeypatch, least=2)
        assert quick == verdict(mutants[number], monkeypatch, least=2**40)
    assert len(jumps) > before
