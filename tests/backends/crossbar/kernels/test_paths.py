from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from epimc.backends.crossbar.core.program import Chip
from epimc.backends.crossbar.core.rounds import Array, OfatEntry, Round
from epimc.backends.crossbar.instructions.mvm import Mvm
from epimc.backends.crossbar.kernels.bit_serial import bit_serial
from epimc.backends.crossbar.kernels.cells import add_weights, array_cells, recombine
from epimc.backends.crossbar.kernels.converters import lossless
from epimc.backends.crossbar.kernels.fused import fused
from epimc.backends.crossbar.kernels.layer_part import physical_columns
from epimc.ir.semantics import windows
from epimc.ir.semantics.cells import MAPPINGS, MappingName
from tests.backends.crossbar.kernels.cases import cuts, plans
from tests.backends.crossbar.programs import (
    CHIP,
    identity,
    merged_weights,
    mvm,
    random_weights,
    ranges_of,
)

BITS = 8


@st.composite
def tables(draw: st.DrawFn) -> tuple[Mvm, int, Chip]:
    """A table cut into arrays anywhere, its Cin, and a chip with the least lossless ADC."""
    rounds, (rows, columns), inputs = draw(plans((2, 2)))
    mapping, bits = draw(st.sampled_from(MAPPINGS)), draw(st.integers(2, 6))
    cell_bits, dac_bits = draw(st.integers(1, 3)), draw(st.sampled_from((1, 2, 4)))
    weights = random_weights((rows, columns), bits, draw(st.integers(0, 99)))
    window = windows.Window((2, 2))
    bias = np.arange(6, dtype=np.int64) - 3
    table = mvm(0, 0, 1, window, weights, rounds, bias, mapping=mapping, bits=bits,
                cell_bits=cell_bits)  # fmt: skip
    table = mvm(0, 0, 1, window, weights, rounds, bias, mapping=mapping, bits=bits,
                cell_bits=cell_bits, arrays=tuple(draw(cuts(table))))  # fmt: skip
    chip = replace(CHIP, cell_bits=cell_bits, dac_bits=dac_bits, adc_bits=1)
    while not lossless(table, chip):
        chip = replace(chip, adc_bits=chip.adc_bits + 1)
    return table, inputs, chip


@settings(max_examples=150, deadline=None)
@given(tables(), st.integers(0, 255), st.integers(0, 2**32 - 1))
def test_both_paths_are_the_convolution(
    drawn: tuple[Mvm, int, Chip], zero_point: int, seed: int
) -> None:
    table, inputs, chip = drawn
    columns = np.random.default_rng(seed).integers(0, 2**BITS, (inputs * 4, 3)).astype(np.uint8)
    merged = fused(table, inputs, BITS, zero_point)(columns)
    serial = bit_serial(table, BITS, zero_point, chip)(columns)
    matrix = merged_weights(table, table.weights, inputs)
    expected = matrix @ (columns.astype(np.int64) - zero_point) + table.bias[:, None]
    assert np.array_equal(merged, expected)
    assert np.array_equal(serial, expected)


def test_parts_add_up_when_bit_slices_of_one_weight_lie_in_different_parts() -> None:
    weights, bias = random_weights((12, 3)), np.array([1, 2, 3], np.int64)
    window, rounds = windows.Window((2, 2)), identity(3, 4, 3)
    complete = mvm(0, 0, 1, window, weights, rounds, bias)
    left = mvm(0, 0, 1, window, weights, rounds, bias, arrays=(Array(0, 0, 12, 0, 3),))
    right = mvm(0, 0, 1, window, weights, rounds, bias * 0, arrays=(Array(0, 0, 12, 3, 4),))
    columns = np.arange(60, dtype=np.uint8).reshape(12, 5)
    parts = [fused(table, 3, BITS, 17)(columns) for table in (left, right)]
    assert np.array_equal(parts[0] + parts[1], fused(complete, 3, BITS, 17)(columns))


def test_a_part_has_its_own_weights_in_memory() -> None:
    """A wide layer has many parts, each with some of its columns, and some of its rows."""
    weights, bias = random_weights((12, 8)), np.arange(8)
    window, rounds = windows.Window((2, 2)), identity(3, 4, 8)
    complete = mvm(0, 0, 1, window, weights, rounds, bias, mapping="twos_complement")
    half = physical_columns(complete) // 2
    arrays = [Array(0, row, rows, c, half) for row, rows in ((0, 4), (4, 8)) for c in (0, half)]
    biases = [bias, *3 * [bias * 0]]
    tables = [
        mvm(0, 0, 1, window, weights, rounds, own, mapping="twos_complement", arrays=(array,))
        for array, own in zip(arrays, biases, strict=True)
    ]
    parts = [fused(table, 3, BITS, 17) for table in tables]
    assert sum(part.matrix.size for part in parts) == weights.size
    columns = np.arange(60, dtype=np.uint8).reshape(12, 5)
    expected = fused(complete, 3, BITS, 17)(columns)
    assert np.array_equal(sum(part(columns) for part in parts), expected)


