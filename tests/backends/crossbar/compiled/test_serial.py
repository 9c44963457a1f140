"""The compiled bit-serial path against the one of numpy, and against cells one by one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from epimc.backends.crossbar.compiled.serial import SerialProduct
from epimc.backends.crossbar.core.counts import Conversions, SerialCounts
from epimc.backends.crossbar.kernels.bit_serial import bit_serial
from epimc.backends.crossbar.kernels.converters import lossless
from epimc.backends.crossbar.kernels.fused import fused
from epimc.ir.semantics.windows import Window, gather
from tests.backends.crossbar.kernels.cases import PartCase, part_cases
from tests.backends.crossbar.programs import CHIP, identity, mvm
from tests.backends.crossbar.slow_arrays import SlowArrays

SEEDS = st.integers(0, 2**32 - 1)
WINDOWS = (
    Window((2, 2)),
    Window((1, 1)),
    Window((3, 2), (2, 1), (1, 0, 2, 1)),
    Window((2, 3), (1, 2), (0, 1, 1, 2), (2, 1)),
)
SIZE = (5, 4)


def windows_of(case: PartCase, x: NDArray[Any]) -> NDArray[Any]:
    """The windows [Cin * Kh * Kw, positions] of maps [n, H, W, C]."""
    window = case.table.window
    height = window.output_size(x.shape[1], 0)
    moved = np.ascontiguousarray(x.transpose(0, 3, 1, 2))
    patches = gather(moved, window, case.zero_point, 0, height)
    flat = patches.transpose(1, 2, 3, 0, 4, 5)
    return flat.reshape(x.shape[3] * window.kernel[0] * window.kernel[1], -1)


def outputs(case: PartCase, x: NDArray[Any], kind: type[Any]) -> NDArray[Any]:
    """Accumulators for the result, which are not 0."""
    window = case.table.window
    height, width = (window.output_size(x.shape[1 + axis], axis) for axis in (0, 1))
    return np.full((len(x), height, width, len(case.table.bias)), 5, kind)


def product(case: PartCase, forced: bool) -> SerialProduct:
    """What is tested, for a case."""
    dims = (case.inputs, *SIZE)
    return SerialProduct(case.table, dims, case.bits, case.zero_point, case.chip, forced=forced)


@st.composite
def cases(draw: st.DrawFn) -> PartCase:
    """Parts with windows of all kinds, and activations of up to 16 bits."""
    return draw(part_cases(draw(st.sampled_from(WINDOWS)), draw(st.sampled_from((8, 16)))))


@settings(max_examples=100, deadline=None)
@given(cases(), st.integers(1, 4), SEEDS)
def test_forced_it_is_all_that_the_arrays_deliver(case: PartCase, samples: int, seed: int) -> None:
    x = case.activations((samples, *SIZE, case.inputs), seed)
    out = outputs(case, x, np.int64)
    serial = product(case, forced=True)
    serial.add(x, out)
    windows = windows_of(case, x)
    expected = bit_serial(case.table, case.bits, case.zero_point, case.chip)(windows)
    expected = expected - case.table.bias[:, None] + 5
    assert np.array_equal(out, expected.T.reshape(out.shape))
    assert np.abs(out - 5).max() <= serial.bound
    if serial.bound < 2**31 - 5:
        narrow = outputs(case, x, np.int32)
        serial.add(x, narrow)
        assert np.array_equal(narrow, out)


@settings(max_examples=100, deadline=None)
@given(cases(), SEEDS)
def test_else_it_is_what_the_converters_lose(case: PartCase, seed: int) -> None:
    x = case.activations((2, *SIZE, case.inputs), seed)
    windows = windows_of(case, x)
    exact = fused(case.table, case.inputs, case.bits, case.zero_point)(windows)
    expected = bit_serial(case.table, case.bits, case.zero_point, case.chip)(windows)
    out = outputs(case, x, np.int64)
    out[...] = exact.T.reshape(out.shape)
    serial = product(case, forced=False)
    serial.add(x, out)
    # Columns that no round uses are not read.
    assert serial.idle or not lossless(case.table, case.chip)
    assert np.array_equal(out, expected.T.reshape(out.shape))


@settings(max_examples=40, deadline=None)
@given(cases(), SEEDS)
def test_what_is_counted(case: PartCase, seed: int) -> None:
    x = case.activations((1, *SIZE, case.inputs), seed)
    slow = SlowArrays(case.table, case.bits, case.zero_point, case.chip)
    for window in windows_of(case, x).T.tolist():
        slow.outputs(window)
    for forced in (True, False):
        counts = SerialCounts()
        product(case, forced).add(x, outputs(case, x, np.int64), counts)
        taken = counts.take()
        assert taken.clipped == slow.tally.clipped
        assert taken.skipped == slow.tally.silent or not forced
        assert counts.take() == Conversions()


@pytest.mark.parametrize("forced", [True, False])
@pytest.mark.parametrize(
    ("rows", "cell_bits", "dac_bits", "adc_bits", "step"),
    [
        (255, 1, 1, 6, 1),
        (256, 1, 1, 7, 1),
        (257, 2, 1, 8, 1),
        (504, 1, 1, 7, 1),
        # More lines than are counted at once.
        (505, 1, 1, 7, 1),
        (600, 4, 1, 6, 5),
        (1100, 2, 2, 8, 8),
        (1100, 3, 4, 12, 1),
    ],
)
def test_large_arrays(
    rows: int, cell_bits: int, dac_bits: int, adc_bits: int, step: int, forced: bool
) -> None:
    """More positions than a block has, dense activations: sums at all heights."""
    random = np.random.default_rng(rows)
    weights = random.integers(-127, 128, (rows, 2))
    weights[:, 1] = 127 - weights[:, 1] % 5
    table = mvm(0, 0, 1, Window((1, 1)), weights, identity(rows, 1, 2), np.zeros(2, np.int64),
                mapping="twos_complement", bits=8, cell_bits=cell_bits)  # fmt: skip
    table = replace(table, adc_step=step)
    chip = replace(CHIP, cell_bits=cell_bits, dac_bits=dac_bits, adc_bits=adc_bits)
    case = PartCase(table, rows, 8, 3, chip)
    x = random.integers(0, 256, (2, 9, 8, rows)).astype(np.uint8)
    x[0, :4] |= 0xF0
    x[1, :3] = 0
    out = outputs(case, x, np.int64)
    windows = windows_of(case, x)
    counts = SerialCounts()
    serial = SerialProduct(table, (rows, 9, 8), 8, 3, chip, forced=forced)
    serial.add(x, out, counts)
    expected = bit_serial(table, 8, 3, chip)(windows)
    if not forced:
        expected = expected - fused(table, rows, 8, 3)(windows)
    assert np.array_equal(out - 5, expected.T.reshape(out.shape))
    assert counts.take().clipped > 0
