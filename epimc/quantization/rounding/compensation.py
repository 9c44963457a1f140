"""Second-order compensated rounding: each weight takes over what those before it left.

Frantar et al., arXiv 2210.17323 (GPTQ), in the form of Chee et al., arXiv 2307.13304, section 3.2:
with H = U D U^T, U unit upper triangular, weight k is rounded to the nearest of
W[k] + sum over j < k of (W[j] - s Q[j]) U[j, k].

Weights are turned here, [groups, K, outputs]: what is computed at once lies together.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from epimc.quantization.rounding.problem import Grid, Problem

Doubles = NDArray[np.float64]

# Weights are gone through in blocks, behind each of which all others learn of what is left over.
BLOCK = 64


def compensated(problem: Problem, scales: Doubles) -> Doubles:
    """The integers [groups, outputs, K], of a layer whose epitome is its weights."""
    metric = problem.full_metric
    order, upper = metric.order[:, :, None], metric.upper
    diagonal = np.diagonal(upper, axis1=1, axis2=2)[:, None, :]
    targets = np.take_along_axis(problem.targets.transpose(0, 2, 1), order, axis=1)
    steps, left = np.empty_like(targets), np.empty_like(targets)
    for start in range(0, targets.shape[1], BLOCK):
        own = slice(start, start + BLOCK)
        feedback = (upper[:, : own.stop, own] / diagonal[..., own]).transpose(0, 2, 1)
        ahead = targets[:, own] + feedback[..., :start] @ left[:, :start]
        block = targets[:, own], ahead, feedback[..., start:]
        steps[:, own], left[:, own] = rounded_block(*block, problem.grid, scales)
    result = np.empty_like(steps)
    np.put_along_axis(result, np.broadcast_to(order, steps.shape), steps, axis=1)
    return result.transpose(0, 2, 1)


def rounded_block(
    targets: Doubles, ahead: Doubles, feedback: Doubles, grid: Grid, scales: Doubles
) -> tuple[Doubles, Doubles]:
    """The integers of a block of weights, and what of each weight is left over.

    Args:
        targets: The weights, [groups, block, outputs].
        ahead: The same with what those before the block left; takes in what those of it leave.
        feedback: What a weight takes over from those before it, [groups, block, block].
        grid: The integers.
        scales: Their steps, [groups, outputs].
    """
    steps, left = np.empty_like(ahead), np.empty_like(ahead)
    for k in range(ahead.shape[1]):
        steps[:, k] = grid.nearest(ahead[:, k] / scales)
        left[:, k] = targets[:, k] - steps[:, k] * scales
        ahead[:, k + 1 :] += feedback[:, k + 1 :, k, None] * left[:, None, k]
    return steps, left
