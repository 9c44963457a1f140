"""The integer semantics against slow definitions in Python's integers, and against onnxruntime."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from epimc.ir.semantics import integers
from epimc.ir.semantics.integers import Window
from tests.backends.onnx.agreement import LEVELS, run_onnx

Array = NDArray[Any]

SCALES = st.floats(2.0**-100, 2.0**100, width=32)
BITS = st.integers(2, 8)


def one_node(kind: str, inputs: dict[str, Array], constants: dict[str, Array], **given: Any) -> Any:
    """What onnxruntime computes for one node; the inputs come first, then the constants."""
    types = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), None)
        for name, array in inputs.items()
    ]
    node = helper.make_node(kind, [*inputs, *constants], ["y"], **given)
    made = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    result = onnx_type(kind)
    graph = helper.make_graph(
        [node], "g", types, [helper.make_tensor_value_info("y", result, None)], made
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    return run_onnx(model.SerializeToString(), inputs, LEVELS[0])["y"]


def onnx_type(kind: str) -> int:
    """The element type of a node's result."""
    found = {"ConvInteger": TensorProto.INT32, "DequantizeLinear": TensorProto.FLOAT}
    return int(found.get(kind, TensorProto.UINT8))


# --- the border -----------------------------------------------------------------------------------


def quantize_linear(x: Array, scale: float, zero_point: int) -> Array:
    """onnxruntime's QuantizeLinear to 8 bits."""
    constants: dict[str, Array] = {
        "s": np.array(scale, np.float32),
        "z": np.array(zero_point, np.uint8),
    }
    result: Array = one_node("QuantizeLinear", {"x": x}, constants)
    return result


@given(
    hnp.arrays(np.float32, 40, elements=st.floats(allow_nan=False, width=32)),
    SCALES,
    st.integers(0, 255),
    st.integers(4, 8),
)
def test_inputs_are_quantized_as_onnxruntime_does(
    x: Array, scale: float, zero_point: int, bits: int
) -> None:
    top = 2**bits - 1
    expected = np.minimum(quantize_linear(x, scale, min(zero_point, top)), top)
    got = integers.quantize_input(x, scale, min(zero_point, top), bits)
    assert got.dtype == np.int64
    assert np.array_equal(got, expected)


@pytest.mark.parametrize("scale", [2.0**-8, 1 / 255, 0.1, 3.0, 2.0**-100])
@pytest.mark.parametrize("zero_point", [0, 1, 127, 128, 255])
def test_ties_round_to_even_as_in_onnxruntime(scale: float, zero_point: int) -> None:
    steps = np.arange(-300, 300, dtype=np.float32) / 2
    # On the ties, and next to them.
    exact = steps * np.float32(scale)
    infinite = np.float32(np.inf)
    x = np.concatenate([exact, np.nextafter(exact, infinite), np.nextafter(exact, -infinite)])
    got = integers.quantize_input(x, scale, zero_point, 8)
    assert np.array_equal(got, quantize_linear(x, scale, zero_point))


def test_what_is_too_large_for_float32_is_clipped_or_infinite() -> None:
    x = np.array([3e38, -3e38], np.float32)
    assert integers.quantize_input(x, 2.0**-100, 7, 8).tolist() == [255, 0]
    real = integers.dequantize_output(np.array([255, 0]), 2.0**127, 128)
    assert real.tolist() == [np.inf, -np.inf]


def test_a_tie_goes_to_the_even_neighbour() -> None:
    x = np.array([-1.5, -0.5, 0.5, 1.5, 2.5], np.float32)
    assert integers.quantize_input(x, 1.0, 3, 4).tolist() == [1, 3, 3, 5, 5]


@given(hnp.arrays(np.uint8, 30), SCALES, st.integers(0, 255))
def test_outputs_are_dequantized_as_onnxruntime_does(
    q: Array, scale: float, zero_point: int
) -> None:
    constants: dict[str, Array] = {
        "s": np.array(scale, np.float32),
        "z": np.array(zero_point, np.uint8),
    }
    expected = one_node("DequantizeLinear", {"q": q}, constants)
    got = integers.dequantize_output(q.astype(np.int64), scale, zero_point)
    assert got.dtype == np.float32
    assert np.array_equal(got, expected)


# --- requantization -------------------------------------------------------------------------------


