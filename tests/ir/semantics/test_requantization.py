"""Multipliers of either sign and offsets: what is chosen is near, and never overflows."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from epimc.ir.semantics.requantization import (
    MULTIPLIER_BITS,
    PrecisionError,
    requantization,
    requantize,
)

FACTORS = st.floats(2.0**-10, 4.0).flatmap(lambda x: st.sampled_from([x, -x]))


@given(
    terms=st.lists(st.tuples(FACTORS, st.integers(1, 2**30)), min_size=1, max_size=4),
    offset=st.floats(-1e4, 1e4),
    data=st.data(),
)
def test_the_result_is_the_rounded_sum(
    terms: list[tuple[float, int]], offset: float, data: st.DataObject
) -> None:
    scales, bounds = [s for s, _ in terms], [b for _, b in terms]
    multipliers, shift, added = requantization(scales, bounds, offset)
    used = sum(b * abs(m) for b, m in zip(bounds, multipliers, strict=True))
    assert used + abs(added) + 2 ** (shift - 1) < 2**63
    assert max(map(abs, multipliers)) < 2**MULTIPLIER_BITS
    values = [data.draw(st.integers(-b, b)) for b in bounds]
    arrays = [np.array([[v]]) for v in values]
    columns = np.array(multipliers)[:, None]
    shifts, offsets = np.array([shift]), np.array([added])
    got = requantize(arrays, columns, shifts, 0, -(2**62), 2**62, offsets)
    exact = sum(v * m for v, m in zip(values, multipliers, strict=True)) + added
    assert int(got[0, 0]) == (exact + 2 ** (shift - 1)) >> shift
    real = sum(Fraction(s) * v for s, v in zip(scales, values, strict=True)) + Fraction(offset)
    # Half a step of rounding, and each multiplier's own rounding.
    error = Fraction(1, 2) + Fraction(sum(bounds) + 1, 2 ** (shift + 1))
    assert abs(int(got[0, 0]) - real) <= error


def test_factors_of_nothing_and_next_to_nothing() -> None:
    assert requantization([0.0], [255], 2.0) == ([0], 32, 2**33)
    assert requantization([0.5, 0.0, -1e-30], [255] * 3) == ([2**30, 0, -1], 31, 0)


@pytest.mark.parametrize(
    ("scales", "bounds", "offset", "problem"),
    [
        ([float("nan")], [1], 0.0, "the factor of a requantization is not a finite number"),
        ([1.0], [1], float("inf"), "the factor of a requantization is not a finite number"),
        ([1.0], [2**50], 0.0, "fewer than 16 bits are left for the requantization's multiplier"),
        ([-1.0], [2**50], 0.0, "fewer than 16 bits are left for the requantization's multiplier"),
        ([1.0], [1], 2.0**60, "fewer than 16 bits are left for the requantization's multiplier"),
    ],
)
def test_precision(scales: list[float], bounds: list[int], offset: float, problem: str) -> None:
    with pytest.raises(PrecisionError) as caught:
        requantization(scales, bounds, offset)
    assert str(caught.value) == problem


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
def test_multipliers_are_the_widest_that_fit(actual: tuple[list[float], list[int]]) -> None:
    scales, bounds = actual
    fitting = [shift for shift in range(1, 63) if feasible(scales, bounds, shift)]
    widest = max(fitting, default=1)
    expected = rounded(scales, widest)
    if not fitting or max(expected) < 2**15:
        with pytest.raises(PrecisionError):
            requantization(scales, bounds)
        return
    assert requantization(scales, bounds) == (expected, widest, 0)


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
    with pytest.raises(PrecisionError) as caught:
        requantization(scales, bounds)
    assert str(caught.value) == message


def test_sixteen_bits_are_just_enough() -> None:
    # 2^15 is a number of 16 bits.
    assert requantization([2.0**-47], [1]) == ([2**15], 62, 0)
    multipliers, shift, _ = requantization([1.0], [2**48 - 1])
    assert (multipliers, shift) == ([2**15], 15)


@given(requantizations(), st.integers(0, 255), st.integers(0, 200), st.data())
def test_requantize_is_what_big_integers_say(
    actual: tuple[list[float], list[int]], zero_point: int, low: int, data: st.DataObject
) -> None:
    scales, bounds = actual
    try:
        multipliers, shift, _ = requantization(scales, bounds)
    except PrecisionError:
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
    got = requantize(terms, matrix, shifts, zero_point, low, high)
    for k in range(width):
        total = sum(row[k] * m for row, m in zip(rows, multipliers, strict=True))
        rounded = math.floor(Fraction(total, 2**shift) + Fraction(1, 2))
        assert got[0, 0, 0, k] == min(max(zero_point + rounded, low), high)


def test_each_channel_has_its_multiplier_and_shift() -> None:
    terms = [np.full((2, 3), 10, np.int64), np.full((2, 3), -4, np.int64)]
    matrix = np.array([[1, 2, 3], [1, 1, 1]], np.int64)
    got = requantize(terms, matrix, np.array([1, 2, 1]), 7, 0, 255)
    # 6/2, 16/4, 26/2 above the zero point.
    assert got.tolist() == [[10, 11, 20]] * 2
