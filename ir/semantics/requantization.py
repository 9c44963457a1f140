"""Requantization: the only rounding on the chip."""

from __future__ import annotations

import math

import numpy as np

from epimc.ir.semantics.arrays import Ints

MULTIPLIER_BITS = 31
MINIMUM_MULTIPLIER_BITS = 16
MAXIMUM_SHIFT = 62


def requantize(
    terms: list[Ints],
    multipliers: Ints,
    shifts: Ints,
    zero_point: int,
    low: int,
    high: int,
    offsets: Ints | None = None,
) -> Ints:
    """clamp(zero_point + floor((sum_i term_i*multiplier_i + offset + 2^(s-1)) / 2^s), low, high).

    Args:
        terms: int64 accumulators, or activations less their zero point, each [batch, C, H, W].
        multipliers: [len(terms), C], signed, magnitudes of at most 31 bits.
        shifts: [C], each in [1, 62].
        zero_point: Of the result.
        low: Smallest result (the zero point after a fused relu).
        high: Largest result.
        offsets: int64 [C], added before the shift; None for 0.
    """
    shape = (1, -1) + (1,) * (terms[0].ndim - 2)
    # In place, since a simulation spends much of its time here.
    y: Ints = terms[0] * multipliers[0].reshape(shape)
    for term, factors in zip(terms[1:], multipliers[1:], strict=True):
        y += term * factors.reshape(shape)
    if offsets is not None:
        y += offsets.reshape(shape)
    y += np.left_shift(np.int64(1), shifts - 1).reshape(shape)
    y >>= shifts.reshape(shape)
    y += zero_point
    np.clip(y, low, high, out=y)
    return y


class PrecisionError(ValueError):
    """The multipliers of a requantization would have fewer than 16 bits."""


def requantization(
    scales: list[float], bounds: list[int], offset: float = 0.0
) -> tuple[list[int], int, int]:
    """Multipliers, shift and offset for one output channel of a requantization.

    Args:
        scales: Real factor of each term (its scale over the result's), of either sign; 0 leaves
            the term out.
        bounds: Largest magnitude of each term.
        offset: Real number of steps of the result to add.

    Returns:
        One multiplier for each term, their common shift s and the offset in units of 2^-s: the
        widest for which every multiplier has at most 31 bits and
        sum_i bounds[i]*|M_i| + |offset| + 2^(s-1) < 2^63.

    Raises:
        PrecisionError: Fewer than 16 bits are left for the largest multiplier.
    """
    if not all(map(math.isfinite, (*scales, offset))):
        raise PrecisionError("the factor of a requantization is not a finite number")
    largest = max(map(abs, scales))
    smallest = 2 ** (MINIMUM_MULTIPLIER_BITS - 1) if largest else 0
    # No larger shift keeps the largest multiplier within its bits.
    first = min(MAXIMUM_SHIFT, MULTIPLIER_BITS + 1 - math.frexp(largest)[1])
    for shift in range(first, 0, -1):
        multipliers = [multiplier(scale, shift) for scale in scales]
        added = round(math.ldexp(offset, shift))
        widest = max(map(abs, multipliers))
        # Smaller shifts only make the multipliers smaller.
        if widest < smallest:
            break
        total = sum(b * abs(m) for b, m in zip(bounds, multipliers, strict=True)) + abs(added)
        if widest < 2**MULTIPLIER_BITS and total + 2 ** (shift - 1) < 2**63:
            return multipliers, shift, added
    raise PrecisionError("fewer than 16 bits are left for the requantization's multiplier")


def multiplier(scale: float, shift: int) -> int:
    """scale * 2^shift, rounded; the least of its sign where the shift leaves nothing of it."""
    least = (scale > 0) - (scale < 0)
    return round(math.ldexp(scale, shift)) or least