@st.composite
def requantizations(draw: st.DrawFn) -> tuple[list[float], list[int]]:
    """Factors and bounds of some terms."""
    count = draw(st.integers(1, 4))
    scales = draw(st.lists(st.floats(2.0**-40, 2.0**20), min_size=count, max_size=count))
    bounds = draw(st.lists(st.integers(1, 2**46), min_size=count, max_size=count))
    return scales, bounds


def rounded(scales: list[float], shift: int) -> list[int]:
    """The multipliers at a shift; none is 0."""
    return [max(1, round(Fraction(scale) * 2**shift)) for scale in scales]


def feasible(scales: list[float], bounds: list[int], shift: int) -> bool:
    """Whether a shift leaves 31 bits a multiplier and 63 for the sum."""
    multipliers = rounded(scales, shift)
    total = sum(b * m for b, m in zip(bounds, multipliers, strict=True))
    return max(multipliers) < 2**31 and total + 2 ** (shift - 1) < 2**63


@given(requantizations())
@example(([1.0 - 2.0**-40], [1]))
@example(([2.0**-47], [1]))
@example(([1.0], [2**46]))
@example(([0.5, 2.0**-60], [255, 2**46]))
def test_multipliers_are_the_widest_that_fit(found: tuple[list[float], list[int]]) -> None:
    scales, bounds = found
    fitting = [shift for shift in range(1, 63) if feasible(scales, bounds, shift)]
    widest = max(fitting, default=1)
    expected = rounded(scales, widest)
    if not fitting or max(expected) < 2**15:
        with pytest.raises(integers.PrecisionError):
            integers.requantization(scales, bounds)
        return
    assert integers.requantization(scales, bounds) == (expected, widest, 0)


@pytest.mark.parametrize(
    ("scales", "bounds", "message"),
    [
        ([2.0**-48], [1], "fewer than 16 bits are left for the requantization's multiplier"),
        ([1.0], [2**48], "fewer than 16 bits are left for the requantization's multiplier"),
        ([2.0**31], [1], "fewer than 16 bits are left for the requantization's multiplier"),
        ([math.nan], [1], "the factor of a requantization is not a finite number"),
        ([math.inf, 1.0], [1, 1], "the factor of a requantization is not a finite number"),
    ],
)
def test_too_little_precision_is_an_error(
    scales: list[float], bounds: list[int], message: str
) -> None:
    with pytest.raises(integers.PrecisionError) as caught:
        integers.requantization(scales, bounds)
    assert str(caught.value) == message


def test_sixteen_bits_are_just_enough() -> None:
    # 2^15 is a number of 16 bits.
    assert integers.requantization([2.0**-47], [1]) == ([2**15], 62, 0)
    multipliers, shift, _ = integers.requantization([1.0], [2**48 - 1])
    assert (multipliers, shift) == ([2**15], 15)


@given(requantizations(), st.integers(0, 255), st.integers(0, 200), st.data())
def test_requantize_is_what_big_integers_say(
    found: tuple[list[float], list[int]], zero_point: int, low: int, data: st.DataObject
) -> None:
    scales, bounds = found
    try:
        multipliers, shift, _ = integers.requantization(scales, bounds)
    except integers.PrecisionError:
        assume(False)
    high = data.draw(st.integers(low, 255))
    rows = [
        [-bound, bound, 0, *data.draw(st.lists(st.integers(-bound, bound), max_size=4))]
        for bound in bounds
    ]
    width = min(map(len, rows))
    terms = [np.array(row[:width], np.int64).reshape(1, 1, 1, width) for row in rows]
    matrix = np.array([[m] for m in multipliers], np.int64)
    shifts = np.array([shift], np.int64)
    got = integers.requantize(terms, matrix, shifts, zero_point, low, high)
    for k in range(width):
        total = sum(row[k] * m for row, m in zip(rows, multipliers, strict=True))
        rounded = math.floor(Fraction(total, 2**shift) + Fraction(1, 2))
        assert got[0, 0, 0, k] == min(max(zero_point + rounded, low), high)


def test_each_channel_has_its_multiplier_and_shift() -> None:
    terms = [np.full((2, 3), 10, np.int64), np.full((2, 3), -4, np.int64)]
    matrix = np.array([[1, 2, 3], [1, 1, 1]], np.int64)
    got = integers.requantize(terms, matrix, np.array([1, 2, 1]), 7, 0, 255)
    # 6/2, 16/4, 26/2 above the zero point.
    assert got.tolist() == [[10, 11, 20]] * 2


