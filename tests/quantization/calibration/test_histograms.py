"""Histograms that grow coarser: what they count, whatever comes first."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from epimc.quantization.calibration.histograms import SIDE, Extremes, Histogram

# Sums with a number of bins are exact.
NUMBERS = st.lists(
    st.one_of(st.integers(-2, 2), st.integers(-(2**40), 2**40)).map(lambda k: k / 2**20),
    min_size=1,
)


def filled(*parts: list[float] | np.ndarray) -> Histogram:
    """A histogram of some batches."""
    histogram = Histogram()
    for part in parts:
        histogram.add(np.asarray(part, np.float64))
    return histogram


@given(st.lists(NUMBERS, min_size=1, max_size=4))
def test_counts_depend_neither_on_order_nor_on_batches(batches: list[list[float]]) -> None:
    together = filled([number for batch in batches for number in batch])
    apart = filled(*batches[::-1])
    assert (apart.low, apart.high) == (together.low, together.high)
    assert apart.exponent == together.exponent or together.is_empty_beyond_zero
    assert apart.counts.tolist() == together.counts.tolist()


@given(NUMBERS)
def test_every_element_lies_in_its_bin(numbers: list[float]) -> None:
    histogram = filled(numbers)
    assert histogram.counts.sum() == len(numbers)
    if any(numbers):
        # At least half of the bins of the longer side are used.
        largest = max(map(abs, numbers))
        assert SIDE * histogram.width / 2 <= largest <= SIDE * histogram.width
    edges = np.arange(-SIDE, SIDE + 1) * histogram.width
    expected = np.histogram(np.asarray(numbers), edges)[0]
    assert histogram.counts.tolist() == expected.tolist()


def test_float32_is_counted_alike() -> None:
    numbers = np.random.default_rng(0).normal(size=100_000).astype(np.float32)
    plain, wide = Histogram(), Histogram()
    plain.add(numbers)
    wide.add(numbers.astype(np.float64))
    assert np.abs(np.cumsum(plain.counts - wide.counts)).max() <= 2


def test_zeros_alone_leave_the_width_open() -> None:
    histogram = filled(np.zeros(10), np.zeros(10), [3.0])
    assert histogram.counts[SIDE] == 20
    assert histogram.width == 4.0 / SIDE


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("kind", [Extremes, Histogram])
def test_what_is_not_finite_is_seen(kind: type[Extremes], wrong: float) -> None:
    seen = kind()
    seen.add(np.array([1.0, 2.0]))
    assert seen.is_finite
    seen.add(np.array([wrong, 1.0]))
    seen.add(np.array([0.0, 1.0]))
    assert not seen.is_finite
