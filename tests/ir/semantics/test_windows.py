"""Windows and pools against slow definitions and against onnxruntime."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from epimc.ir.semantics.windows import (
    Window,
    gather,
    max_pool,
    sum_pool,
    window_counts,
    window_shares,
)
from tests.ir.semantics.nodes import geometries, one_node, slow_windows

Array = NDArray[Any]


@given(geometries(), st.data())
def test_gather_delivers_every_window(
    actual: tuple[tuple[int, ...], Window], data: st.DataObject
) -> None:
    shape, window = actual
    x = np.arange(math.prod(shape), dtype=np.int64).reshape(shape)
    expected = slow_windows(x, window, -5)
    rows = expected.shape[4]
    first = data.draw(st.integers(0, rows - 1))
    count = data.draw(st.integers(1, rows - first))
    got = gather(x, window, -5, first, count)
    assert np.array_equal(got, expected[:, :, :, :, first : first + count])
    assert not got.flags.writeable


@given(geometries())
def test_rows_are_those_that_gather_reads(actual: tuple[tuple[int, ...], Window]) -> None:
    (_, _, height, _), window = actual
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
        assert list(window.rows(y, height)) == [row for row in read.tolist() if row >= 0]


@given(geometries(pool=True), st.integers(0, 2**32 - 1))
def test_maxima_equal_onnxruntime(actual: tuple[tuple[int, ...], Window], seed: int) -> None:
    shape, window = actual
    x = np.random.default_rng(seed).integers(0, 4, shape, np.uint8)
    got = max_pool(x.astype(np.int64), window)
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
    actual: tuple[tuple[int, ...], Window], seed: int, zero_point: int
) -> None:
    shape, window = actual
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
    assert np.array_equal(sum_pool(x.astype(np.int64), window, zero_point), theirs)


@given(geometries(), st.integers(0, 2**32 - 1), st.data())
def test_shares_make_sums_means(
    actual: tuple[tuple[int, ...], Window], seed: int, data: st.DataObject
) -> None:
    """Each sum times its share is the common multiple times the mean of what counts."""
    shape, window = actual
    top, left, bottom, right = (data.draw(st.integers(0, pad)) for pad in window.pads)
    counted = top, left, bottom, right
    x = np.random.default_rng(seed).integers(0, 256, shape)
    ones = np.zeros((1, 1, shape[2] + window.pads[0] + window.pads[2],
                     shape[3] + window.pads[1] + window.pads[3]), np.int64)  # fmt: skip
    ones[:, :, window.pads[0] - top : ones.shape[2] - window.pads[2] + bottom,
         window.pads[1] - left : ones.shape[3] - window.pads[3] + right] = 1  # fmt: skip
    bare = replace(window, pads=(0, 0, 0, 0))
    counts = sum_pool(ones, bare, 0)[0, 0]
    assert np.array_equal(window_counts(window, counted, shape[2:]), counts)
    if not counts.all():
        with pytest.raises(ValueError, match="nothing but padding"):
            window_shares(window, counted, shape[2:])
        return
    multiple, shares = window_shares(window, counted, shape[2:])
    assert np.array_equal(shares * counts, np.full_like(counts, multiple))
    assert math.gcd(*shares.ravel().tolist()) == 1
    weighted = sum_pool(x, window, 9, counted)
    assert np.array_equal(weighted, sum_pool(x, window, 9) * shares)