# --- windows --------------------------------------------------------------------------------------


@st.composite
def geometries(draw: st.DrawFn, *, pool: bool = False) -> tuple[tuple[int, ...], Window]:
    """A shape [batch, C, H, W] and a window that fits."""
    shape = draw(st.tuples(*(st.integers(1, n) for n in (2, 3, 9, 9))))
    pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))
    kernel = draw(pairs)
    most = [k - 1 if pool else 4 for k in kernel * 2]
    pads = draw(st.tuples(*(st.integers(0, m) for m in most)))
    window = Window(kernel, draw(pairs), pads, draw(pairs))
    assume(window.output_size(shape[2], 0) >= 1)
    assume(window.output_size(shape[3], 1) >= 1)
    return shape, window


def slow_windows(x: Array, window: Window, fill: int) -> Array:
    """[batch, C, Kh, Kw, Hout, Wout], element by element."""
    batch, channels, height, width = x.shape
    rows, columns = window.output_size(height, 0), window.output_size(width, 1)
    found = np.full((batch, channels, *window.kernel, rows, columns), fill, x.dtype)
    for u, v, i, j in np.ndindex(*window.kernel, rows, columns):
        y = i * window.strides[0] + u * window.dilations[0] - window.pads[0]
        z = j * window.strides[1] + v * window.dilations[1] - window.pads[1]
        if 0 <= y < height and 0 <= z < width:
            found[:, :, u, v, i, j] = x[:, :, y, z]
    return found


@given(geometries(), st.data())
def test_gather_delivers_every_window(
    found: tuple[tuple[int, ...], Window], data: st.DataObject
) -> None:
    shape, window = found
    x = np.arange(math.prod(shape), dtype=np.int64).reshape(shape)
    expected = slow_windows(x, window, -5)
    rows = expected.shape[4]
    first = data.draw(st.integers(0, rows - 1))
    count = data.draw(st.integers(1, rows - first))
    got = integers.gather(x, window, -5, first, count)
    assert np.array_equal(got, expected[:, :, :, :, first : first + count])
    assert not got.flags.writeable


@given(geometries())
def test_rows_are_those_that_gather_reads(found: tuple[tuple[int, ...], Window]) -> None:
    (_, _, height, _), window = found
    x = np.arange(height, dtype=np.int64).reshape(1, 1, height, 1)
    column = Window(
        (window.kernel[0], 1),
        window.strides,
        (window.pads[0], 0, window.pads[2], 0),
        window.dilations,
    )
    every = slow_windows(x, column, -1)
    for y in range(every.shape[4]):
        read = every[0, 0, :, 0, y, 0]
        assert window.rows(y, height) == [row for row in read.tolist() if row >= 0]


@given(geometries(), st.integers(0, 2**32 - 1), st.integers(4, 8), st.booleans())
def test_convolutions_equal_onnxruntime(
    found: tuple[tuple[int, ...], Window], seed: int, bits: int, extreme: bool
) -> None:
    shape, window = found
    random = np.random.default_rng(seed)
    top = 2**bits - 1
    x = random.integers(0, top, shape, np.uint8, endpoint=True)
    weights = random.integers(-127, 127, (4, shape[1], *window.kernel), np.int8, endpoint=True)
    zero_point = int(random.integers(0, top, endpoint=True))
    if extreme:
        x, weights = np.full_like(x, top), np.where(weights < 0, -127, 127).astype(np.int8)
    bias = random.integers(-(2**40), 2**40, 4)
    theirs = one_node(
        "ConvInteger",
        {"x": x},
        {"w": weights, "z": np.array(zero_point, np.uint8)},
        kernel_shape=window.kernel,
        strides=window.strides,
        pads=window.pads,
        dilations=window.dilations,
    )
    got = integers.convolve(
        x.astype(np.int64), weights.astype(np.int64), bias, window, zero_point, bits
    )
    assert got.dtype == np.int64
    assert np.array_equal(got, theirs.astype(np.int64) + bias.reshape(1, -1, 1, 1))
    patches = slow_windows(x.astype(np.int64), window, zero_point) - zero_point
    slow = np.einsum("ncuvij,ocuv->noij", patches, weights.astype(np.int64))
    assert np.array_equal(got, slow + bias.reshape(1, -1, 1, 1))


