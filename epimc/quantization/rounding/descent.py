"""Coordinate descent: integers from which changing one of them gains nothing, and their scales.

Each weight in turn is rounded once more with all others as they are, which never makes the error
larger; then each scale becomes that of the least squares.  A few such sweeps take what compensated
rounding, which looks at each weight once, leaves.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from epimc.quantization.rounding.compensation import BLOCK
from epimc.quantization.rounding.problem import Grid, Places, Problem

Doubles = NDArray[np.float64]

# So often all weights are rounded again, at most; less is gained by a sweep than this: the last.
SWEEPS, LEAST_GAIN = 8, 1e-3


def descended(problem: Problem, steps: Doubles, scales: Doubles) -> tuple[Doubles, Doubles]:
    """Better integers and scales than these, or the same."""
    error, sweep = problem.error(steps, scales), swept if problem.elements is None else swept_shared
    for _ in range(SWEEPS):
        new = sweep(problem, steps, scales)
        fitted = refitted(problem, new, scales)
        now = problem.error(new, fitted)
        # Elements of an epitome that are rounded at once may hinder each other.
        if not now < error:
            break
        gain, steps, scales, error = error - now, new, fitted, now
        if gain < LEAST_GAIN * (gain + now):
            break
    return steps, scales


def swept(problem: Problem, steps: Doubles, scales: Doubles) -> Doubles:
    """Every weight rounded once more, with all others as they are."""
    metric, steps = problem.full_metric, steps.copy()
    pull = (problem.targets - steps * scales[..., None]) @ metric
    for start in range(0, steps.shape[2], BLOCK):
        own = slice(start, start + BLOCK)
        moved = swept_block(
            steps[..., own], pull[..., own].copy(), metric[:, own, own], problem.grid, scales
        )
        pull -= moved @ metric[:, own, :]
    return steps


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


def refitted(problem: Problem, steps: Doubles, scales: Doubles) -> Doubles:
    """The scales with which integers lose least; as they are where there is no better one."""
    projected = steps @ problem.full_metric
    wanted = problem.joined((projected * problem.targets).sum(axis=-1))
    power = problem.joined((projected * steps).sum(axis=-1))
    best = np.divide(wanted, power, out=scales.copy(), where=power > 0)
    return np.where(best > 0, best, scales)


def swept_shared(problem: Problem, steps: Doubles, scales: Doubles) -> Doubles:
    """As `swept`, of weights some of which are one element of an epitome, and change together."""
    assert problem.elements is not None
    result = np.empty_like(steps)
    for group, elements in enumerate(problem.elements):
        own = problem.targets[group], problem.full_metric[group], steps[group], scales[group]
        result[group] = swept_group(elements, *own, problem.grid)
    return result


def swept_group(
    elements: Places,
    targets: Doubles,
    metric: Doubles,
    steps: Doubles,
    scales: Doubles,
    grid: Grid,
) -> Doubles:
    """The new integers [outputs, K] of one group.

    Elements that the same input meets are rounded at once: in one output there is one of them.
    """
    _, numbers = np.unique(elements, return_inverse=True)
    numbers = numbers.reshape(elements.shape)
    uses = Uses(numbers, metric)
    step_of = np.zeros(uses.count)
    step_of[numbers] = scales[:, None]
    values = np.zeros(uses.count)
    values[numbers] = steps
    pull = (targets - steps * scales[:, None]) @ metric
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
    result: Doubles = values[numbers]
    return result


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
