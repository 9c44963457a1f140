"""The bit-serial path of a part: every slice of every input goes through every ADC.

`fused.py` has the other path, which is faster and agrees where the ADC is lossless.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from epimc.backends.crossbar.core.counts import SerialCounts
from epimc.backends.crossbar.core.program import Chip
from epimc.backends.crossbar.core.rounds import Array, spread
from epimc.backends.crossbar.kernels.cells import array_cells, recombine_into
from epimc.backends.crossbar.kernels.converters import converter_of, row_groups
from epimc.backends.crossbar.kernels.layer_part import LayerPart, epitome_columns, pack_at
from epimc.backends.crossbar.kernels.sampling import (
    apply_ofat,
    column_destinations,
    input_positions,
)
from epimc.ir.semantics import arrays, convolution
from epimc.ir.semantics.converters import Converter


@dataclass(frozen=True, eq=False)
class Read:
    """One read of an array in a round: which inputs drive it, the driven cells, corrections.

    `used` says of which columns something is taken: the others are not converted.
    Where word lines are driven in groups, the first read has the corrections of all.
    """

    array: Array
    positions: arrays.Ints
    cells: arrays.Ints
    offsets: arrays.Ints
    used: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class BitSerialMvm:
    """The bit-serial path: every input slice through every driven array and its ADC.

    With `counts`, what the ADCs do is counted there.
    """

    part: LayerPart
    reads: tuple[tuple[Read, ...], ...]
    slices: int
    dac_bits: int
    converter: Converter
    counts: SerialCounts | None = None

    def __call__(self, columns: NDArray[Any]) -> arrays.Ints:
        """Accumulators [Cout, n] of activations q [Cin*Kh*Kw, n]."""
        part = self.part
        result = np.zeros((len(part.bias), columns.shape[1]), np.int64)
        for round_, reads in zip(part.rounds, self.reads, strict=True):
            values = np.zeros((epitome_columns(part), columns.shape[1]), np.int64)
            for read in reads:
                # A view: what is added to it is added to `values`.
                own = values[pack_at(part, read.array.row).epitome]
                recombine_into(own, part, read.array, self.read(read, columns))
            apply_ofat(result, round_, values)
        return result + part.bias[:, None]

    def read(self, read: Read, columns: NDArray[Any]) -> arrays.Ints:
        """The corrected values [array.columns, n] of one array's physical columns."""
        driven = columns[read.positions]
        mask = (1 << self.dac_bits) - 1
        highest = (1 << self.part.cell_bits) - 1
        total = np.zeros((len(read.cells), columns.shape[1]), np.int64)
        for k in range(self.slices):
            # The lowest slice first; its place value is the shift below.
            levels = (driven >> (k * self.dac_bits)) & mask
            sums = convolution.matmul(read.cells, levels, len(driven) * mask * highest)
            if self.counts is not None:
                clipped = sums[read.used] > self.converter.limit
                self.counts.add(int(clipped.sum()), int((~levels.any(axis=0)).sum()))
            # What the ADC cannot express is lost here, and only here.
            total += self.converter.read(sums) << (k * self.dac_bits)
        # q was driven, not q - zero point: the zero point times the driven cells is too much.
        return total - read.offsets


def bit_serial(part: LayerPart, bits: int, zero_point: int, chip: Chip) -> BitSerialMvm:
    """The bit-serial path of a part; `bits` and `zero_point` are those of its activations."""
    cells = [array_cells(part, array).T.astype(np.int64) for array in part.arrays]
    ends = np.cumsum([array.columns for array in part.arrays])
    rounds = []
    for round_, corrections in zip(part.rounds, part.corrections, strict=True):
        lines, positions = spread(round_.ifrt), input_positions(part, round_)
        used = column_destinations(part, round_) > 0
        reads = []
        for array, levels, end in zip(part.arrays, cells, ends, strict=True):
            # The corrections of all arrays lie side by side.
            offsets = zero_point * corrections[end - array.columns : end, None]
            # An array without a driven word line is not read, and costs no conversion.
            for driven in row_groups(round_, array, chip.rows_per_read):
                chosen = levels[:, lines[driven] - array.row]
                own = used[array.column : array.column + array.columns]
                reads.append(Read(array, positions[driven], chosen, offsets, own))
                offsets = np.zeros_like(offsets)
        rounds.append(tuple(reads))
    slices = -(-bits // chip.dac_bits)
    return BitSerialMvm(part, tuple(rounds), slices, chip.dac_bits, converter_of(part, chip))
