"""Second-order compensated rounding: each weight takes over what those before it left.

Frantar et al., arXiv 2210.17323 (GPTQ), in the form of Chee et al., arXiv 2307.13304, section 3.2:
with H = U D U^T, U unit upper triangular, weight k is rounded to the nearest of
W[k] + sum over j < k of (W[j] - s Q[j]) U[j, k].
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from epimc.quantization.rounding.problem import Grid, Places, Problem

Doubles = NDArray[np.float64]

# Weights are gone through in blocks, behind each of which all others learn of what is left over.
BLOCK = 64


@dataclass(frozen=True)
class Feedback:
    """What weights take over from those before them.

    Attributes:
        order: In which inputs come, [groups, K]: those first that vary most, as the others can make
            up for them.
        upper: U, for inputs in this order, [groups, K, K].
    """

    order: Places
    upper: Doubles

    @staticmethod
    def of(problem: Problem) -> Feedback:
        """That of a problem with a metric.

        Raises:
            numpy.linalg.LinAlgError: The metric is not positive definite.
        """
        order = np.argsort(-problem.importance, axis=1, kind="stable")
        metric = np.take_along_axis(problem.full_metric, order[:, :, None], axis=1)
        return Feedback(order, unit_upper(np.take_along_axis(metric, order[:, None, :], axis=2)))


def compensated(problem: Problem, scales: Doubles, feedback: Feedback) -> Doubles:
    """The integers [groups, outputs, K], of a layer whose epitome is its weights."""
    order, upper = feedback.order, feedback.upper
    targets = np.take_along_axis(problem.targets, order[:, None, :], axis=2)
    steps, left = np.empty_like(targets), np.empty_like(targets)
    for start in range(0, targets.shape[2], BLOCK):
        own = slice(start, start + BLOCK)
        ahead = targets[..., own] + left[..., :start] @ upper[:, :start, own]
        block = targets[..., own], ahead, upper[:, own, own]
        steps[..., own], left[..., own] = rounded_block(*block, problem.grid, scales)
    result = np.empty_like(steps)
    np.put_along_axis(result, np.broadcast_to(order[:, None, :], steps.shape), steps, axis=2)
    return result


def rounded_block(
    targets: Doubles, ahead: Doubles, feedback: Doubles, grid: Grid, scales: Doubles
) -> tuple[Doubles, Doubles]:
    """The integers of a block of weights, and what of each weight is left over.

    Args:
        targets: The weights.
        ahead: The same with what those before the block left; takes in what those of it leave.
        feedback: What a weight takes over from those before it, [groups, block, block].
        grid: The integers.
        scales: Their steps.
    """
    steps, left = np.empty_like(ahead), np.empty_like(ahead)
    for k in range(ahead.shape[2]):
        steps[..., k] = grid.nearest(ahead[..., k] / scales)
        left[..., k] = targets[..., k] - steps[..., k] * scales
        ahead[..., k + 1 :] += left[..., k, None] * feedback[:, None, k, k + 1 :]
    return steps, left


def unit_upper(metric: Doubles) -> Doubles:
    """U of metric = U D U^T with a diagonal D, float64 [groups, K, K]."""
    # A Cholesky factor of the matrix turned around, turned back.
    upper = np.linalg.cholesky(metric[:, ::-1, ::-1])[:, ::-1, ::-1]
    factors: Doubles = upper / np.diagonal(upper, axis1=1, axis2=2)[:, None, :]
    return factors
