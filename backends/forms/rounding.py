"""Requantization, the one rounding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from epimc.backends.forms.claims import (
    Claim,
    Constant,
    Node,
    Tensor,
    Term,
    cast_of,
    channelwise,
    constant,
)
from epimc.backends.forms.sums import centred, centred_tensor
from epimc.ir.semantics import arrays


@dataclass(frozen=True, eq=False)
class Rescaling:
    """The numbers of a requantization, as of requantize.

    Attributes:
        multipliers: int64 [terms, C].
        shifts: int64 [C].
        offsets: int64 [C].
        bits: Of the result.
        zero_point: Of the result.
        low: Smallest result.
        high: Largest result.
    """

    multipliers: arrays.Ints
    shifts: arrays.Ints
    offsets: arrays.Ints
    bits: int
    zero_point: int
    low: int
    high: int


def requantization(value: str, terms: Sequence[Term], to: Rescaling) -> Iterator[Claim]:
    """Int64 multiply-add, floor division (a - Mod(a, d)) / d, bounds."""
    total: Tensor | None = None
    for k, term in enumerate(terms):
        yield from centred(value, k, term)
        factor, scaled = Tensor(value, "multipliers", k), Tensor(value, "term", k)
        yield Constant(factor, channelwise(to.multipliers[k]))
        yield Node(scaled, "Mul", (centred_tensor(value, k, term), factor))
        if total is not None:
            yield Node(Tensor(value, "sum", k), "Add", (total, scaled))
        total = scaled if total is None else Tensor(value, "sum", k)
    assert total is not None
    if to.offsets.any():
        offsets = Tensor(value, "offsets")
        yield Constant(offsets, channelwise(to.offsets))
        yield Node(Tensor(value, "moved"), "Add", (total, offsets))
        total = Tensor(value, "moved")
    yield from divided(value, total, to.shifts)
    yield from bounded(value, Tensor(value, "steps"), to)


def divided(value: str, total: Tensor, shifts: arrays.Ints) -> Iterator[Claim]:
    """A sum by 2^shifts, half up: the steps."""
    half, divisor = Tensor(value, "half"), Tensor(value, "divisor")
    rounded, rest, even, steps = (
        Tensor(value, role) for role in ("rounded", "rest", "even", "steps")
    )
    yield Constant(half, channelwise(np.left_shift(np.int64(1), shifts - 1)))
    yield Constant(divisor, channelwise(np.left_shift(np.int64(1), shifts)))
    yield Node(rounded, "Add", (total, half))
    # Div truncates toward zero; less its floored rest, a number divides evenly.
    yield Node(rest, "Mod", (rounded, divisor))
    yield Node(even, "Sub", (rounded, rest))
    yield Node(steps, "Div", (even, divisor))


def bounded(value: str, steps: Tensor, to: Rescaling) -> Iterator[Claim]:
    """The steps from the zero point on, between the bounds.

    Comparisons are exact; Clip, Min and Max take a value from 2^31 to 2^32 - 1 for a negative one.
    """
    added, shifted = Tensor(value, "added"), Tensor(value, "shifted")
    yield constant(added, to.zero_point)
    yield Node(shifted, "Add", (steps, added))
    for role, comparison, number in (("low", "Less", to.low), ("high", "Greater", to.high)):
        bound, beyond = Tensor(value, role), Tensor(value, f"{role}_beyond")
        clipped = Tensor(value, f"{role}_clipped")
        yield constant(bound, number)
        yield Node(beyond, comparison, (shifted, bound))
        yield Node(clipped, "Where", (beyond, bound, shifted))
        shifted = clipped
    yield Node(Tensor(value), "Cast", (shifted,), cast_of(to.bits))
