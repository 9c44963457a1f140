"""Float operations that several dialects share."""

from __future__ import annotations

import numpy as np

from epimc.ir import integers
from epimc.ir.core import Array


def float_convolve(x: Array, weights: Array, window: integers.Window) -> Array:
    """Convolution in float64 of [batch, C, H, W] with [Cout, Cin / groups, Kh, Kw]."""
    return integers.correlate(x, weights.astype(np.float64), window, 0, np.matmul)
