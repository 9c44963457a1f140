"""Coordinate descent: integers from which changing one of them gains nothing, and their scales.

Each weight in turn is rounded once more with all others as they are, which never makes the error
larger; then each scale becomes that of the least squares.  A few such sweeps take what compensated
rounding, which looks at each weight once, leaves.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from epimc.quantization.rounding.compensation import BLOCK
from epimc.quantization.rounding.problem import Grid, Places, Problem

Doubles = NDArray[np.float64]

# So often all weights are rounded again, at most; less is gained by a sweep than this: the last.
SWEEPS, LEAST_GAIN = 8, 1e-3


def descended(problem: Problem, steps: Doubles, scales: Doubles) -> tuple[Doubles, Doubles]:
    """Better integers and scales than these, or the same."""
    last = State.of(problem, steps, scales)
    for _ in range(SWEEPS):
        state = last.swept()
        # Elements of an epitome that are rounded at once may hinder each other.
        if not state.error < last.error:
            break
        gain, last = last.error - state.error, state
        if gain < LEAST_GAIN * (gain + last.error):
            break
    return last.steps, last.scales


@dataclass(frozen=True)
class State:
    """Integers and scales, with what is known of them.

    Attributes:
        problem: Of which they are a solution.
        steps: The integers Q, [groups, outputs, K].
        scales: The steps s, [groups, outputs].
        full: W H, of the same shape as Q.
        pull: (W - s Q) H: half the slope of the error by each weight, turned around.
    """

    problem: Problem
    steps: Doubles
    scales: Doubles
    full: Doubles
    pull: Doubles

    @staticmethod
    def of(problem: Problem, steps: Doubles, scales: Doubles) -> State:
        """Compute what follows."""
        full = problem.targets @ problem.full_metric
        pull = full - (steps * scales[..., None]) @ problem.full_metric
        return State(problem, steps, scales, full, pull)

    @cached_property
    def error(self) -> float:
        """What is lost, over all outputs."""
        lost = self.problem.targets - self.steps * self.scales[..., None]
        return float((self.pull * lost).sum())

    def swept(self) -> State:
        """Every weight rounded once more, and scales of the least squares."""
        steps, pull = self.steps.copy(), self.pull.copy()
        sweep = swept if self.problem.elements is None else swept_shared
        sweep(self.problem, steps, pull, self.scales)
        return self.refitted(steps, pull)

    def refitted(self, steps: Doubles, pull: Doubles) -> State:
        """With the scales with which the integers lose least; the old one where none is better.

        Args:
            steps: The integers.
            pull: That of the integers with the scales as they are.
        """
        projected = (self.full - pull) / self.scales[..., None]
        wanted = self.problem.joined((projected * self.problem.targets).sum(axis=-1))
        power = self.problem.joined((projected * steps).sum(axis=-1))
        best = np.divide(wanted, power, out=self.scales.copy(), where=power > 0)
        scales = np.where(best > 0, best, self.scales)
        pull = self.full - projected * scales[..., None]
        return State(self.problem, steps, scales, self.full, pull)


def swept(problem: Problem, steps: Doubles, pull: Doubles, scales: Doubles) -> None:
    """Round every weight once more, with all others as they are; `steps` and `pull` change."""
    metric = problem.full_metric
    for start in range(0, steps.shape[2], BLOCK):
        own = slice(start, start + BLOCK)
        moved = swept_block(
            steps[..., own], pull[..., own].copy(), metric[:, own, own], problem.grid, scales
        )
        pull -= moved @ metric[:, own, :]


def swept_block(
    steps: Doubles, pull: Doubles, metric: Doubles, grid: Grid, scales: Doubles
) -> Doubles:
    """A block of weights rounded once more, in place; how far each has moved.

    Args:
        steps: Their integers.
        pull: Half the slope of the error by each of them, turned around; changed.
        metric: H of the block.
        grid: The integers.
        scales: Their steps.
    """
    moved = np.empty_like(pull)
    for k in range(pull.shape[2]):
        best = grid.nearest(steps[..., k] + pull[..., k] / (metric[:, None, k, k] * scales))
        moved[..., k] = (best - steps[..., k]) * scales
        steps[..., k] = best
        pull -= moved[..., k, None] * metric[:, None, k, :]
    return moved


def swept_shared(problem: Problem, steps: Doubles, pull: Doubles, scales: Doubles) -> None:
    """As `swept`, of weights some of which are one element of an epitome, and change together."""
    assert problem.elements is not None
    for group, elements in enumerate(problem.elements):
        own = problem.full_metric[group], steps[group], pull[group], scales[group]
        swept_group(elements, *own, problem.grid)


def swept_group(
    elements: Places,
    metric: Doubles,
    steps: Doubles,
    pull: Doubles,
    scales: Doubles,
    grid: Grid,
) -> None:
    """The same, of one group: `steps` and `pull` are [outputs, K].

    Elements that the same input meets are rounded at once: in one output there is one of them.
    """
    _, numbers = np.unique(elements, return_inverse=True)
    numbers = numbers.reshape(elements.shape)
    uses = Uses(numbers, metric)
    step_of, values = np.zeros(uses.count), np.zeros(uses.count)
    step_of[numbers], values[numbers] = scales[:, None], steps
    for outputs, inputs, own in uses.by_input:
        chosen = np.unique(own)
        slope = np.bincount(own, pull[outputs, inputs], uses.count)[chosen]
        best = grid.nearest(values[chosen] + slope / (uses.curvature[chosen] * step_of[chosen]))
        moved = np.zeros(uses.count)
        moved[chosen] = (best - values[chosen]) * step_of[chosen]
        values[chosen] = best
        rows, places = np.unique(inputs, return_inverse=True)
        change = np.zeros((len(steps), len(rows)))
        change[outputs, places] = moved[own]
        pull -= change @ metric[rows]
    steps[...] = values[numbers]


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
