"""The work of compiling grows as the network does: lines executed, not seconds."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import Any

import pytest

from epimc.backends.crossbar.check.checker import check
from epimc.backends.crossbar.lower.emit import emit
from epimc.ir.core.module import Module
from tests.helpers.modules import Net, lower, quantized


def tall(size: int) -> Module:
    """Two convolutions along a signal."""
    net = Net(0)
    x = net.conv(net.input(1, size, 1), 2, (3, 1), pads=(1, 0, 1, 0))
    return net.module(net.conv(x, 1, (3, 1), pads=(1, 0, 1, 0)))


def deep(size: int) -> Module:
    """Convolutions one after the other."""
    net = Net(0)
    x = net.input(1, 2, 2)
    for _ in range(size):
        x = net.relu(net.conv(x, 1, (1, 1)))
    return net.module(x)


def joined(size: int) -> Module:
    """Branches that a sum joins in the end: all are alive together."""
    net = Net(0)
    x = net.input(1, 2, 2)
    total = net.conv(x, 1, (1, 1))
    for _ in range(size):
        total = net.add(total, net.conv(x, 1, (1, 1)))
    return net.module(total)


def lines_executed(action: Callable[[], Any]) -> int:
    """How many lines of Python an action executes; each turn of a loop counts anew."""
    count = 0

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        action()
    finally:
        sys.settrace(before)
    return count


STAGES: dict[str, Callable[[Any], Any]] = {
    **{name: partial(lower, pipeline=name) for name in ("map", "place", "schedule", "allocate")},
    "emit": emit,
    "check": check,
}


def lines_of_stages(module: Module) -> dict[str, int]:
    """The lines that each stage executes, from the quantized module to the checked program."""
    made: Any = quantized(module)
    lines = {}
    for name, stage in STAGES.items():
        results: list[Any] = []
        lines[name] = lines_executed(lambda: results.append(stage(made)))  # noqa: B023
        (made,) = results
    return lines


# With one layer more, a multiple of the crossbars of a tile: what is added fills tiles of its own.
SIZES = (95, 191, 287)


@pytest.mark.parametrize("build", [tall, deep, joined])
def test_what_is_added_costs_the_same_in_a_large_network(build: Callable[[int], Module]) -> None:
    # What runs but once, as a cache that is filled, does not count.
    lines_of_stages(build(4))
    small, medium, large = (lines_of_stages(build(size)) for size in SIZES)
    first = {stage: medium[stage] - small[stage] for stage in STAGES}
    second = {stage: large[stage] - medium[stage] for stage in STAGES}
    assert sum(first.values()) > 10_000
    assert not {stage: second[stage] for stage in STAGES if second[stage] > 1.02 * first[stage]}
