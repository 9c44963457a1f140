"""Convolutions against onnxruntime, and products at the ends of the types that hold them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from epimc.ir.semantics import convolution
from epimc.ir.semantics.convolution import accumulator_bound, accumulator_bounds, convolve, matmul
from epimc.ir.semantics.windows import Window
from tests.ir.semantics.nodes import geometries, one_node, slow_windows

Array = NDArray[Any]


@given(geometries(), st.integers(0, 2**32 - 1), st.integers(4, 8), st.booleans())
def test_convolutions_equal_onnxruntime(
    actual: tuple[tuple[int, ...], Window], seed: int, bits: int, extreme: bool
) -> None:
    shape, window = actual
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
    got = convolve(x.astype(np.int64), weights.astype(np.int64), bias, window, zero_point, bits)
    assert got.dtype == np.int64
    assert np.array_equal(got, theirs.astype(np.int64) + bias.reshape(1, -1, 1, 1))
    patches = slow_windows(x.astype(np.int64), window, zero_point) - zero_point
    slow = np.einsum("ncuvij,ocuv->noij", patches, weights.astype(np.int64))
    assert np.array_equal(got, slow + bias.reshape(1, -1, 1, 1))


def edge(bound: int) -> tuple[Array, Array]:
    """A product whose partial sums reach `bound` from one by one."""
    x = np.array([[bound - 1, 1, 1, -1], [1 - bound, -1, 0, -1]], np.int64)
    return x, np.array([[1], [1], [-1], [-1]], np.int64)


@pytest.mark.parametrize("bound", [2**24 - 1, 2**24, 2**24 + 1, 2**53 - 1, 2**53, 2**53 + 1, 2**62])
def test_products_are_exact_where_the_type_changes(bound: int) -> None:
    x, matrix = edge(bound)
    expected = [[sum(int(a) * int(b) for a, b in zip(row, matrix[:, 0], strict=True))] for row in x]
    got = matmul(x, matrix, bound + 1)
    assert got.dtype == np.int64
    assert got.tolist() == expected


@pytest.mark.parametrize("bound", [2**24 - 1, 2**53 - 1])
def test_the_fast_types_are_exact_up_to_their_bound(bound: int) -> None:
    # Odd numbers up to the bound itself, the last that the type below int64 must hold.
    x = np.array([[bound - 2, 1, 1]], np.int64)
    assert matmul(x, np.ones((3, 1), np.int64), bound).tolist() == [[bound]]


def test_the_bound_of_a_convolution_counts_every_weight() -> None:
    # 8-bit activations: 258 * 255 * 255 is below 2^24, 259 * 255 * 255 above it.
    for count in (258, 259):
        weights = np.full((1, count, 1, 1), 255, np.int64)
        x = np.full((1, count, 1, 1), 255, np.int64)
        x[0, 0] = 254
        got = convolve(x, weights, np.zeros(1, np.int64), Window((1, 1)), 0, 8)
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
    bounds = accumulator_bounds(weights, bias, bits)
    for channel, flat in enumerate(weights.reshape(3, -1).tolist()):
        # With the zero point at the far end, activations reach +-top.
        assert bounds[channel] == sum(abs(w) * top for w in flat) + abs(int(bias[channel]))
    assert accumulator_bound(weights, bias, bits) == max(bounds)


def test_a_large_convolution_goes_some_rows_after_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    random = np.random.default_rng(1)
    x = random.integers(0, 255, (2, 4, 9, 7))
    weights, bias = random.integers(-9, 9, (6, 2, 3, 2)), random.integers(-9, 9, 6)
    window = Window((3, 2), (2, 1), (1, 0, 2, 1), (1, 2))
    at_once = convolve(x, weights, bias, window, 3, 8)
    products: list[int] = []

    def counted(*arguments: Any) -> Any:
        products.append(len(arguments[0]))
        return correlated(*arguments)

    correlated = convolution.correlated_rows
    monkeypatch.setattr(convolution, "correlated_rows", counted)
    monkeypatch.setattr(convolution, "LARGEST_PATCHES", 700)
    assert np.array_equal(convolve(x, weights, bias, window, 3, 8), at_once)
    assert len(products) == at_once.shape[2] // 2 + at_once.shape[2] % 2
