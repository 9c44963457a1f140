"""Between real values and integers: the border, and the weights."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from epimc.ir.semantics.arrays import Array, Floats, Ints

Doubles = NDArray[np.float64]


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
    """The largest weight: 2^(bits-1) - 1, weights being symmetric; of one bit, -1 or 1, it is 1."""
    return int(2 ** (bits - 1)) - 1 if bits > 1 else 1


def nearest_weights(steps: Doubles, bits: int) -> Doubles:
    """The weights nearest to real numbers of steps; the middle between two half to even.

    Weights of one bit are -1 and 1: they have no 0.
    """
    if bits == 1:
        return np.where(steps < 0, -1.0, 1.0)
    limit = weight_limit(bits)
    return np.clip(np.rint(steps), -limit, limit)


def are_weights(array: Array, bits: int) -> bool:
    """Whether all numbers are weights of so many bits."""
    limit = weight_limit(bits)
    inside = -limit <= int(array.min(initial=0)) and int(array.max(initial=0)) <= limit
    return inside and (bits > 1 or bool(array.all()))


def bits_with_zero(bits: int, needs_zero: bool) -> int:
    """The bits that a layer's weights take: one bit has no 0."""
    return max(bits, 2) if needs_zero else bits
