"""Tables of functions: what a function makes of every value of an activation."""

from __future__ import annotations

import numpy as np

from epimc.ir.core.op import Array, Lookup
from epimc.ir.core.types import TensorType
from epimc.ir.dialects.elementwise import Activation


def lookup_table(op: Activation, x: TensorType, y: TensorType, tensors: Lookup) -> Array:
    """The results for all values of x, rounded half to even and clipped to the type of y.

    Returns:
        int64 [1, 2^bits of x], or [C, 2^bits] where the channels differ.
    """
    channels = 1 if op.alphas is None else x.shape[0]
    real = (np.arange(2**x.bits) - x.zero_point) * x.step
    # The values as so many samples of vectors.
    results = op.evaluate([np.repeat(real[:, None], channels, axis=1)], tensors)
    # Infinite results are clipped to the ends like all that is too large.
    steps = np.rint(results / y.step) + y.zero_point
    table: Array = np.clip(steps, 0, 2**y.bits - 1).T.astype(np.int64)
    return table
