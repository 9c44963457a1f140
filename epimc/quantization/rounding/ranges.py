"""Scales of a layer's weights before they are rounded: how far the integers reach."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from epimc.quantization.rounding.options import WeightRange
from epimc.quantization.rounding.problem import Problem
from epimc.quantization.rounding.weights import SMALLEST_RELATIVE_SCALE, SMALLEST_STEP

Doubles = NDArray[np.float64]


PERCENTILE = 99.0

# Ranges that are tried, as shares of the largest weight.
SHARES = np.linspace(0.2, 1.0, 33)


def scales_of(problem: Problem, kind: WeightRange) -> Doubles:
    """The scales [groups, outputs] of a range."""
    magnitudes = np.abs(problem.centres())
    if kind == "percentile":
        tops = np.percentile(magnitudes, PERCENTILE, axis=-1)
    else:
        tops = magnitudes.max(axis=-1, initial=0.0)
    full = usable(problem.largest(tops)) / problem.grid.limit
    return best_share(problem, full) if kind == "mse" else full


def usable(tops: Doubles) -> Doubles:
    """Ranges of channels, with a floor under those of nothing, as `column_scales` has it."""
    top = tops.max(initial=0.0)
    result: Doubles = np.maximum(tops, top * SMALLEST_RELATIVE_SCALE if top >= SMALLEST_STEP else 1)
    return result


def best_share(problem: Problem, full: Doubles) -> Doubles:
    """Of shares of scales those whose nearest integers lose least, in the metric's diagonal."""
    centres = problem.centres()
    best, least = full, np.full(full.shape, np.inf)
    for share in SHARES:
        scales = share * full
        lost = problem.grid.nearest(centres / scales[..., None])
        lost *= scales[..., None]
        lost -= problem.targets
        np.square(lost, out=lost)
        loss = problem.joined((lost @ problem.importance[..., None])[..., 0])
        best, least = np.where(loss < least, scales, best), np.minimum(loss, least)
    return best
