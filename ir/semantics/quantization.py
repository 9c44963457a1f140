"""Between real values and integers: the border, and the weights."""

from __future__ import annotations

import numpy as np

from epimc.ir.semantics.arrays import Floats, Ints


def quantize_input(x: Floats, scale: float, zero_point: int, bits: int) -> Ints:
    """Real values to integers: exactly ONNX QuantizeLinear, then the upper bound of `bits` bits.

    The division is done in float32 and rounds half to even, as onnxruntime does.  NaN, of which
    processors make one thing or another, counts as 0.
    """
    real = np.asarray(x, np.float32)
    real = np.where(np.isnan(real), np.float32(0), real)
    # What is too large for float32 is infinite, and clipped like all that is too large.
    with np.errstate(over="ignore"):
        scaled = np.rint(real / np.float32(scale))
    q: Ints = np.clip(scaled.astype(np.float64) + zero_point, 0, 2**bits - 1).astype(np.int64)
    return q


def dequantize_output(q: Ints, scale: float, zero_point: int) -> Floats:
    """Integers to real values, (q - zero_point) * scale in float32: ONNX DequantizeLinear."""
    difference = (np.asarray(q, np.int64) - zero_point).astype(np.float32)
    with np.errstate(over="ignore"):
        return difference * np.float32(scale)


def weight_limit(bits: int) -> int:
    """The largest weight: 2^(bits-1) - 1, weights being symmetric (bits >= 2)."""
    return int(2 ** (bits - 1)) - 1
