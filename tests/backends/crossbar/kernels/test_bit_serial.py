"""The bit-serial path against arrays that are computed one cell at a time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from epimc.backends.crossbar.kernels.bit_serial import bit_serial
from epimc.backends.crossbar.kernels.converters import highest_sum, lossless, most_lost
from epimc.backends.crossbar.kernels.fused import fused
from epimc.ir.semantics.windows import Window
from tests.backends.crossbar.kernels.cases import PartCase, part_cases
from tests.backends.crossbar.programs import CHIP, identity, mvm
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


@settings(max_examples=120, deadline=None)
@given(part_cases(), SEEDS)
def test_it_loses_at_most_what_is_bounded(case: PartCase, seed: int) -> None:
    columns = windows_of(case, 3, seed)
    exact = fused(case.table, case.inputs, case.bits, case.zero_point)(columns)
    read = bit_serial(case.table, case.bits, case.zero_point, case.chip)(columns)
    most = most_lost(case.table, case.bits, case.chip)
    assert (np.abs(read - exact) <= most[:, None]).all()
    assert most.any() <= (not lossless(case.table, case.chip))


def test_what_is_lost_may_be_as_much_as_is_bounded() -> None:
    """Of eight weights -1, one column, of which 1 is read in the place of 8."""
    weights = np.full((8, 1), -1)
    table = mvm(0, 0, 1, Window((1, 1)), weights, identity(8, 1, 1), np.zeros(1, np.int64),
                mapping="differential", bits=8, cell_bits=1)  # fmt: skip
    chip = replace(CHIP, cell_bits=1, dac_bits=1, adc_bits=1)
    columns = np.full((8, 1), 255, np.uint8)
    read = bit_serial(table, 8, 0, chip)(columns)
    exact = fused(table, 8, 8, 0)(columns)
    assert (read - exact).tolist() == [[7 * 255]]
    assert most_lost(table, 8, chip).tolist() == [7 * 255]
