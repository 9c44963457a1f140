"""The integer semantics: one definition of every number after `quantize`.

The IR interpreter, the simulator and the checks of the program all call these functions, and the
ONNX export restates them in onnxruntime's operators; a test holds the two against each other bit
for bit.  numpy only; no other module of epimc is imported here.

Conventions: activations are unsigned integers q of `bits` bits with a zero point z, the real
value being (q - z) * scale.  Weights are signed and symmetric.  Accumulators are int64 and exact.
Arrays carry the samples of a batch on axis 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]
Cells = NDArray[np.uint8]
Array = NDArray[Any]

MappingName = Literal["twos_complement", "offset", "differential"]
"""How signed weights become unsigned cells."""

MAPPINGS: tuple[MappingName, ...] = get_args(MappingName)

Sides = tuple[int, int, int, int]
"""(top, left, bottom, right)."""

# So large may the common multiple of the counts of windows be: the means, of 8 bits more, leave a
# requantization its 16 bits.
MAXIMUM_SHARE = 2**32

MULTIPLIER_BITS = 31
MINIMUM_MULTIPLIER_BITS = 16
MAXIMUM_SHIFT = 62


def quantize_input(x: Floats, scale: float, zero_point: int, bits: int) -> Ints:
    """Real values to integers: exactly ONNX QuantizeLinear, then the upper bound of `bits` bits.

    The division is done in float32 and rounds half to even, as onnxruntime does.
    """
    # What is too large for float32 is infinite, and clipped like all that is too large.
    with np.errstate(over="ignore"):
        scaled = np.rint(np.asarray(x, np.float32) / np.float32(scale))
    q: Ints = np.clip(scaled.astype(np.float64) + zero_point, 0, 2**bits - 1).astype(np.int64)
    return q


def dequantize_output(q: Ints, scale: float, zero_point: int) -> Floats:
    """Integers to real values, (q - zero_point) * scale in float32: ONNX DequantizeLinear."""
    difference = (np.asarray(q, np.int64) - zero_point).astype(np.float32)
    with np.errstate(over="ignore"):
        return difference * np.float32(scale)


def pieces(count: int, size: int, limit: int = 2**20) -> Iterator[slice]:
    """Slices of `count` rows of `size` elements, each of at most `limit` elements or one row.

    What is computed from small integers takes many times their memory: large layers go through
    such steps piece by piece.
    """
    step = max(1, limit // max(1, size))
    for first in range(0, count, step):
        yield slice(first, min(first + step, count))


def weight_limit(bits: int) -> int:
    """The largest weight: 2^(bits-1) - 1, weights being symmetric (bits >= 2)."""
    return int(2 ** (bits - 1)) - 1


# --- requantization: the only rounding on the chip -------------------------------------------


def requantize(
    terms: list[Ints],
    multipliers: Ints,
    shifts: Ints,
    zero_point: int,
    low: int,
    high: int,
    offsets: Ints | None = None,
) -> Ints:
    """clamp(zero_point + floor((sum_i term_i*multiplier_i + offset + 2^(s-1)) / 2^s), low, high).

    Args:
        terms: int64 accumulators, or activations less their zero point, each [batch, C, H, W].
        multipliers: [len(terms), C], signed, magnitudes of at most 31 bits.
        shifts: [C], each in [1, 62].
        zero_point: Of the result.
        low: Smallest result (the zero point after a fused relu).
        high: Largest result.
        offsets: int64 [C], added before the shift; None for 0.
    """
    shape = (1, -1) + (1,) * (terms[0].ndim - 2)
    # In place, since a simulation spends much of its time here.
    y: Ints = terms[0] * multipliers[0].reshape(shape)
    for term, factors in zip(terms[1:], multipliers[1:], strict=True):
        y += term * factors.reshape(shape)
    if offsets is not None:
        y += offsets.reshape(shape)
    y += np.left_shift(np.int64(1), shifts - 1).reshape(shape)
    y >>= shifts.reshape(shape)
    y += zero_point
    np.clip(y, low, high, out=y)
    return y


class PrecisionError(ValueError):
    """The multipliers of a requantization would have fewer than 16 bits."""


def requantization(
    scales: list[float], bounds: list[int], offset: float = 0.0
) -> tuple[list[int], int, int]:
    """Multipliers, shift and offset for one output channel of a requantization.

    Args:
        scales: Real factor of each term (its scale over the result's), of either sign; 0 leaves
            the term out.
        bounds: Largest magnitude of each term.
        offset: Real number of steps of the result to add.

    Returns:
        One multiplier for each term, their common shift s and the offset in units of 2^-s: the
        widest for which every multiplier has at most 31 bits and
        sum_i bounds[i]*|M_i| + |offset| + 2^(s-1) < 2^63.

    Raises:
        PrecisionError: Fewer than 16 bits are left for the largest multiplier.
    """
    if not all(map(math.isfinite, (*scales, offset))):
        raise PrecisionError("the factor of a requantization is not a finite number")
    largest = max(map(abs, scales))
    smallest = 2 ** (MINIMUM_MULTIPLIER_BITS - 1) if largest else 0
    first = min(MAXIMUM_SHIFT, MULTIPLIER_BITS + 1 - math.frexp(largest)[1])
    for shift in range(first, 0, -1):
        multipliers = [multiplier(scale, shift) for scale in scales]
        whole = round(math.ldexp(offset, shift))
        widest = max(map(abs, multipliers))
        if widest < smallest:
            break
        total = sum(b * abs(m) for b, m in zip(bounds, multipliers, strict=True)) + abs(whole)
        if widest < 2**MULTIPLIER_BITS and total + 2 ** (shift - 1) < 2**63:
            return multipliers, shift, whole
    raise PrecisionError("fewer than 16 bits are left for the requantization's multiplier")


def multiplier(scale: float, shift: int) -> int:
    """scale * 2^shift, rounded; the least of its sign where the shift leaves nothing of it."""
    least = (scale > 0) - (scale < 0)
    return round(math.ldexp(scale, shift)) or least


# --- two activations, and functions of one ------------------------------------------------------


def multiply(a: Ints, b: Ints, zero_points: tuple[int, int]) -> Ints:
    """Accumulators (a - its zero point) * (b - its zero point); sizes of 1 in `b` are repeated."""
    product: Ints = (a - zero_points[0]) * (b - zero_points[1])
    return product


def lookup(q: Ints, table: Ints) -> Ints:
    """table[q], or table[c, q] in channel c.

    Args:
        q: Activations [batch, C, ...].
        table: [1, 2^bits] for all channels, or [C, 2^bits].
    """
    channels = np.arange(len(table)).reshape((1, -1) + (1,) * (q.ndim - 2))
    result: Ints = table[channels, q]
    return result


def concat(parts: list[Array], axis: int = 0) -> Array:
    """Maps or vectors [batch, C, ...], one behind the other along a dim of the sample."""
    return np.concatenate(parts, axis=axis + 1)


def pad(
    q: Array, channels: tuple[int, int], pads: tuple[int, int, int, int], zero_point: float
) -> Array:
    """[batch, C, H, W] with channels (before, after) and pads (top, left, bottom, right) of 0."""
    top, left, bottom, right = pads
    width = ((0, 0), channels, (top, bottom), (left, right))
    return np.pad(q, width, constant_values=zero_point)


# --- windows: convolution and pooling ---------------------------------------------------------


@dataclass(frozen=True)
class Window:
    """The geometry of a sliding window over [C, H, W].

    Attributes:
        kernel: (height, width).
        strides: (vertical, horizontal).
        pads: (top, left, bottom, right).
        dilations: (vertical, horizontal).
    """

    kernel: tuple[int, int]
    strides: tuple[int, int] = (1, 1)
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilations: tuple[int, int] = (1, 1)

    def extent(self, axis: int) -> int:
        """Rows (axis 0) or columns (axis 1) that one window spans, dilation included."""
        return (self.kernel[axis] - 1) * self.dilations[axis] + 1

    def output_size(self, size: int, axis: int) -> int:
        """Output rows or columns for `size` input rows or columns; may be below 1."""
        padded = size + self.pads[axis] + self.pads[axis + 2]
        return (padded - self.extent(axis)) // self.strides[axis] + 1

    def rows(self, y: int, height: int) -> list[int]:
        """The input rows inside the image that output row `y` reads, ascending."""
        first = y * self.strides[0] - self.pads[0]
        rows = (first + u * self.dilations[0] for u in range(self.kernel[0]))
        return [row for row in rows if 0 <= row < height]


def gather(x: Array, window: Window, fill: float, row: int, count: int) -> Array:
    """The windows of output rows row..row+count-1, as [batch, C, Kh, Kw, count, Wout].

    A read outside the image delivers `fill`.  `x` is [batch, C, H, W].
    """
    (kh, kw), (sy, sx), (dy, dx) = window.kernel, window.strides, window.dilations
    top, left, _, right = window.pads
    batch, channels, height, width = x.shape
    out_width = window.output_size(width, 1)
    first = row * sy - top
    span = (count - 1) * sy + window.extent(0)
    padded = np.full((batch, channels, span, width + left + right), fill, x.dtype)
    begin, end = max(first, 0), min(first + span, height)
    if begin < end:
        padded[:, :, begin - first : end - first, left : left + width] = x[:, :, begin:end]
    b, c, r, w = padded.strides
    return np.lib.stride_tricks.as_strided(
        padded,
        (batch, channels, kh, kw, count, out_width),
        (b, c, r * dy, w * dx, r * sy, w * sx),
        writeable=False,
    )


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
    (batch, channels), outputs = x.shape[:2], len(weights)
    groups = channels // weights.shape[1]
    count = outputs // groups
    height = window.output_size(x.shape[2], 0)
    patches = gather(x, window, fill, 0, height)
    width = patches.shape[5]
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


def max_pool(x: Ints, window: Window) -> Ints:
    """Maximum of each window; reads outside the image never win.  Activations are >= 0."""
    height = window.output_size(x.shape[2], 0)
    result: Ints = gather(x, window, -1, 0, height).max(axis=(2, 3))
    return result


def sum_pool(x: Ints, window: Window, zero_point: int, counted: Sides | None = None) -> Ints:
    """Accumulators: the sum over each window of q - zero_point, zero outside the image.

    With `counted` each sum is multiplied by its window's share (`window_shares`).
    """
    height = window.output_size(x.shape[2], 0)
    total: Ints = gather(x - zero_point, window, 0, 0, height).sum(axis=(2, 3))
    if counted is not None:
        total *= window_shares(window, counted, x.shape[2:])[1]
    return total


def window_counts(window: Window, counted: Sides, size: tuple[int, ...]) -> Ints:
    """How many elements of each window lie in a map [height, width] or in its counted padding.

    Args:
        window: Slides over the map with all of its padding.
        counted: How much of the padding counts: (top, left, bottom, right).
        size: (height, width) of the map.

    Returns:
        int64 [Hout, Wout].
    """
    numbers = []
    for axis in (0, 1):
        first = np.arange(window.output_size(size[axis], axis)) * window.strides[axis]
        steps = np.arange(window.kernel[axis]) * window.dilations[axis]
        read = first[:, None] + steps - window.pads[axis]
        inside = (read >= -counted[axis]) & (read < size[axis] + counted[axis + 2])
        numbers.append(inside.sum(axis=1))
    return np.outer(numbers[0], numbers[1])


def window_shares(window: Window, counted: Sides, size: tuple[int, ...]) -> tuple[int, Ints]:
    """The least common multiple of all counts, and what it is of each window's, [Hout, Wout].

    Means over windows of different counts so become integers of one step: sum * share is the mean
    times the multiple.

    Raises:
        ValueError: A window counts nothing, or the multiple exceeds MAXIMUM_SHARE.
    """
    counts = window_counts(window, counted, size)
    if not counts.all():
        raise ValueError("a window of nothing but padding has no mean")
    whole = math.lcm(*np.unique(counts).tolist())
    if whole > MAXIMUM_SHARE:
        raise ValueError("the counts of the windows have too large a common multiple")
    return whole, whole // counts


# --- cells: how a signed weight becomes unsigned cell levels ------------------------------------


def slice_coefficients(mapping: str, bits: int, cell_bits: int) -> tuple[int, ...]:
    """What a column of each bit slice counts for, lowest slice first.

    A weight is sum_k coefficient[k] * level[k], for `offset` less 2^(bits-1), which the
    reference column (every driven cell at level 1) delivers.

    - offset: ceil(b/c) slices of w + 2^(b-1);
    - twos_complement: ceil((b-1)/c) slices of the low b-1 bits, then the sign with -2^(b-1);
    - differential: ceil((b-1)/c) slices of max(w, 0), then as many of max(-w, 0).
    """
    if mapping == "offset":
        return tuple(1 << (cell_bits * k) for k in range(-(-bits // cell_bits)))
    low = tuple(1 << (cell_bits * k) for k in range(-(-(bits - 1) // cell_bits)))
    if mapping == "twos_complement":
        return (*low, -(1 << (bits - 1)))
    return (*low, *(-value for value in low))


def reference_coefficient(mapping: str, bits: int) -> int:
    """What the reference column counts for in every weight column; 0 when there is none."""
    return -(1 << (bits - 1)) if mapping == "offset" else 0


def slice_weights(weights: Ints, mapping: str, bits: int, cell_bits: int) -> Cells:
    """Cell levels [..., slices] of signed weights, in the order of `slice_coefficients`."""
    count = len(slice_coefficients(mapping, bits, cell_bits))
    if mapping == "differential":
        parts = [np.maximum(weights, 0), np.maximum(-weights, 0)]
        return np.concatenate([low_slices(p, count // 2, cell_bits) for p in parts], axis=-1)
    if mapping == "offset":
        return low_slices(weights + (1 << (bits - 1)), count, cell_bits)
    low = low_slices(weights & ((1 << (bits - 1)) - 1), count - 1, cell_bits)
    sign = (weights < 0).astype(np.uint8)[..., None]
    return np.concatenate([low, sign], axis=-1)


def low_slices(values: Ints, count: int, cell_bits: int) -> Cells:
    """The lowest `count` groups of `cell_bits` bits of integers in [0, 2^16), [..., count]."""
    shifts = np.arange(count, dtype=np.uint16) * np.uint16(cell_bits)
    levels = (values.astype(np.uint16)[..., None] >> shifts) & np.uint16((1 << cell_bits) - 1)
    return levels.astype(np.uint8)


def lossless_adc_bits(driven_rows: int, dac_bits: int, cell_bits: int) -> int:
    """Bits of an ADC with step 1 that reads `driven_rows` word lines without loss."""
    highest = driven_rows * (2**dac_bits - 1) * (2**cell_bits - 1)
    return int(highest).bit_length()
