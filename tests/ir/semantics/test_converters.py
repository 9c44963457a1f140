"""Converters, sum by sum."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from epimc.ir.semantics.converters import Converter, smallest_step

converters = st.builds(Converter, st.integers(1, 6), st.integers(1, 20))


@pytest.mark.parametrize(
    ("bits", "step", "expected"),
    [
        (3, 1, [0, 1, 2, 3, 4, 5, 6, 7, 7, 7]),
        # The middle between two steps goes to the even code.
        (3, 2, [0, 0, 2, 4, 4, 4, 6, 8, 8, 8]),
        (2, 2, [0, 0, 2, 4, 4, 4, 6, 6, 6, 6]),
        (2, 3, [0, 0, 3, 3, 3, 6, 6, 6, 9, 9]),
        (1, 4, [0, 0, 0, 4, 4, 4, 4, 4, 4, 4]),
        (2, 4, [0, 0, 0, 4, 4, 4, 8, 8, 8, 8]),
    ],
)
def test_what_is_read(bits: int, step: int, expected: list[int]) -> None:
    assert Converter(bits, step).read(np.arange(10)).tolist() == expected


@given(st.integers(1, 20))
def test_rounding_adds_nothing_on_average(step: int) -> None:
    sums = np.arange(2 * step * 8)
    assert (Converter(8, step).read(sums) - sums).sum() == 0


@given(converters, st.integers(0, 300))
def test_the_worst_error_is_that_of_some_sum(converter: Converter, highest: int) -> None:
    sums = np.arange(highest + 1)
    assert converter.worst_error(highest) == np.abs(converter.read(sums) - sums).max()
    assert converter.is_lossless(highest) == np.array_equal(converter.read(sums), sums)


@given(converters)
def test_above_the_limit_all_sums_are_read_alike(converter: Converter) -> None:
    limit = converter.limit
    top = converter.top * converter.step
    assert converter.read(np.array([limit, limit + 1, limit + converter.step])).max() == top
    # One more code would show that the next sum is higher.
    wider = Converter(converter.bits + 1, converter.step)
    assert wider.read(np.array([limit, limit + 1])).tolist() == [top, top + converter.step]


@given(st.integers(1, 16), st.integers(1, 2**24))
def test_the_smallest_step_holds_the_sum_and_no_smaller_does(bits: int, highest: int) -> None:
    step = smallest_step(bits, highest)
    assert Converter(bits, step).limit >= highest
    assert step == 1 or Converter(bits, step - 1).limit < highest


def test_a_layer_without_a_sum_has_the_step_one() -> None:
    assert smallest_step(8, 0) == 1
