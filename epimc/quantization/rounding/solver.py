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
from epimc.quantization.rounding.compensation import Feedback, compensated
from epimc.quantization.rounding.descent import descended
from epimc.quantization.rounding.moments import Moments
from epimc.quantization.rounding.options import WeightRange
from epimc.quantization.rounding.problem import Grid, Places, Problem
from epimc.quantization.rounding.propagation import in_threads
from epimc.quantization.rounding.ranges import scales_of

Array = NDArray[Any]
Doubles = NDArray[np.float64]
Integers = tuple[Array, Doubles]
"""Integers [groups, outputs, K], and their scales [groups, outputs]."""

# Shares of the mean variance that the metric's diagonal gets: the one with which least is lost on
# samples that were kept apart.  Few samples say little of how inputs go together: then weights
# change little, or with ALONE stay what they are, and each becomes the nearest integer.
ALONE = math.inf
DAMPINGS: tuple[float, ...] = (0.01, 0.001, 0.1, 1.0, 10.0)

# The products of inputs are summed in float32: their matrix may lack so much of being positive.
SUMS_ERROR = 1e-5

# What is lost with the best damping, of what is lost with none, if weights are to change.
WORTH = 0.9

# Of layers of more inputs a damping is looked for only where there are fewer positions than inputs,
# and then among those that few positions want: it takes as long as all the rest.
LARGEST_SEARCH = 2048
STRONG_DAMPINGS = (1.0, 10.0)

# Outputs of each group that a damping is looked for with, and outputs that are rounded together.
SEARCHED, TOGETHER = 64, 64

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

    def damping(self, kept: Moments, apart: Moments | None) -> float:
        """That with which most of the samples serve the others best.

        Args:
            kept: Of most of the samples.
            apart: Of the others; None where there are none.
        """
        if apart is None or not (kept.is_finite and apart.is_finite):
            return ALONE
        tried, inputs = DAMPINGS, self.weights.shape[2]
        if inputs > LARGEST_SEARCH:
            if kept.count >= inputs:
                return DAMPINGS[0]
            tried = STRONG_DAMPINGS
        own, count = self, self.weights.shape[1]
        if self.is_separable and count > SEARCHED:
            # A sample of the outputs tells as much as all of them.
            chosen = np.linspace(0, count - 1, SEARCHED).astype(int).tolist()
            own = self.of_outputs(chosen)
            kept, apart = kept.of_outputs(chosen), apart.of_outputs(chosen)
        each = (*tried, ALONE)
        lost = list(in_threads(lambda damping: own.loss(kept, apart, damping), each, self.threads))
        least, alone = min(lost[:-1]), lost[-1]
        return each[lost.index(least)] if least < WORTH * alone else ALONE

    def loss(self, kept: Moments, apart: Moments, damping: float) -> float:
        """What is lost on samples kept apart, of a rounding on the others."""
        problem = self.problem(kept, damping)
        try:
            steps, scales = self.start(problem)
        except np.linalg.LinAlgError:
            return math.inf
        weights = steps * scales[..., None]
        quadratic = ((weights @ apart.covariance) * weights).sum()
        return float(quadratic - 2 * (weights * apart.cross_covariance).sum() + apart.power)

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

    def solved(self, problem: Problem, feedback: Feedback | None = None) -> Integers:
        """The integers of a problem, the nearest where inputs are looked at one by one, and scales.

        Args:
            problem: Of these weights.
            feedback: That of the problem's metric, where it is known.

        Raises:
            np.linalg.LinAlgError: The metric is not positive definite.
        """
        if problem.metric is not None and self.is_separable and feedback is None:
            feedback = Feedback.of(problem)

        def rounded(part: slice) -> Integers:
            own = problem.of_outputs(part)
            if own.metric is not None:
                return descended(own, *self.start(own, feedback))
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

    def start(self, problem: Problem, feedback: Feedback | None = None) -> Integers:
        """Integers to descend from, and their scales.

        Args:
            problem: Of all outputs, or of some.
            feedback: That of the problem's metric, where it is known.
        """
        scales = scales_of(problem, self.weight_range)
        if problem.elements is None and problem.metric is not None:
            return compensated(problem, scales, feedback or Feedback.of(problem)), scales
        return problem.nearest(scales), scales

    def problem(self, moments: Moments, damping: float) -> Problem:
        """The rounding, with weights to start from that bring the result nearest to the real one.

        Those are W + (cov(y, x) - W H) (H + damping)^-1, x being the inputs as they are now and y
        what is wanted of the result.  Nearest rounding starts from the weights themselves.
        """
        variance, weights = moments.variance, self.weights
        if not moments.is_finite:
            # Inputs beyond what sums of float32 hold: all of them count alike.
            variance = np.ones_like(variance)
        mean = variance.mean(axis=1, keepdims=True)
        # Inputs that never change say nothing: then all weights count alike.
        is_alone = damping == ALONE or not self.has_products
        added = (DAMPINGS[0] if is_alone else damping) * np.where(mean > 0, mean, 1.0)
        # So much at least is what sums in float32 may be wrong by.
        if moments.is_finite:
            added += SUMS_ERROR * (moments.squares / moments.count).max(axis=1, keepdims=True)
        metric = None
        if not is_alone:
            metric, weights = moments.covariance, weights.astype(np.float64)
            lacking = None if self.is_first else moments.cross_covariance - weights @ metric
            index = np.arange(metric.shape[1])
            metric[:, index, index] += added
            if lacking is not None:
                weights += np.linalg.solve(metric, lacking.transpose(0, 2, 1)).transpose(0, 2, 1)
        return Problem(weights, variance + added, metric, self.grid, self.shared, self.elements)
