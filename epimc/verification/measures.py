"""How far values are from what they stand for: SQNR, cosine, largest error, top-1."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def decibels(signal: float, noise: float) -> float | None:
    """10 log10 (signal / noise), of sums of squares; None when either is 0 or not finite."""
    if not noise or not signal or finite(signal) is None or finite(noise) is None:
        return None
    return 10 * math.log10(signal / noise)


def finite(value: float) -> float | None:
    """The value itself; None when it is infinite or not a number, for which JSON has no form."""
    return value if math.isfinite(value) else None


def arrays_in(value: Any) -> list[Array]:
    """The tensors of which a value of any ONNX type consists, in order."""
    if isinstance(value, dict):
        return [each for key in sorted(value) for each in (np.asarray(key), *arrays_in(value[key]))]
    if isinstance(value, (list, tuple)):
        return [array for item in value for array in arrays_in(item)]
    # What is absent is a tensor of nothing.
    return [np.zeros(0) if value is None else np.asarray(value)]


def differing(computed: Any, exact: Any) -> int:
    """How many elements of two values differ, types and shapes among it; NaN equals NaN."""
    ours, theirs = arrays_in(computed), arrays_in(exact)
    if len(ours) != len(theirs):
        return max(1, sum(array.size for array in theirs))
    return sum(differing_elements(a, b) for a, b in zip(ours, theirs, strict=True))


def differing_elements(ours: Array, theirs: Array) -> int:
    """How many elements of two tensors differ; all of them where these are of different kinds."""
    if ours.shape != theirs.shape or ours.dtype != theirs.dtype:
        return max(1, theirs.size)
    unequal = ours != theirs
    if ours.dtype.kind in "fc":
        unequal &= ~(np.isnan(ours) & np.isnan(theirs))
    return int(np.count_nonzero(unequal))


def comparable(computed: Any, true: Any) -> tuple[Array, Array] | None:
    """Both as float64 in a row, where both are numbers, as many; infinite and NaN ones left out.

    Positions at which both have the same number that is not finite say nothing of the loss.
    """
    ours, theirs = arrays_in(computed), arrays_in(true)
    if [array.size for array in ours] != [array.size for array in theirs]:
        return None
    if any(array.dtype.kind not in "biuf" for array in (*ours, *theirs)):
        return None
    left, right = (
        np.concatenate([array.astype(np.float64).ravel() for array in side] or [np.zeros(0)])
        for side in (ours, theirs)
    )
    same = (left == right) | (np.isnan(left) & np.isnan(right))
    kept = ~(same & ~np.isfinite(right))
    return left[kept], right[kept]


@dataclass
class Loss:
    """Signal and noise, summed up over batches.

    Attributes:
        signal: Sum of squares of the true values, in float64.
        noise: Sum of squares of what the others differ from them.
    """

    signal: float = 0.0
    noise: float = 0.0

    def add(self, computed: Array, true: Array) -> None:
        """Take one batch: the computed values, and the true ones, in the same order."""
        # In float32 a sum over many samples would lose the small errors that it is about.
        right = true.astype(np.float64).ravel()
        self.signal += float(np.square(right).sum())
        self.noise += float(np.square(computed.astype(np.float64).ravel() - right).sum())

    @property
    def sqnr_db(self) -> float | None:
        """Signal to noise ratio in dB; None when either is 0."""
        return decibels(self.signal, self.noise)
