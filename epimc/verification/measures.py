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