@given(geometries(pool=True), st.integers(0, 2**32 - 1))
def test_maxima_equal_onnxruntime(found: tuple[tuple[int, ...], Window], seed: int) -> None:
    shape, window = found
    x = np.random.default_rng(seed).integers(0, 4, shape, np.uint8)
    got = integers.max_pool(x.astype(np.int64), window)
    # A window of nothing but padding has no maximum; the verifier refuses it.
    assume(got.min() >= 0)
    theirs = one_node(
        "MaxPool",
        {"x": x},
        {},
        kernel_shape=window.kernel,
        strides=window.strides,
        pads=window.pads,
        dilations=window.dilations,
    )
    assert np.array_equal(got, theirs)


@given(geometries(), st.integers(0, 2**32 - 1), st.integers(0, 255))
def test_sums_equal_onnxruntime(
    found: tuple[tuple[int, ...], Window], seed: int, zero_point: int
) -> None:
    shape, window = found
    x = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
    theirs = one_node(
        "ConvInteger",
        {"x": x},
        {
            "w": np.ones((shape[1], 1, *window.kernel), np.int8),
            "z": np.array(zero_point, np.uint8),
        },
        kernel_shape=window.kernel,
        strides=window.strides,
        pads=window.pads,
        dilations=window.dilations,
        group=shape[1],
    )
    assert np.array_equal(integers.sum_pool(x.astype(np.int64), window, zero_point), theirs)


@given(geometries(), st.integers(0, 2**32 - 1), st.data())
def test_shares_make_sums_means(
    found: tuple[tuple[int, ...], Window], seed: int, data: st.DataObject
) -> None:
    """Each sum times its share is the common multiple times the mean of what counts."""
    shape, window = found
    top, left, bottom, right = (data.draw(st.integers(0, pad)) for pad in window.pads)
    counted = top, left, bottom, right
    x = np.random.default_rng(seed).integers(0, 256, shape)
    ones = np.zeros((1, 1, shape[2] + window.pads[0] + window.pads[2],
                     shape[3] + window.pads[1] + window.pads[3]), np.int64)  # fmt: skip
    ones[:, :, window.pads[0] - top : ones.shape[2] - window.pads[2] + bottom,
         window.pads[1] - left : ones.shape[3] - window.pads[3] + right] = 1  # fmt: skip
    bare = replace(window, pads=(0, 0, 0, 0))
    counts = integers.sum_pool(ones, bare, 0)[0, 0]
    assert np.array_equal(integers.window_counts(window, counted, shape[2:]), counts)
    if not counts.all():
        with pytest.raises(ValueError, match="nothing but padding"):
            integers.window_shares(window, counted, shape[2:])
        return
    whole, shares = integers.window_shares(window, counted, shape[2:])
    assert np.array_equal(shares * counts, np.full_like(counts, whole))
    assert math.gcd(*shares.ravel().tolist()) == 1
    weighted = integers.sum_pool(x, window, 9, counted)
    assert np.array_equal(weighted, integers.sum_pool(x, window, 9) * shares)


# --- exact products -------------------------------------------------------------------------------


def edge(bound: int) -> tuple[Array, Array]:
    """A product whose partial sums reach `bound` from one by one."""
    x = np.array([[bound - 1, 1, 1, -1], [1 - bound, -1, 0, -1]], np.int64)
    return x, np.array([[1], [1], [-1], [-1]], np.int64)


@pytest.mark.parametrize("bound", [2**24 - 1, 2**24, 2**24 + 1, 2**53 - 1, 2**53, 2**53 + 1, 2**62])
def test_products_are_exact_where_the_type_changes(bound: int) -> None:
    x, matrix = edge(bound)
    expected = [[sum(int(a) * int(b) for a, b in zip(row, matrix[:, 0], strict=True))] for row in x]
    got = integers.matmul(x, matrix, bound + 1)
    assert got.dtype == np.int64
    assert got.tolist() == expected


@pytest.mark.parametrize("bound", [2**24 - 1, 2**53 - 1])
def test_the_fast_types_are_exact_up_to_their_bound(bound: int) -> None:
    # Odd numbers up to the bound itself, the last that the type below int64 must hold.
    x = np.array([[bound - 2, 1, 1]], np.int64)
    assert integers.matmul(x, np.ones((3, 1), np.int64), bound).tolist() == [[bound]]


