"""The integers of a layer's weights, from the moments of its inputs and of what it is to give.

Where outputs share neither scales nor elements of an epitome, they are rounded some at a time, in
threads; the parts are the same whatever the threads, and so are the integers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from epimc.ir.semantics.arrays import pieces
from epimc.quantization.rounding.compensation import compensated
from epimc.quantization.rounding.descent import descended
from epimc.quantization.rounding.metric import Metric
from epimc.quantization.rounding.moments import Moments
from epimc.quantization.rounding.options import WeightRange
from epimc.quantization.rounding.problem import Grid, Places, Problem
from epimc.quantization.rounding.propagation import in_threads
from epimc.quantization.rounding.ranges import scales_of

Array = NDArray[Any]
Doubles = NDArray[np.float64]
Integers = tuple[Array, Doubles]
"""Integers [groups, outputs, K], and their scales [groups, outputs]."""

# Shares of the mean variance that a metric's diagonal gets: the usual one; and with ALONE weights
# stay what they are, and each becomes the nearest integer.
USUAL = 0.01
ALONE = math.inf

# The products of inputs are summed in float32: their matrix may lack so much of being positive.
SUMS_ERROR = 1e-5

# Outputs of each group that are rounded together.
TOGETHER = 256

# Weights that are rounded to the nearest at once.
PIECE = 2**16


@dataclass(frozen=True)
class Solver:
    """A layer's weights, which are to become integers.

    Attributes:
        weights: On reals, float32 [groups, outputs, K].
        grid: The integers that they may be.
        shared: The number of each output's scale.
        elements: As in `Problem`.
        weight_range: How far the integers of a scale reach.
        is_first: Whether nothing before the layer is quantized: its inputs lack nothing.
        has_products: Whether inputs are looked at together.
        threads: How many may compute, on which nothing depends.
    """

    weights: Array
    grid: Grid
    shared: Places
    elements: Places | None
    weight_range: WeightRange
    is_first: bool
    has_products: bool
    threads: int

    @property
    def is_separable(self) -> bool:
        """Whether each output can be rounded without the others."""
        return self.elements is None and len(np.unique(self.shared)) == len(self.shared)

    def of_outputs(self, chosen: Sequence[int] | slice) -> Solver:
        """That of some outputs of each group, of a layer whose outputs are separable."""
        weights = self.weights[:, chosen]
        count = weights.shape[0] * weights.shape[1]
        return replace(self, weights=weights, shared=np.arange(count))

    def integers(self, moments: Moments, damping: float) -> Integers:
        """Those with which least is lost, as far as rounding by turns gets."""
        try:
            return self.solved(self.problem(moments, damping))
        except np.linalg.LinAlgError:
            # Sums in float32 leave too little of inputs that hardly differ.
            return self.nearest(moments)

    def nearest(self, moments: Moments) -> Integers:
        """The nearest integers, and scales."""
        return self.solved(self.problem(moments, ALONE))

    def solved(self, problem: Problem) -> Integers:
        """The integers of a problem, the nearest where there is no metric, and their scales."""

        def rounded(part: slice) -> Integers:
            own = problem.of_outputs(part)
            if own.metric is not None:
                return descended(own, *self.start(own))
            scales = scales_of(own, self.weight_range)
            return own.nearest(scales), scales

        if not self.is_separable:
            return rounded(slice(0, self.weights.shape[1]))
        groups, _, inputs = self.weights.shape
        at_once = max(1, PIECE // (groups * inputs)) if problem.metric is None else TOGETHER
        return self.in_parts(rounded, at_once)

    def in_parts(self, rounded: Callable[[slice], Integers], most: int) -> Integers:
        """What is made of so many outputs of each group at a time, of all of them."""
        parts = list(pieces(self.weights.shape[1], 1, most))
        steps, scales = np.empty(self.weights.shape, np.float32), np.empty(self.weights.shape[:2])
        for part, made in zip(parts, in_threads(rounded, parts, self.threads), strict=True):
            steps[:, part], scales[:, part] = made
        return steps, scales

    def start(self, problem: Problem) -> Integers:
        """Integers to descend from, and their scales, for all outputs or some."""
        scales = scales_of(problem, self.weight_range)
        if problem.elements is None and problem.metric is not None:
            return compensated(problem, scales), scales
        return problem.nearest(scales), scales

    def problem(self, moments: Moments, damping: float) -> Problem:
        """The rounding, with weights to start from that bring the result nearest to the real one.

        Those are W + (cov(y, x) - W H) (H + damping)^-1, x being the inputs as they are now and y
        what is wanted of the result.  Nearest rounding starts from the weights themselves.

        Raises:
            np.linalg.LinAlgError: The metric is not positive definite.
        """
        variance, weights = moments.variance, self.weights
        if not moments.is_finite:
            # Inputs beyond what sums of float32 hold: all of them count alike.
            variance = np.ones_like(variance)
        mean = variance.mean(axis=1, keepdims=True)
        # Inputs that never change say nothing: then all weights count alike.
        is_alone = damping == ALONE or not (self.has_products and moments.is_finite)
        added = (USUAL if is_alone else damping) * np.where(mean > 0, mean, 1.0)
        # So much at least is what sums in float32 may be wrong by.
        if moments.is_finite:
            added += SUMS_ERROR * (moments.squares / moments.count).max(axis=1, keepdims=True)
        metric = None
        if not is_alone:
            matrix, weights = moments.covariance, weights.astype(np.float64)
            lacking = None if self.is_first else moments.cross_covariance - weights @ matrix
            index = np.arange(matrix.shape[1])
            matrix[:, index, index] += added
            metric = Metric.of(matrix)
            if lacking is not None:
                weights += metric.solve(lacking)
        return Problem(weights, variance + added, metric, self.grid, self.shared, self.elements)
