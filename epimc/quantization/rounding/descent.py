"""Coordinate descent: integers from which changing one of them gains nothing, and their scales.

Each weight in turn is rounded once more with all others as they are, which never makes the error
larger; then each scale becomes that of the least squares.  A few such sweeps take what compensated
rounding, which looks at each weight once, leaves.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from epimc.quantization.rounding.compensation import BLOCK
from epimc.quantization.rounding.problem import Grid, Places, Problem

Doubles = NDArray[np.float64]

# So often all weights are rounded again, at most; less is gained by a sweep than this: the last.
SWEEPS, LEAST_GAIN = 8, 2e-3

# A gain below this share of what there is to lose may be none: it is a difference of large sums.
SUMS_ERROR = 1e-12


def descended(problem: Problem, steps: Doubles, scales: Doubles) -> tuple[Doubles, Doubles]:
    """Better integers and scales than these, or the same."""
    last = State.of(problem, steps, scales)
    for _ in range(SWEEPS):
        state = last.swept()
        gain = last.error - state.error
        # Elements of an epitome that are rounded at once may hinder each other.
        if not gain > SUMS_ERROR * last.power.sum():
            break
        last = state
        if gain < LEAST_GAIN * (gain + last.error):
            break
    return last.steps.transpose(0, 2, 1), last.scales


@dataclass(frozen=True)
class State:
    """Integers and scales, with what is known of them, turned: what inputs meet lies together.

    Attributes:
        problem: Of which they are a solution.
        targets: W, [groups, K, outputs].
        full: H W, of the same shape.
        power: W H W of each output, [groups, outputs].
        steps: The integers Q, [groups, K, outputs].
        scales: The steps s, [groups, outputs].
        lost: The error of each output, [groups, outputs].
    """

    problem: Problem
    targets: Doubles
    full: Doubles
    power: Doubles
    steps: Doubles
    scales: Doubles
    lost: Doubles

    @staticmethod
    def of(problem: Problem, steps: Doubles, scales: Doubles) -> State:
        """Compute what follows, of integers [groups, outputs, K]."""
        targets, turned = (
            np.ascontiguousarray(each.transpose(0, 2, 1)) for each in (problem.targets, steps)
        )
        matrix = problem.full_metric.matrix
        full = matrix @ targets
        missing = targets - turned * scales[:, None]
        lost = dots(matrix @ missing, missing)
        return State(problem, targets, full, dots(full, targets), turned, scales, lost)

    @property
    def error(self) -> float:
        """What is lost, over all outputs."""
        return float(self.lost.sum())

    def swept(self) -> State:
        """Every weight rounded once more, and scales of the least squares."""
        steps = self.steps.copy()
        sweep = swept if self.problem.elements is None else swept_shared
        lost = self.lost - sweep(self.problem, steps, self.full, self.scales)
        return self.refitted(steps, lost)

    def refitted(self, steps: Doubles, lost: Doubles) -> State:
        """With the scales with which the integers lose least; the old one where none is better.

        Args:
            steps: The integers.
            lost: What they lose with the scales as they are.
        """
        joined, scales = self.problem.joined, self.scales
        along = dots(self.full, steps)
        # Q H Q, of what is lost: W H W - 2 s W H Q + s^2 Q H Q.
        own = (lost - self.power + 2 * scales * along) / np.square(scales)
        wanted, power = joined(along), joined(own)
        best = np.divide(wanted, power, out=scales.copy(), where=power > 0)
        fitted = np.where(best > 0, best, scales)
        lost = self.power - 2 * fitted * along + np.square(fitted) * own
        return replace(self, steps=steps, scales=fitted, lost=lost)


def dots(a: Doubles, b: Doubles) -> Doubles:
    """The products of arrays [groups, K, outputs], summed over the inputs."""
    result: Doubles = np.einsum("gko,gko->go", a, b)
    return result


def swept(problem: Problem, steps: Doubles, full: Doubles, scales: Doubles) -> Doubles:
    """Round every weight once more, with all others as they are.

    Args:
        problem: The problem.
        steps: The integers, [groups, K, outputs]; changed.
        full: H W, of the same shape.
        scales: Their steps, [groups, outputs].

    Returns:
        What each output loses less, [groups, outputs].
    """
    matrix = problem.full_metric.matrix
    weights = steps * scales[:, None]
    gained = np.zeros_like(scales)
    for start in range(0, steps.shape[1], BLOCK):
        own = slice(start, start + BLOCK)
        # Half the slope of the error by each weight, turned around.
        pull = full[:, own] - matrix[:, own] @ weights
        gained += swept_block(steps[:, own], pull, matrix[:, own, own], problem.grid, scales)
        weights[:, own] = steps[:, own] * scales[:, None]
    return gained


def swept_block(
    steps: Doubles, pull: Doubles, metric: Doubles, grid: Grid, scales: Doubles
) -> Doubles:
    """A block of weights rounded once more, in place; what each output loses less.

    Args:
        steps: Their integers, [groups, block, outputs].
        pull: Half the slope of the error by each of them, turned around; changed.
        metric: H of the block.
        grid: The integers.
        scales: Their steps.
    """
    gained = np.zeros_like(scales)
    for k in range(pull.shape[1]):
        curvature = metric[:, k, k, None]
        best = grid.nearest(steps[:, k] + pull[:, k] / (curvature * scales))
        moved = (best - steps[:, k]) * scales
        steps[:, k] = best
        gained += moved * (2 * pull[:, k] - moved * curvature)
        pull[:, k + 1 :] -= metric[:, k + 1 :, k, None] * moved[:, None]
    return gained


def swept_shared(problem: Problem, steps: Doubles, full: Doubles, scales: Doubles) -> Doubles:
    """As `swept`, of weights some of which are one element of an epitome, and change together."""
    assert problem.elements is not None
    matrix, before = problem.full_metric.matrix, steps * scales[:, None]
    pull = full - matrix @ before
    first = pull.copy()
    for group, elements in enumerate(problem.elements):
        own = matrix[group], steps[group], pull[group], scales[group]
        swept_group(elements, *own, problem.grid)
    return dots(steps * scales[:, None] - before, first + pull)


def swept_group(
    elements: Places,
    metric: Doubles,
    steps: Doubles,
    pull: Doubles,
    scales: Doubles,
    grid: Grid,
) -> None:
    """The same, of one group: `steps` and `pull` are [K, outputs], and change.

    Elements that the same input meets are rounded at once: in one output there is one of them.
    """
    _, numbers = np.unique(elements, return_inverse=True)
    numbers = numbers.reshape(elements.shape)
    uses = Uses(numbers, metric)
    step_of, values = np.zeros(uses.count), np.zeros(uses.count)
    step_of[numbers], values[numbers] = scales[:, None], steps.T
    for outputs, inputs, own in uses.by_input:
        chosen = np.unique(own)
        slope = np.bincount(own, pull[inputs, outputs], uses.count)[chosen]
        best = grid.nearest(values[chosen] + slope / (uses.curvature[chosen] * step_of[chosen]))
        moved = np.zeros(uses.count)
        moved[chosen] = (best - values[chosen]) * step_of[chosen]
        values[chosen] = best
        rows, places = np.unique(inputs, return_inverse=True)
        change = np.zeros((len(rows), steps.shape[1]))
        change[places, outputs] = moved[own]
        pull -= metric[:, rows] @ change
    steps[...] = values[numbers].T


class Uses:
    """Where the elements of an epitome are used.

    Attributes:
        count: Elements.
        curvature: Of each element, half the second derivative of the error by it.
        by_input: For each input that is the first to meet some elements: the outputs and inputs
            where these are used, and the elements.
    """

    def __init__(self, numbers: Places, metric: Doubles) -> None:
        """Look at the elements [outputs, K] that weights are."""
        self.count = int(numbers.max(initial=-1)) + 1
        outputs, inputs = (place.ravel() for place in np.indices(numbers.shape))
        flat = numbers.ravel()
        first = np.full(self.count, numbers.shape[1])
        np.minimum.at(first, flat, inputs)
        order = np.lexsort((inputs, outputs, flat, first[flat]))
        outputs, inputs, flat = outputs[order], inputs[order], flat[order]
        self.curvature = curvature(outputs, inputs, flat, metric, self.count)
        cuts = np.flatnonzero(np.diff(first[flat])) + 1
        parts = (np.split(array, cuts) for array in (outputs, inputs, flat))
        self.by_input = list(zip(*parts, strict=True))


def curvature(
    outputs: Places, inputs: Places, elements: Places, metric: Doubles, count: int
) -> Doubles:
    """Sums of H[k, l] over all outputs and their inputs k, l that meet an element, [count].

    Args:
        outputs: Where elements are used, sorted by element and output.
        inputs: The same.
        elements: The elements.
        metric: H.
        count: Elements.
    """
    total = np.bincount(elements, metric[inputs, inputs], count).astype(np.float64)
    distance = 1
    while True:
        # Uses that lie so far apart in one run, which is one element in one output.
        same = (elements[distance:] == elements[:-distance]) & (
            outputs[distance:] == outputs[:-distance]
        )
        if not same.any():
            return total
        pairs = metric[inputs[distance:], inputs[:-distance]]
        total += 2 * np.bincount(elements[distance:], pairs * same, count)
        distance += 1
