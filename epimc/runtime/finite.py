"""Functions of one number, run so that what they have no result for harms nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from epimc.runtime.guard import run_model

Array = NDArray[Any]


def run_finite(model: bytes, inputs: Mapping[str, Array]) -> list[Array]:
    """What tables make of a function: 0 where it has no result, and no more than finite ones.

    Samples that are drawn leave the domain of a logarithm, which real ones keep to.
    """
    return [finite(result) for result in run_model(model, inputs)]


def finite(results: Array) -> Array:
    """The results, those that are not finite as near as the others come, or 0."""
    known = results[np.isfinite(results)]
    if known.size == results.size:
        return results
    low, high = (known.min(), known.max()) if known.size else (0.0, 0.0)
    return np.nan_to_num(results, nan=0.0, neginf=low, posinf=high)
