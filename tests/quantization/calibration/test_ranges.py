"""The ranges that observers choose."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from epimc.quantization.calibration.histograms import Histogram
from epimc.quantization.calibration.options import CalibrateOptions
from epimc.quantization.calibration.ranges import OBSERVERS, Choice, Range, chosen_range
from epimc.support.options import options_of

Floats = NDArray[np.float64]

SHAPES = {
    "normal": lambda random: random.normal(size=50_000),
    "relu": lambda random: np.maximum(random.normal(size=50_000), 0),
    "tails": lambda random: random.standard_t(3, size=50_000),
    "below": lambda random: -np.abs(random.normal(size=50_000)),
    "swish": lambda random: random.exponential(size=50_000) - 0.25,
}


def drawn(shape: str) -> Floats:
    """Numbers of a distribution."""
    return np.asarray(SHAPES[shape](np.random.default_rng(1)))


def chosen(observer: str, numbers: Floats, bits: int = 8, percentile: float = 99.99) -> Range:
    """The range that an observer chooses for numbers."""
    histogram = Histogram()
    histogram.add(numbers)
    return chosen_range(observer, histogram, Choice(percentile, bits))


def squared_error(numbers: Floats, ends: Range, bits: int) -> float:
    """The mean squared error of numbers as activations."""
    low, high = min(ends[0], 0.0), max(ends[1], 0.0)
    step = (high - low) / (2**bits - 1)
    zero = np.rint(-low / step)
    integers = np.clip(np.rint(numbers / step) + zero, 0, 2**bits - 1) - zero
    return float(np.mean((numbers - integers * step) ** 2))


def test_the_observers_are_those_of_the_option() -> None:
    values = options_of(CalibrateOptions)["observer"].kind.values  # type: ignore[attr-defined]
    assert [*OBSERVERS] == [*values]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("percentile", [50.0, 99.0, 99.99, 100.0])
def test_a_percentile_is_that_of_the_elements(shape: str, percentile: float) -> None:
    numbers = drawn(shape)
    low, high = chosen("percentile", numbers, percentile=percentile)
    span = numbers.max() - numbers.min()
    if percentile == 100.0:
        assert (low, high) == (numbers.min(), numbers.max())
    elif percentile > 50.0:
        expected = np.quantile(numbers, [1 - percentile / 100, percentile / 100])
        assert (low, high) == pytest.approx(expected, abs=span / 1000)
    assert (numbers > high).mean() <= 1 - percentile / 100
    assert (numbers < low).mean() <= 1 - percentile / 100


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("bits", [2, 4, 6, 8, 12])
def test_no_other_range_has_less_squared_error(shape: str, bits: int) -> None:
    numbers = drawn(shape)
    best = squared_error(numbers, chosen("mse", numbers, bits), bits)
    low, high = min(numbers.min(), 0.0), max(numbers.max(), 0.0)
    others = [
        squared_error(numbers, (low * a, high * b), bits)
        for a in np.linspace(0.05, 1, 20)
        for b in np.linspace(0.05, 1, 20)
    ]
    assert best <= 1.02 * min(others)


def test_fewer_bits_clip_more() -> None:
    numbers = drawn("normal")
    tops = [chosen("mse", numbers, bits)[1] for bits in (2, 4, 6, 8)]
    assert tops == sorted(tops)
    assert tops[0] < 0.5 * tops[-1]


def test_entropy_clips_what_is_far_away() -> None:
    numbers = drawn("normal")
    far = np.append(numbers, [40.0, -60.0])
    low, high = chosen("entropy", far)
    assert 2.0 < high < 10.0
    assert -10.0 < low < -2.0
    # Nothing is clipped where levels are as fine as bins.
    assert chosen("entropy", far, bits=12) == (-60.0, 40.0)


@pytest.mark.parametrize("observer", OBSERVERS)
@pytest.mark.parametrize("constant", [0.0, 3.0, -0.25, 1e-30, 1e30])
def test_a_constant_keeps_its_range(observer: str, constant: float) -> None:
    assert chosen(observer, np.full(100, constant)) == (constant, constant)


@pytest.mark.parametrize("observer", OBSERVERS)
def test_a_range_never_vanishes(observer: str) -> None:
    """Less than the percentile is not 0, and nothing but that is worth keeping."""
    numbers = np.zeros(1_000_000)
    numbers[7] = 5.0
    low, high = chosen(observer, numbers)
    assert low == 0.0
    assert 0.0 < high <= 5.0


@given(
    st.sampled_from([*OBSERVERS]),
    st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=50),
    st.integers(2, 16),
)
@settings(max_examples=60)
def test_a_range_is_one_of_the_elements(observer: str, numbers: list[float], bits: int) -> None:
    low, high = chosen(observer, np.array(numbers), bits)
    assert min(numbers) <= low <= high <= max(numbers) or low <= 0.0 <= high
    assert low >= min(*numbers, 0.0)
    assert high <= max(*numbers, 0.0)
    assert min(low, 0.0) < max(high, 0.0) or not any(numbers)
