"""A layer's weights that are to become integers, and what it costs.

Rounding weights W of an output to s * Q adds (W - s Q) x to it.  With H the covariance of x (a
shift of its mean is the bias's business) the mean square of that is (W - s Q) H (W - s Q)^T.

Everywhere W and Q are [groups, outputs, K], H is [groups, K, K] and scales are [groups, outputs],
float64.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from epimc.ir.semantics import quantization
from epimc.quantization.rounding.metric import Metric

Array = NDArray[Any]
Doubles = NDArray[np.float64]
Places = NDArray[np.intp]


@dataclass(frozen=True)
class Grid:
    """The integers that a weight may be.

    Attributes:
        bits: Of a weight; one bit is -1 or 1.
    """

    bits: int

    @property
    def limit(self) -> int:
        """The largest."""
        return quantization.weight_limit(self.bits)

    def nearest(self, steps: Doubles) -> Doubles:
        """The nearest of them, the middle between two half to even."""
        return quantization.nearest_weights(steps, self.bits)


@dataclass(frozen=True)
class Problem:
    """What is to be rounded.

    Attributes:
        targets: The weights that lose nothing, W.
        importance: H's diagonal, [groups, K].
        metric: H; None where inputs are looked at one by one.
        grid: The integers that they may be.
        shared: For each of groups * outputs the number of its scale: those of one number share it.
        elements: For each weight the number of the epitome's element that it is; None: the epitome
            is the weights.
    """

    targets: Array
    importance: Doubles
    metric: Metric | None
    grid: Grid
    shared: Places
    elements: Places | None = None

    @property
    def full_metric(self) -> Metric:
        """The metric of a problem that has one."""
        assert self.metric is not None
        return self.metric

    def of_outputs(self, part: slice) -> Problem:
        """That of some outputs, or of all; those of one group of a scale must not be parted."""
        if self.elements is not None:
            return self
        targets = self.targets[:, part].astype(np.float64)
        numbers = self.shared.reshape(self.targets.shape[:2])[:, part]
        shared = np.unique(numbers, return_inverse=True)[1].ravel()
        return Problem(targets, self.importance, self.metric, self.grid, shared)

    def error(self, steps: Doubles, scales: Doubles) -> float:
        """What rounding loses, over all outputs."""
        lost = self.targets - steps * scales[..., None]
        return float(((lost @ self.full_metric.matrix) * lost).sum())

    def nearest(self, scales: Doubles) -> Doubles:
        """The integers nearest to the weights, or to their mean where they are one element."""
        return self.grid.nearest(self.centres() / scales[..., None])

    def centres(self) -> Array:
        """For each weight the mean of all that are the same element of the epitome."""
        if self.elements is None:
            return self.targets
        flat = self.elements.ravel()
        # Elements that no weight is count 0.
        counts = np.maximum(np.bincount(flat), 1)
        means = np.bincount(flat, self.targets.ravel()) / counts
        return means[self.elements]

    def joined(self, values: Doubles) -> Doubles:
        """The sums of values [groups, outputs] over all outputs that share a scale."""
        sums = np.bincount(self.shared, values.ravel()).astype(np.float64)
        return sums[self.shared].reshape(values.shape)

    def largest(self, magnitudes: Doubles) -> Doubles:
        """The largest magnitude [groups, outputs] of all outputs that share a scale."""
        most = np.zeros(int(self.shared.max(initial=-1)) + 1)
        np.maximum.at(most, self.shared, magnitudes.ravel())
        return most[self.shared].reshape(magnitudes.shape)
