"""What a value's elements are over all samples, in bounded memory: a histogram that grows coarser.

Bins are powers of two wide, from a multiple of their width on, and there are as many on each side
of 0.  An element too large for them makes them twice as wide: two bins become one, without a
remainder.  So the counts depend neither on the order of samples nor on how many come at once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from epimc.ir.core.op import Array

# Bins on each side of 0.
LOG_SIDE = 12
SIDE = 2**LOG_SIDE

# Narrower bins would overflow float32 where elements are divided by their width.
LEAST_EXPONENT = -100

# Elements that are counted at once: what is made of them stays in a cache.
PIECE = 2**15

Counts = NDArray[np.int64]


@dataclass
class Extremes:
    """The smallest and the largest element so far.

    Attributes:
        low: The smallest; infinity before the first.
        high: The largest.
    """

    low: float = math.inf
    high: float = -math.inf

    def add(self, array: Array) -> None:
        """Take elements, of which there is at least one; NaN stays NaN."""
        self.low = lesser(self.low, float(array.min()))
        self.high = -lesser(-self.high, -float(array.max()))

    @property
    def is_finite(self) -> bool:
        """Whether no element was NaN or infinite."""
        return math.isfinite(self.low) and math.isfinite(self.high)


def lesser(a: float, b: float) -> float:
    """The lesser number; NaN where one of them is none."""
    return a if math.isnan(a) or a < b else b


@dataclass
class Histogram(Extremes):
    """The elements so far, counted in bins.

    Attributes:
        exponent: Bin k has the elements in [k - SIDE, k - SIDE + 1) * 2^exponent.
        counts: int64 [2 * SIDE].
    """

    exponent: int = LEAST_EXPONENT
    counts: Counts = field(default_factory=lambda: np.zeros(2 * SIDE, np.int64))

    @property
    def width(self) -> float:
        """Of a bin."""
        return math.ldexp(1.0, self.exponent)

    @property
    def centres(self) -> NDArray[np.float64]:
        """The middle of each bin."""
        return (np.arange(-SIDE, SIDE) + 0.5) * self.width

    def add(self, array: Array) -> None:
        """Take elements; of those that are not finite the extremes alone."""
        super().add(array)
        if not self.is_finite:
            return
        largest = max(-self.low, self.high)
        # Zeros alone say nothing of a width.
        if largest > 0.0:
            self.grow(math.frexp(largest)[1] - LOG_SIDE)
        flat = np.ascontiguousarray(array).reshape(-1)
        for first in range(0, flat.size, PIECE):
            self.counts += counted(flat[first : first + PIECE], self.exponent)

    def grow(self, exponent: int) -> None:
        """Make bins this wide, if they are not."""
        while self.exponent < exponent:
            # What is only zeros lies in one bin, however wide.
            steps = exponent - self.exponent if self.is_empty_beyond_zero else 1
            if steps == 1:
                merged = np.zeros_like(self.counts)
                merged[SIDE // 2 : SIDE + SIDE // 2] = self.counts.reshape(-1, 2).sum(axis=1)
                self.counts = merged
            self.exponent += steps

    @property
    def is_empty_beyond_zero(self) -> bool:
        """Whether there is nothing but zeros so far."""
        return int(self.counts.sum()) == int(self.counts[SIDE])


def counted(piece: NDArray[Any], exponent: int) -> Counts:
    """How many elements lie in each bin."""
    # Positive numbers, of which a cast takes the floor.
    places = piece * np.asarray(math.ldexp(1.0, -exponent), piece.dtype)
    places += SIDE
    # The largest below 0 may be rounded up to the end.
    np.minimum(places, 2 * SIDE - 1, out=places)
    return np.bincount(places.astype(np.intp), minlength=2 * SIDE)
