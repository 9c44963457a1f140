"""Functions that jump, as Round does: what they make of a number hangs on its last bits.

A table does well with the activations that it gets; but numbers that come as floats have lost
their last bits before it, and what lay beside a jump may lie behind it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from epimc.frontend.core.emitter import Emitter
from epimc.frontend.core.node import UnsupportedError
from epimc.ir.core.op import Value
from epimc.ir.core.traits import FromHost, Moves

Evaluate: TypeAlias = Callable[[NDArray[Any]], NDArray[Any]]
"""A function of each number of a vector."""

# How many intervals are looked at, between numbers of this magnitude, and how often each is halved.
INTERVALS, LARGEST, HALVINGS = 2**13, 1e3, 12

# What a function does within the last of the halves is a jump from this part of its value on.
# Beyond all bounds it has a pole, which is steep on the way.
LEAST_JUMP, POLE = 0.02, 1e3


def has_jumps(evaluate: Evaluate) -> bool:
    """Whether a function jumps somewhere, as far as a search in many places can tell."""
    ends = np.arcsinh(LARGEST)
    # Not 0 itself, nor any other round number.
    grid = np.sinh(np.linspace(-ends, ends, INTERVALS + 1) + 0.0017)
    low, high = grid[:-1], grid[1:]
    with np.errstate(all="ignore"):
        below, above = evaluate(low), evaluate(high)
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            at = evaluate(middle)
            # The half in which more happens; outside of the domain nothing does.
            left = np.nan_to_num(np.abs(at - below)) > np.nan_to_num(np.abs(above - at))
            low, below = np.where(left, low, middle), np.where(left, below, at)
            high, above = np.where(left, middle, high), np.where(left, at, above)
        values = np.maximum(np.abs(below), np.abs(above))
        steep = np.abs(above - below) > LEAST_JUMP * (1 + values)
        return bool(np.any(steep & (values < POLE)))


def refuse_jumps_of_floats(node: Emitter, x: Value, jumps: Callable[[], bool]) -> None:
    """Leave a function to the host where it jumps and the host has its operand as floats.

    Args:
        node: The node.
        x: Its operand.
        jumps: Whether it jumps.

    Raises:
        UnsupportedError: So it is.
    """
    if comes_as_floats(node, x) and jumps():
        raise UnsupportedError("it jumps, and its input comes as floats, which a table rounds")


def comes_as_floats(node: Emitter, value: Value) -> bool:
    """Whether nothing but moves lies between a value and the outside of the chip."""
    makers = node.draft.module.producers()
    maker = makers.get(value)
    while isinstance(maker, Moves) and len(maker.operands) == 1:
        value = maker.operands[0]
        maker = makers.get(value)
    return maker is None or isinstance(maker, FromHost)
