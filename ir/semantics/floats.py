"""Float operations that several dialects share."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from epimc.ir.semantics.arrays import pieces
from epimc.ir.semantics.convolution import correlate
from epimc.ir.semantics.windows import Window

Array = NDArray[Any]

# Weights that are float64 at once: those of a large layer would take twice their memory again.
MAXIMUM_WIDE = 2**24


def float_convolve(x: Array, weights: Array, window: Window) -> Array:
    """Convolution in float64 of [batch, C, H, W] with [Cout, Cin / groups, Kh, Kw]."""
    return correlate(x, weights, window, 0, float_product)


def float_product(x: Array, filters: Array) -> Array:
    """x [groups, n, K] @ filters [groups, K, N] in float64, some columns after the others."""
    groups, size, count = filters.shape
    parts = [
        x @ filters[:, :, part].astype(np.float64)
        for part in pieces(count, groups * size, MAXIMUM_WIDE)
    ]
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=2)