@pytest.mark.parametrize("mapping", MAPPINGS)
def test_cells_hold_the_weights(mapping: MappingName) -> None:
    weights = random_weights((5, 4))
    table = mvm(0, 0, 1, windows.Window((1, 1)), weights, identity(5, 1, 4),
                np.zeros(4, np.int64), mapping=mapping)  # fmt: skip
    (array,) = table.arrays
    cells = array_cells(table, array)
    assert cells.shape == (5, physical_columns(table))
    assert cells.max() <= 3
    assert np.array_equal(recombine(table, array, cells.T.astype(np.int64)).T, weights)


@settings(max_examples=200)
@given(st.data())
def test_what_cells_amount_to_is_known_without_making_them(data: st.DataObject) -> None:
    """Also of arrays that begin and end within the slices of a column."""
    mapping, bits = data.draw(st.sampled_from(MAPPINGS)), data.draw(st.integers(2, 8))
    random = np.random.default_rng(data.draw(st.integers(0, 99)))
    weights = random.integers(-(2 ** (bits - 1)) + 1, 2 ** (bits - 1), (6, 3))
    table = replace(
        mvm(0, 0, 1, windows.Window((1, 1)), weights, identity(6, 1, 3), np.zeros(3, np.int64),
            mapping=mapping, cell_bits=data.draw(st.integers(1, 4))),
        weight_bits=bits,
    )  # fmt: skip
    column = data.draw(st.integers(0, physical_columns(table) - 1))
    columns = data.draw(st.integers(1, physical_columns(table) - column))
    array = Array(0, data.draw(st.integers(0, 2)), 3, column, columns)
    values = np.zeros((3, 3), np.int32)
    add_weights(values, table, array)
    expected = recombine(table, array, array_cells(table, array).T).T
    assert np.array_equal(values, expected)


def test_a_narrow_adc_clips() -> None:
    weights = np.full((8, 1), 7, np.int64)
    table = mvm(0, 0, 1, windows.Window((1, 1)), weights, identity(8, 1, 1),
                np.zeros(1, np.int64), mapping="twos_complement", cell_bits=1)  # fmt: skip
    columns = np.full((8, 1), 255, np.uint8)
    chip = replace(CHIP, dac_bits=1, adc_bits=4)
    assert lossless(table, chip)
    assert bit_serial(table, BITS, 0, chip)(columns)[0, 0] == 8 * 7 * 255
    narrow = replace(chip, adc_bits=2)
    assert not lossless(table, narrow)
    # Every slice of every column reads 8 and delivers 3.
    assert bit_serial(table, BITS, 0, narrow)(columns)[0, 0] == 3 * 7 * 255


def test_an_array_without_a_driven_row_is_not_read() -> None:
    weights = random_weights((8, 2))
    rounds = (Round(((0, 4),), ranges_of(np.arange(4)), (OfatEntry(0, 2, 0, 1, False),)),)
    cut = (Array(0, 0, 4, 0, 5), Array(1, 4, 4, 0, 5))
    table = mvm(0, 0, 1, windows.Window((1, 1)), weights, rounds, np.zeros(2, np.int64),
                arrays=cut)  # fmt: skip
    ((read,),) = bit_serial(table, BITS, 0, CHIP).reads
    assert read.array == cut[0]
    assert not table.corrections[0, 5:].any()


def test_a_part_that_holds_no_row_of_one_of_its_rounds() -> None:
    weights = random_weights((8, 2))
    rounds = tuple(
        Round(
            ((4 * k, 4),), ranges_of(np.arange(4 * k, 4 * k + 4)), (OfatEntry(0, 2, 0, 1, k > 0),)
        )
        for k in range(2)
    )
    table = mvm(0, 0, 1, windows.Window((1, 1)), weights, rounds, np.zeros(2, np.int64),
                arrays=(Array(0, 4, 4, 0, 5),))  # fmt: skip
    columns = np.arange(24, dtype=np.uint8).reshape(8, 3)
    expected = weights[4:].T @ columns[4:].astype(np.int64)
    assert np.array_equal(fused(table, 8, BITS, 0)(columns), expected)
