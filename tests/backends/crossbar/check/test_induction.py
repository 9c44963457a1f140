"""Loops that are checked by induction: the same verdicts as when every iteration is walked."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest

from epimc.backends.crossbar.check import induction
from epimc.backends.crossbar.check.checker import STREAMS, check
from epimc.backends.crossbar.check.induction import Jump
from epimc.backends.crossbar.core.program import Program
from epimc.compiler.compiler import compile_model
from epimc.compiler.memory import InMemory
from epimc.compiler.options import Request
from epimc.support.diagnostics import render
from tests.backends.crossbar.mutations import operand_mutations, stream_mutations
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
    for number in random.permutation(len(mutants))[:250]:
        change, mutant = mutants[number]
        before = len(jumps)
        quick = verdict(mutant, monkeypatch, least=2)
        jumped += len(jumps) > before
        assert quick == verdict(mutant, monkeypatch, least=2**40), change
        wrong += bool(quick)
    assert wrong > 100
    assert jumped > 10
