"""Convolution, and products of matrices that are exact."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from epimc.ir.semantics.arrays import Array, Ints, pieces
from epimc.ir.semantics.windows import Window, gather

# Elements of windows that are copied out at once: more rows go one part after the other.
LARGEST_PATCHES = 2**26


def exact_type(bound: int) -> type[np.float32 | np.float64 | np.int64]:
    """The fastest type that holds every integer up to `bound`."""
    if bound < 2**24:
        return np.float32
    return np.float64 if bound < 2**53 else np.int64


def matmul(x: Array, matrix: Array, bound: int) -> Ints:
    """x [n, K] @ matrix [K, N], exact, in `exact_type(bound)`.

    Args:
        x: Integers, in any type; none is converted that has that type already.  Stacks
            [..., n, K] and [..., K, N] are multiplied pair by pair.
        matrix: The same.
        bound: At least the largest magnitude of any partial sum of the product.
    """
    kind = exact_type(bound)
    # Floats have fast products, and are exact while all partial sums are integers that they hold.
    product = x.astype(kind, copy=False) @ matrix.astype(kind, copy=False)
    total: Ints = product.astype(np.int64, copy=False)
    return total


def correlate(
    x: Array, weights: Array, window: Window, fill: float, product: Callable[[Array, Array], Array]
) -> Array:
    """Every window of `x` times every filter of its group, [batch, Cout, Hout, Wout].

    Args:
        x: [batch, Cin, H, W].
        weights: [Cout, Cin / groups, Kh, Kw]; so their shape says how many groups there are.
        window: Strides, pads and dilations.
        fill: What a read outside the image delivers.
        product: Of windows [groups, n, K] and filters [groups, K, Cout / groups].
    """
    height, width = window.output_size(x.shape[2], 0), window.output_size(x.shape[3], 1)
    row = x.shape[0] * x.shape[1] * math.prod(window.kernel) * width
    parts = [
        correlated_rows(x, weights, window, fill, product, part)
        for part in pieces(height, row, LARGEST_PATCHES)
    ]
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=2)


def correlated_rows(
    x: Array,
    weights: Array,
    window: Window,
    fill: float,
    product: Callable[[Array, Array], Array],
    rows: slice,
) -> Array:
    """Some rows of the result of `correlate`."""
    (batch, channels), outputs = x.shape[:2], len(weights)
    groups = channels // weights.shape[1]
    count, height = outputs // groups, rows.stop - rows.start
    patches = gather(x, window, fill, rows.start, height)
    width = patches.shape[5]
    # One product a group, of all windows of all samples.
    split = patches.reshape(batch, groups, channels // groups, *patches.shape[2:]).transpose(
        1, 0, 5, 6, 2, 3, 4
    )
    filters = weights.reshape(groups, count, -1).transpose(0, 2, 1)
    total = product(split.reshape(groups, batch * height * width, filters.shape[1]), filters)
    maps = total.reshape(groups, batch, height, width, count).transpose(1, 0, 4, 2, 3)
    return maps.reshape(batch, outputs, height, width)


def convolve(
    x: Ints, weights: Ints, bias: Ints, window: Window, zero_point: int, bits: int
) -> Ints:
    """Accumulators of a convolution: sum of weights * (q - zero_point) + bias.

    Args:
        x: Activations q of `bits` bits, [batch, Cin, H, W].
        weights: [Cout, Cin / groups, Kh, Kw].
        bias: [Cout], in units of the accumulator.
        window: Strides, pads and dilations.
        zero_point: Of the activations; what a read outside the image delivers.
        bits: Of the activations.

    Returns:
        int64 [batch, Cout, Hout, Wout].
    """
    bound = accumulator_bound(weights, np.zeros_like(bias), bits)

    def product(columns: Array, filters: Array) -> Array:
        return matmul(columns - zero_point, filters, bound)

    total: Ints = correlate(x, weights, window, zero_point, product)
    return total + bias.reshape(1, -1, 1, 1)


def accumulator_bound(weights: Ints, bias: Ints, bits: int) -> int:
    """Largest magnitude any accumulator of a convolution can reach, over all channels."""
    return int(accumulator_bounds(weights, bias, bits).max(initial=0))


def accumulator_bounds(weights: Ints, bias: Ints, bits: int) -> Ints:
    """Per output channel: sum |w| * (2^bits - 1) + |bias|, whatever the zero point."""
    rows = weights.reshape(len(weights), -1)
    magnitudes = np.zeros(len(rows), np.int64)
    for part in pieces(*rows.shape):
        magnitudes[part] = np.abs(rows[part].astype(np.int64, copy=False)).sum(axis=1)
    bounds: Ints = magnitudes * (2**bits - 1) + np.abs(bias)
    return bounds
