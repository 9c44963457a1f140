"""Real values to integers and back, at the border of the chip."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from epimc.backends.crossbar.compiled.jit import compiled
from epimc.ir.semantics.arrays import Floats

Array = NDArray[Any]


def quantize(x: Floats, scale: float, zero_point: int, bits: int, out: Array) -> None:
    """What `ir.semantics.quantization.quantize_input` gives, with the channels last.

    Args:
        x: float32 [n, C, H, W].
        scale: Of a step of the result.
        zero_point: Of the result.
        bits: Of the result.
        out: uint8 or uint16 [n, H, W, C].
    """
    n, height, width, channels = out.shape
    flat = np.ascontiguousarray(x, np.float32).reshape(n, channels, height * width)
    places = out.reshape(n, height * width, channels)
    _quantize(flat, np.float32(scale), zero_point, 2**bits - 1, places)


@compiled
def _quantize(x: Array, scale: Any, zero_point: int, high: int, out: Array) -> None:
    for n in range(x.shape[0]):
        for c in range(x.shape[1]):
            for i in range(x.shape[2]):
                real = x[n, c, i]
                # Not a number counts as 0.
                if real != real:
                    real = np.float32(0)
                # Half to even, of a quotient in float32.
                step = np.float64(np.rint(real / scale)) + zero_point
                out[n, i, c] = min(max(step, 0.0), np.float64(high))
