"""Requantization of whole maps, and of the sums of a tile while they are hot."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from epimc.backends.crossbar.compiled import vectors
from epimc.backends.crossbar.compiled.jit import compiled, inlined
from epimc.ir.semantics.arrays import Array, Ints

sixteen, eight, one = (vectors.rescaling(lanes) for lanes in (16, 8, 1))
pointers, keep = vectors.pointers(), vectors.keeping()


# Channels of a vector of a kernel.
VECTOR = 16

Numbers = tuple[Array, Ints, Ints, Ints]


@inlined
def rescaled(
    sums: Any, at: int, count: int, terms: Any, place: int, numbers: Any, channel: int, out: Any
) -> None:
    """Some channels of one position (`vectors.rescaling`)."""
    done = 0
    while done < count:
        if count - done >= 16:
            sixteen(sums, at + done, terms, place + done, numbers, channel + done, out)
            done += 16
        elif count - done >= 8:
            eight(sums, at + done, terms, place + done, numbers, channel + done, out)
            done += 8
        else:
            one(sums, at + done, terms, place + done, numbers, channel + done, out)
            done += 1


@compiled
def rescale(first: Any, others: Any, numbers: Any, period: int, out: Array) -> None:
    """Requantize flat maps; the numbers come again every `period` elements."""
    sums, terms, scales, result = pointers((first, others, numbers, out))
    for at in range(0, len(out), period):
        count = min(period, len(out) - at)
        rescaled(sums, at, count, terms, at, scales, 0, result)
    keep((first, others, numbers, out))


class Rescaling:
    """A requantization: multipliers, shifts, offsets and limits by channel.

    Attributes:
        place: Which of the sources is the convolution's, where one is fused with it.
        numbers: For kernels: multipliers, int32 [terms, C] flattened, with the convolution's first;
            bases [C], that is offsets, roundings and what zero points take off; shifts [C]; the
            limits before the zero point is added, the zero point, and C.
    """

    def __init__(
        self,
        multipliers: Ints,
        shifts: Ints,
        offsets: Ints,
        zero_points: Sequence[int],
        zero_point: int,
        low: int,
        high: int,
        dtype: np.dtype[Any],
        place: int = 0,
    ) -> None:
        """Lay the numbers out for kernels.

        Args:
            multipliers: [terms, C].
            shifts: [C], each in [1, 62].
            offsets: [C].
            zero_points: Of the terms; 0 for accumulators.
            zero_point: Of the result.
            low: Smallest result.
            high: Largest result.
            dtype: Of the result, unsigned, of 8 or 16 bits.
            place: Which term a convolution delivers.
        """
        self.place, self.dtype = place, np.dtype(dtype)
        order = [place, *(term for term in range(len(multipliers)) if term != place)]
        factors = np.asarray(multipliers, np.int64)[order]
        shifts = np.asarray(shifts, np.int64)
        # Sums of 64 bits may wrap on the way: what comes out at the end fits.
        taken = (factors * np.asarray(zero_points, np.int64)[order, None]).sum(axis=0)
        bases = offsets + np.left_shift(np.int64(1), shifts - 1) - taken
        limits = (low - zero_point, high - zero_point, zero_point)
        self.numbers = numbers_of(factors, bases, shifts, limits)
        # Whole maps go in vectors whatever the number of channels: so often they are repeated.
        channels = len(shifts)
        times = VECTOR // math.gcd(channels, VECTOR)
        self.period = channels * times
        self.order = order
        tiled = [np.tile(array, times) for array in (factors, bases, shifts)]
        self.repeated = numbers_of(tiled[0], tiled[1], tiled[2], limits)

    def __call__(self, terms: Sequence[Array], out: Array) -> None:
        """Requantize terms, NHWC as `out`, in their order; exactly as `requantize` defines it."""
        flat = [terms[number].reshape(-1) for number in self.order]
        rescale(flat[0], tuple(flat[1:]), self.repeated, self.period, out.reshape(-1))

    def numbers_for(self, constant: Ints) -> Numbers:
        """The numbers where the convolution's sums lack a constant [C], which joins the bases."""
        factors, bases, shifts, limits = self.numbers
        # It wraps where the multiplier does: what comes out fits.
        more: Ints = factors[: len(bases)].astype(np.int64) * constant
        return factors, bases + more, shifts, limits


def numbers_of(factors: Ints, bases: Ints, shifts: Ints, limits: tuple[int, int, int]) -> Numbers:
    """The numbers of channels as kernels read them (`Rescaling`)."""
    end = np.array([*limits, len(bases)], np.int64)
    return factors.astype(np.int32).ravel(), bases, shifts, end


def plain(constant: Ints) -> Numbers:
    """The numbers of no requantization, where a constant [C] is added to the sums."""
    none = np.empty(0, np.int64)
    return np.empty(0, np.int32), constant, none, none
