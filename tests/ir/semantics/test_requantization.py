"""Multipliers of either sign and offsets: what is chosen is near, and never overflows."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from epimc.ir.semantics import integers

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
    multipliers, shift, whole = integers.requantization(scales, bounds, offset)
    used = sum(b * abs(m) for b, m in zip(bounds, multipliers, strict=True))
    assert used + abs(whole) + 2 ** (shift - 1) < 2**63
    assert max(map(abs, multipliers)) < 2**integers.MULTIPLIER_BITS
    values = [data.draw(st.integers(-b, b)) for b in bounds]
    arrays = [np.array([[v]]) for v in values]
    columns = np.array(multipliers)[:, None]
    shifts, offsets = np.array([shift]), np.array([whole])
    got = integers.requantize(arrays, columns, shifts, 0, -(2**62), 2**62, offsets)
    exact = sum(v * m for v, m in zip(values, multipliers, strict=True)) + whole
    assert int(got[0, 0]) == (exact + 2 ** (shift - 1)) >> shift
    real = sum(Fraction(s) * v for s, v in zip(scales, values, strict=True)) + Fraction(offset)
    # Half a step of rounding, and each multiplier's own rounding.
    error = Fraction(1, 2) + Fraction(sum(bounds) + 1, 2 ** (shift + 1))
    assert abs(int(got[0, 0]) - real) <= error


def test_factors_of_nothing_and_next_to_nothing() -> None:
    assert integers.requantization([0.0], [255], 2.0) == ([0], 32, 2**33)
    assert integers.requantization([0.5, 0.0, -1e-30], [255] * 3) == ([2**30, 0, -1], 31, 0)


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
    with pytest.raises(integers.PrecisionError) as caught:
        integers.requantization(scales, bounds, offset)
    assert str(caught.value) == problem
