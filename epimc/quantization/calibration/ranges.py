"""Which range a value gets, from the histogram of its elements: what lies outside is clipped."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from epimc.quantization.calibration.histograms import SIDE, Histogram

Range = tuple[float, float]
Floats = NDArray[np.float64]

# From so many bits on a level is no wider than some bins, which then do not tell rounding errors.
FINE_BITS = 10

# How many ranges a search compares at once, and how often it looks closer.
CANDIDATES, ROUNDS = 24, 3

# Bins to which the entropy observer takes a histogram, and widths that it tries: as TensorRT.
ENTROPY_BINS, ENTROPY_WIDTHS = 2048, 128


@dataclass(frozen=True)
class Choice:
    """What ranges are chosen by.

    Attributes:
        percentile: Of the elements, for the observer of that name.
        bits: Of an activation.
    """

    percentile: float
    bits: int


def minmax(histogram: Histogram, choice: Choice) -> Range:
    """Nothing is clipped."""
    return histogram.low, histogram.high


def percentile(histogram: Histogram, choice: Choice) -> Range:
    """At each end the elements beyond a percentile are clipped, to the width of a bin."""
    counts = histogram.counts
    beyond = int(counts.sum() * (1.0 - choice.percentile / 100.0))
    above = np.searchsorted(np.cumsum(counts[::-1]), beyond, "right")
    below = np.searchsorted(np.cumsum(counts), beyond, "right")
    return (
        float(below - SIDE) * histogram.width,
        float(SIDE - above) * histogram.width,
    )


# --- the least squared error


def mse(histogram: Histogram, choice: Choice) -> Range:
    """The least squared error of elements as activations of this many bits."""
    squares = Squares.of(histogram, choice.bits)
    low, high = min(histogram.low, 0.0), max(histogram.high, 0.0)
    # Both ends together first, which the best range of one step size lies near.
    share = search(lambda shares: squares.errors(low * shares, high * shares), 1.0)
    low, high = share * low, share * high
    if low < 0.0 < high:
        together = high
        low = -search(lambda ends: squares.errors(-ends, np.full_like(ends, together)), -low * 2)
        high = search(lambda ends: squares.errors(np.full_like(ends, low), ends), high * 2)
    return low, high


@dataclass(frozen=True)
class Squares:
    """The squared error of a histogram's elements in ranges.

    Attributes:
        centres: Of the bins that are not empty.
        counts: Of elements in them.
        levels: Steps that a range has.
        width: Of a bin.
    """

    centres: Floats
    counts: Floats
    levels: int
    width: float

    @staticmethod
    def of(histogram: Histogram, bits: int) -> Squares:
        """Prepare the histogram."""
        used = np.flatnonzero(histogram.counts)
        counts = histogram.counts[used].astype(np.float64)
        return Squares(histogram.centres[used], counts, 2**bits - 1, histogram.width)

    def errors(self, lows: Floats, highs: Floats) -> Floats:
        """The sums of squared errors in the ranges [lows[k], highs[k]], float64 [ranges]."""
        steps = ((highs - lows) / self.levels)[:, None]
        zeros = np.rint(-lows[:, None] / steps)
        if self.levels >= 2**FINE_BITS - 1:
            ends = -zeros * steps, (self.levels - zeros) * steps
            clipped = self.centres - np.clip(self.centres, *ends)
            rounded = np.where(clipped == 0.0, steps**2 / 12.0, 0.0)
            return np.asarray((clipped**2 + rounded) @ self.counts)
        integers = np.clip(np.rint(self.centres / steps), -zeros, self.levels - zeros)
        return np.asarray((self.centres - integers * steps) ** 2 @ self.counts)


def search(errors: Callable[[Floats], Floats], most: float) -> float:
    """The number in (0, most] of the least error, looked for closer and closer."""
    low, high = 0.0, most
    best = most
    for _ in range(ROUNDS):
        tried = np.linspace(low, high, CANDIDATES + 1)[1:]
        # The largest of equals: nothing is clipped for nothing.
        place = CANDIDATES - 1 - int(np.argmin(errors(tried)[::-1]))
        best, step = float(tried[place]), (high - low) / CANDIDATES
        low, high = max(low, best - step), min(high, best + step)
    return best


# --- the least divergence


def entropy(histogram: Histogram, choice: Choice) -> Range:
    """The least Kullback-Leibler divergence between the elements and what levels tell of them.

    S. Migacz, 8-bit inference with TensorRT, GTC 2017: ranges [-t, t] are tried; what lies outside
    counts at its ends, and what lies inside is spread evenly over the bins of each level.
    """
    merged = 2 * SIDE // ENTROPY_BINS
    counts = histogram.counts.reshape(-1, merged).sum(axis=1).astype(np.float64)
    side = ENTROPY_BINS // 2
    # 0 is a level, whatever the range: zeros, of which relus give many, say nothing of it.
    counts[side] = counts[side + 1]
    first = side if histogram.low >= 0 else 0
    last = side if histogram.high <= 0 else ENTROPY_BINS
    tops = np.unique(np.linspace(side // ENTROPY_WIDTHS, side, ENTROPY_WIDTHS).astype(int))
    best, least = side, math.inf
    for top in tops[::-1]:
        start, stop = max(first, side - top) - first, min(last, side + top) - first
        divergence = divergence_of(counts[first:last], start, stop, choice.bits)
        if divergence < least:
            best, least = int(top), divergence
    threshold = best * merged * histogram.width
    return -threshold, threshold


def divergence_of(counts: Floats, start: int, stop: int, bits: int) -> float:
    """The divergence of a range of bins as levels from the elements; infinity for too few bins."""
    inside = counts[start:stop]
    if len(inside) < 2**bits or not inside.any():
        return math.inf
    true = inside.copy()
    true[0] += counts[:start].sum()
    true[-1] += counts[stop:].sum()
    edges = np.linspace(0, len(inside), 2**bits + 1)[:-1].astype(int)
    is_used = true > 0
    sums = np.add.reduceat(inside, edges)
    used = np.maximum(np.add.reduceat(is_used.astype(np.float64), edges), 1.0)
    spread = np.repeat(sums / used, np.diff([*edges, len(inside)])) * is_used
    # What clipping alone fills has no share by its level.
    spread[is_used & (spread == 0.0)] = 1e-4
    p, q = true[is_used] / true.sum(), spread[is_used] / spread.sum()
    return float((p * np.log(p / q)).sum())


OBSERVERS: dict[str, Callable[[Histogram, Choice], Range]] = {
    "minmax": minmax,
    "percentile": percentile,
    "mse": mse,
    "entropy": entropy,
}
"""Those of `CalibrateOptions.observer`."""


def chosen_range(observer: str, histogram: Histogram, choice: Choice) -> Range:
    """The range of a value: no wider than its elements, and never of nothing where they are not 0.

    Args:
        observer: One of `OBSERVERS`.
        histogram: Of the value.
        choice: What the observer goes by.
    """
    smallest, largest = histogram.low, histogram.high
    if smallest == largest:
        return smallest, largest
    low, high = OBSERVERS[observer](histogram, choice)
    low, high = max(low, smallest), min(high, largest)
    if max(high, 0.0) <= min(low, 0.0):
        return smallest, largest
    if low > high:
        # Elements that are nearly one number, all of which are clipped to a nearer one to 0.
        end = high if high > 0.0 else low
        return end, end
    return low, high
