"""Parts of layers of all kinds, with chips whose converters lose something, or nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from epimc.backends.crossbar.core.program import Chip
from epimc.backends.crossbar.core.rounds import Array, OfatEntry, Round
from epimc.backends.crossbar.instructions.mvm import Mvm
from epimc.backends.crossbar.kernels.cells import column_sums
from epimc.backends.crossbar.kernels.converters import fitting_step
from epimc.backends.crossbar.kernels.layer_part import pack_at, physical_columns
from epimc.ir.semantics.cells import MAPPINGS, has_weights
from epimc.ir.semantics.windows import Window
from tests.backends.crossbar.programs import CHIP, mvm, random_weights, ranges_of, window_rows

SQUARE = Window((2, 2))


@dataclass(frozen=True, eq=False)
class PartCase:
    """A part, what it reads, and the chip.

    Attributes:
        table: The part.
        inputs: Cin of its source.
        bits: Of its activations.
        zero_point: Of its activations.
        chip: With the converters.
    """

    table: Mvm
    inputs: int
    bits: int
    zero_point: int
    chip: Chip

    def activations(self, shape: tuple[int, ...], seed: int) -> NDArray[Any]:
        """Activations: some low, some high, some at the zero point, many 0."""
        random = np.random.default_rng(seed)
        high = 2**self.bits - 1
        kinds = [
            random.integers(0, high + 1, shape),
            np.full(shape, high),
            np.full(shape, self.zero_point),
            np.zeros(shape, np.int64),
            random.integers(0, min(3, high) + 1, shape),
        ]
        chosen = np.choose(random.integers(0, len(kinds), shape), kinds)
        return chosen.astype(np.uint8 if self.bits <= 8 else np.uint16)


@st.composite
def plans(
    draw: st.DrawFn, kernel: tuple[int, int]
) -> tuple[tuple[Round, ...], tuple[int, int], int]:
    """Rounds of a general plan: any overlap, repetition, multiplier, wrapping.

    Returns:
        The rounds, the epitome's (rows, columns), and Cin; Cout is 6.
    """
    size = (kernel[0] + draw(st.integers(0, 2)), kernel[1] + draw(st.integers(0, 1)))
    channels, columns, block = draw(st.integers(1, 3)), draw(st.integers(2, 5)), 2
    rounds = []
    for i in range(draw(st.integers(1, 3))):
        count = draw(st.integers(1, channels))
        first = draw(st.integers(0, channels - count))
        corner = tuple(draw(st.integers(0, size[k] - kernel[k])) for k in (0, 1))
        ifrt = window_rows(first, count, (corner[0], corner[1]), size, kernel)
        column = draw(st.integers(0, columns - block))
        multipliers = draw(st.lists(st.integers(-9, 9).filter(bool), min_size=3, max_size=3))
        entries = tuple(
            OfatEntry(column, block, j * block, multiplier, i > 0)
            for j, multiplier in enumerate(multipliers)
        )
        rounds.append(Round(((i * 3, count),), ifrt, entries))
    return tuple(rounds), (channels * size[0] * size[1], columns), 9


@st.composite
def cuts(draw: st.DrawFn, table: Mvm) -> list[Array]:
    """The arrays that a layer's cells may be cut into, anywhere, in any order."""
    rows, width = len(table.weights), physical_columns(table)
    row_cuts = sorted({0, rows, *draw(st.lists(st.integers(1, rows), max_size=2))})
    column_cuts = sorted({0, width, *draw(st.lists(st.integers(1, width), max_size=3))})
    arrays = [
        Array(i * 9 + j, r, row_cuts[i + 1] - r, c, column_cuts[j + 1] - c)
        for i, r in enumerate(row_cuts[:-1])
        for j, c in enumerate(column_cuts[:-1])
    ]
    return draw(st.permutations(arrays))


@st.composite
def ungrouped(draw: st.DrawFn, window: Window) -> tuple[Mvm, int]:
    """A part of a layer without groups, cut into arrays anywhere, and its Cin."""
    rounds, (rows, columns), inputs = draw(plans(window.kernel))
    mapping, cell_bits = draw(st.sampled_from(MAPPINGS)), draw(st.integers(1, 4))
    bits = draw(st.integers(1 if has_weights(mapping, 1) else 2, 9))
    weights = random_weights((rows, columns), bits, draw(st.integers(0, 99)))
    bias = np.arange(6, dtype=np.int64) - 3
    table = mvm(0, 0, 1, window, weights, rounds, bias, mapping=mapping, bits=bits,
                cell_bits=cell_bits)  # fmt: skip
    cut = draw(cuts(table))
    # A part of a split layer has some of the arrays.
    some = cut[: draw(st.integers(1, len(cut)))]
    return mvm(0, 0, 1, window, weights, rounds, bias, mapping=mapping, bits=bits,
               cell_bits=cell_bits, arrays=tuple(some)), inputs  # fmt: skip


@st.composite
def grouped(draw: st.DrawFn, window: Window) -> tuple[Mvm, int]:
    """A layer in groups, some of which share an array, and its Cin."""
    groups, own = draw(st.integers(2, 4)), draw(st.integers(1, 2))
    pack, outputs = draw(st.integers(1, groups)), draw(st.integers(1, 3))
    area = window.kernel[0] * window.kernel[1]
    bits, cell_bits = draw(st.integers(2, 8)), draw(st.integers(1, 4))
    weights = random_weights((groups * own * area, outputs), bits, draw(st.integers(0, 99)))
    mapping = draw(st.sampled_from(MAPPINGS))
    entry = OfatEntry(0, groups * outputs, 0, draw(st.integers(1, 3)), False)
    rounds = (Round(((0, groups * own),), ranges_of(np.arange(groups * own * area)), (entry,)),)
    bias = np.arange(groups * outputs, dtype=np.int64)
    table = mvm(0, 0, 1, window, weights, rounds, bias, mapping=mapping, bits=bits,
                cell_bits=cell_bits, groups=groups, pack=pack, arrays=())  # fmt: skip
    packs = [pack_at(table, first * own * area) for first in range(0, groups, pack)]
    table = replace(
        table,
        arrays=tuple(Array(k, p.row, p.rows, p.column, p.columns) for k, p in enumerate(packs)),
    )
    return replace(table, corrections=column_sums(table)), groups * own


@st.composite
def part_cases(draw: st.DrawFn, window: Window = SQUARE, most_bits: int = 8) -> PartCase:
    """A part of a layer with any converter, lossless or not."""
    table, inputs = draw(ungrouped(window) | grouped(window))
    bits = draw(st.integers(1, most_bits))
    chip = replace(
        CHIP,
        cell_bits=table.cell_bits,
        dac_bits=draw(st.integers(1, 4)),
        adc_bits=draw(st.integers(1, 10)),
        rows_per_read=draw(st.sampled_from((0, 0, 1, 2, 3, 5))),
    )
    step = draw(st.just(1) | st.integers(1, 9) | st.just(0))
    table = replace(table, adc_step=step or fitting_step([table], chip))
    return PartCase(table, inputs, bits, draw(st.integers(0, 2**bits - 1)), chip)