def test_the_bound_of_a_convolution_counts_every_weight() -> None:
    # 8-bit activations: 258 * 255 * 255 is below 2^24, 259 * 255 * 255 above it.
    for count in (258, 259):
        weights = np.full((1, count, 1, 1), 255, np.int64)
        x = np.full((1, count, 1, 1), 255, np.int64)
        x[0, 0] = 254
        got = integers.convolve(x, weights, np.zeros(1, np.int64), Window((1, 1)), 0, 8)
        assert got.item() == 255 * (255 * count - 1)


@given(
    hnp.arrays(np.int64, (3, 2, 2, 2), elements=st.integers(-127, 127)),
    hnp.arrays(np.int64, 3, elements=st.integers(-(2**40), 2**40)),
    st.integers(4, 8),
)
def test_accumulator_bounds_are_reached_by_the_worst_input(
    weights: Array, bias: Array, bits: int
) -> None:
    top = 2**bits - 1
    bounds = integers.accumulator_bounds(weights, bias, bits)
    for channel, flat in enumerate(weights.reshape(3, -1).tolist()):
        # With the zero point at the far end, activations reach +-top.
        assert bounds[channel] == sum(abs(w) * top for w in flat) + abs(int(bias[channel]))
    assert integers.accumulator_bound(weights, bias, bits) == max(bounds)


# --- cells ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("mapping", integers.MAPPINGS)
@pytest.mark.parametrize("bits", range(2, 9))
@pytest.mark.parametrize("cell_bits", range(1, 5))
def test_slices_and_coefficients_give_every_weight_back(
    mapping: str, bits: int, cell_bits: int
) -> None:
    limit = integers.weight_limit(bits)
    assert limit == 2 ** (bits - 1) - 1
    weights = np.arange(-limit, limit + 1)
    levels = integers.slice_weights(weights, mapping, bits, cell_bits)
    coefficients = integers.slice_coefficients(mapping, bits, cell_bits)
    assert levels.shape == (len(weights), len(coefficients))
    assert levels.dtype == np.uint8
    assert levels.max() < 2**cell_bits
    reference = integers.reference_coefficient(mapping, bits)
    assert np.array_equal(levels.astype(np.int64) @ np.array(coefficients) + reference, weights)


@pytest.mark.parametrize(
    ("mapping", "columns", "reference"),
    [
        ("offset", (1, 4, 16, 64), -128),
        ("twos_complement", (1, 4, 16, 64, -128), 0),
        ("differential", (1, 4, 16, 64, -1, -4, -16, -64), 0),
    ],
)
def test_columns_of_an_eight_bit_weight(
    mapping: str, columns: tuple[int, ...], reference: int
) -> None:
    assert integers.slice_coefficients(mapping, 8, 2) == columns
    assert integers.reference_coefficient(mapping, 8) == reference


def test_slices_keep_the_shape_of_the_weights() -> None:
    weights = np.array([[-3, 2], [1, 0]])
    assert integers.slice_weights(weights, "offset", 3, 2).tolist() == [
        [[1, 0], [2, 1]],
        [[1, 1], [0, 1]],
    ]
    assert integers.slice_weights(weights, "twos_complement", 3, 2).tolist() == [
        [[1, 1], [2, 0]],
        [[1, 0], [0, 0]],
    ]
    assert integers.slice_weights(weights, "differential", 3, 2).tolist() == [
        [[0, 3], [2, 0]],
        [[1, 0], [0, 0]],
    ]


@pytest.mark.parametrize(
    ("rows", "dac", "cell", "bits"),
    [(256, 1, 1, 9), (255, 1, 1, 8), (252, 1, 1, 8), (32, 2, 2, 9), (1, 1, 1, 1), (3, 4, 4, 10)],
)
def test_an_adc_without_loss_holds_the_largest_sum(
    rows: int, dac: int, cell: int, bits: int
) -> None:
    assert integers.lossless_adc_bits(rows, dac, cell) == bits
    largest = rows * (2**dac - 1) * (2**cell - 1)
    assert 2 ** (bits - 1) <= largest < 2**bits


@given(st.integers(0, 50), st.integers(0, 9), st.integers(1, 30))
def test_pieces_are_all_rows_in_order(count: int, size: int, limit: int) -> None:
    found = list(integers.pieces(count, size, limit))
    assert [row for part in found for row in range(count)[part]] == list(range(count))
    assert all((part.stop - part.start) * size <= max(limit, size) for part in found)
