"""The bit-serial path against arrays that are computed one cell at a time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from epimc.backends.crossbar.kernels.bit_serial import bit_serial
from epimc.backends.crossbar.kernels.converters import highest_sum, lossless
from epimc.backends.crossbar.kernels.fused import fused
from tests.backends.crossbar.kernels.cases import PartCase, part_cases
from tests.backends.crossbar.slow_arrays import SlowArrays

SEEDS = st.integers(0, 2**32 - 1)


def windows_of(case: PartCase, count: int, seed: int) -> NDArray[Any]:
    """Activations [Cin * Kh * Kw, count] of so many windows."""
    kh, kw = case.table.window.kernel
    return case.activations((case.inputs * kh * kw, count), seed)


@settings(max_examples=120, deadline=None)
@given(part_cases(), SEEDS)
def test_it_is_what_the_cells_deliver_one_by_one(case: PartCase, seed: int) -> None:
    columns = windows_of(case, 2, seed)
    slow = SlowArrays(case.table, case.bits, case.zero_point, case.chip)
    expected = [slow.outputs(window) for window in columns.T.tolist()]
    product = bit_serial(case.table, case.bits, case.zero_point, case.chip)
    assert product(columns).T.tolist() == expected
    assert slow.tally.highest <= highest_sum(case.table, case.chip)


@settings(max_examples=60, deadline=None)
@given(part_cases(), SEEDS)
def test_where_it_is_lossless_it_is_the_fused_path(case: PartCase, seed: int) -> None:
    table = replace(case.table, adc_step=1)
    bits = max(highest_sum(table, case.chip).bit_length(), 1)
    chip = replace(case.chip, adc_bits=bits)
    assert lossless(table, chip)
    columns = windows_of(case, 3, seed)
    exact = fused(table, case.inputs, case.bits, case.zero_point)(columns)
    assert np.array_equal(bit_serial(table, case.bits, case.zero_point, chip)(columns), exact)
    narrow = replace(chip, adc_bits=bits - 1)
    assert bits == 1 or not lossless(table, narrow)
