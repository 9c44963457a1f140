"""What the crossbars of an `mvm` table hold, and the bit-serial path of what they compute.

Every slice of every input goes through every ADC; `fused.py` has the other path.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from epimc.backends.crossbar.core.program import Chip
from epimc.backends.crossbar.core.rounds import Array, Round, spread
from epimc.ir.semantics import integers

if TYPE_CHECKING:
    from epimc.backends.crossbar.instructions.mvm import Mvm


@dataclass(frozen=True)
class Pack:
    """The pack that an array lies in.

    Attributes:
        group: Its first group.
        groups: How many it has.
        row: Its first epitome row.
        rows: Its epitome rows.
        column: Its first physical column.
        columns: Its physical columns.
        sliced: Those of them that hold weights; the others are a reference column or none.
        slices: Bit slices of an epitome column.
        epitome: Its epitome columns, as the OFAT counts them.
    """

    group: int
    groups: int
    row: int
    rows: int
    column: int
    columns: int
    sliced: int
    slices: int
    epitome: slice


def pack_at(table: Mvm, row: int) -> Pack:
    """The pack that holds an epitome row."""
    slices = len(integers.slice_coefficients(table.mapping, table.weight_bits, table.cell_bits))
    reference = int(table.mapping == "offset")
    height, width = len(table.weights) // table.groups, int(table.weights.shape[1])
    number = row // (height * table.pack)
    group = number * table.pack
    groups = min(table.pack, table.groups - group)
    return Pack(
        group=group,
        groups=groups,
        row=group * height,
        rows=groups * height,
        column=group * width * slices + number * reference,
        columns=groups * width * slices + reference,
        sliced=groups * width * slices,
        slices=slices,
        epitome=slice(group * width, (group + groups) * width),
    )


def physical_columns(table: Mvm) -> int:
    """Bit lines of all packs: the slices of their columns and, for `offset`, the references."""
    last = pack_at(table, len(table.weights) - 1)
    return last.column + last.columns


def column_places(table: Mvm) -> integers.Ints:
    """The epitome column, as the OFAT counts them, that each physical column is a slice of.

    Returns:
        int64 [physical columns]; -1 for reference columns.
    """
    height = len(table.weights) // table.groups * table.pack
    parts = []
    for row in range(0, len(table.weights), height):
        pack = pack_at(table, row)
        parts.append(np.repeat(np.arange(pack.epitome.start, pack.epitome.stop), pack.slices))
        parts.append(np.full(pack.columns - pack.sliced, -1))
    return np.concatenate(parts)


def column_destinations(table: Mvm, round_: Round) -> integers.Ints:
    """How many destinations a round has for each physical column; a reference serves all as one.

    Returns:
        int64 [physical columns].
    """
    destinations = np.zeros(epitome_columns(table), np.int64)
    for entry in round_.ofat:
        destinations[entry.column : entry.column + entry.count] += 1
    places = column_places(table)
    return np.where(places < 0, 1, destinations[places])


def array_cells(table: Mvm, array: Array) -> integers.Cells:
    """The cell levels [rows, columns] that an array holds; a reference column is all ones."""
    pack = pack_at(table, array.row)
    slices, column = pack.slices, array.column - pack.column
    end = min(column + array.columns, pack.sliced)
    # An array may begin and end within the slices of a column: slice whole columns, then cut.
    first, last = column // slices, -(-end // slices)
    block = table.weights[array.row : array.row + array.rows]
    if pack.groups > 1:
        block = block_diagonal(block, pack.groups)
    block = block[:, first:last].astype(np.int64)
    levels = integers.slice_weights(block, table.mapping, table.weight_bits, table.cell_bits)
    levels = levels.reshape(len(block), -1)[:, column - first * slices : end - first * slices]
    ones = np.ones((len(block), column + array.columns - end), np.uint8)
    return np.concatenate([levels, ones], axis=1)


def block_diagonal(blocks: integers.Ints, groups: int) -> integers.Ints:
    """Matrices one below the other, [groups * rows, n], as [groups * rows, groups * n]."""
    rows, columns = len(blocks) // groups, blocks.shape[1]
    dense = np.zeros((groups, rows, groups, columns), np.int64)
    np.einsum("grgc->grc", dense)[...] = blocks.reshape(groups, rows, columns)
    return dense.reshape(groups * rows, groups * columns)


def diagonal_blocks(dense: integers.Ints, groups: int) -> integers.Ints:
    """The inverse of `block_diagonal`: what does not lie on the diagonal is dropped."""
    rows, columns = dense.shape[0] // groups, dense.shape[1] // groups
    blocks = np.einsum("grgc->grc", dense.reshape(groups, rows, groups, columns))
    result: integers.Ints = blocks.reshape(groups * rows, columns)
    return result


def epitome_columns(table: Mvm) -> int:
    """Epitome columns of all groups."""
    return int(table.weights.shape[1]) * table.groups


def recombine(table: Mvm, array: Array, columns: NDArray[Any]) -> integers.Ints:
    """Physical columns of one array to the epitome columns of its pack.

    Args:
        table: The table.
        array: One of its arrays.
        columns: Values [array.columns, n] of its physical columns.

    Returns:
        int64 [epitome columns, n]: what they contribute to every epitome column of the pack.
    """
    pack = pack_at(table, array.row)
    result = np.zeros((pack.sliced // pack.slices, columns.shape[1]), np.int64)
    recombine_into(result, table, array, columns)
    return result


def recombine_into(result: integers.Ints, table: Mvm, array: Array, columns: NDArray[Any]) -> None:
    """Add what physical columns of one array contribute to the epitome columns of its pack.

    Only those columns of `result` [epitome columns, n] are touched to which the array contributes.
    """
    coefficients = integers.slice_coefficients(table.mapping, table.weight_bits, table.cell_bits)
    pack = pack_at(table, array.row)
    first = array.column - pack.column
    count = max(min(first + array.columns, pack.sliced) - first, 0)
    for k, factor in enumerate(coefficients):
        # The first physical column of this array that holds slice k, wherever the array begins.
        start = (k - first) % pack.slices
        slices = columns[start : max(count, start) : pack.slices]
        place = (first + start) // pack.slices
        result[place : place + len(slices)] += np.multiply(slices, factor, dtype=np.int64)
    if count < array.columns:
        # The last column is the pack's reference, which counts for every column of the epitome.
        factor = integers.reference_coefficient(table.mapping, table.weight_bits)
        result += np.multiply(columns[-1], factor, dtype=np.int64)


def driven_lines(table: Mvm) -> NDArray[np.bool_]:
    """Which word lines each round drives, bool [rounds, epitome rows]."""
    driven = np.zeros((len(table.rounds), table.weights.shape[0]), bool)
    for row, round_ in zip(driven, table.rounds, strict=True):
        row[spread(round_.ifrt)] = True
    return driven


def column_sums(table: Mvm) -> integers.Ints:
    """What `table.corrections` must be, from the cells and the driven word lines.

    Returns:
        int64 [rounds, sum of array columns], arrays side by side in order.
    """
    driven = driven_lines(table).astype(np.int64)
    highest = (1 << table.cell_bits) - 1
    parts = [np.zeros((len(driven), 0), np.int64)]
    for array in table.arrays:
        cells = array_cells(table, array)
        lines = driven[:, array.row : array.row + array.rows]
        parts.append(integers.matmul(lines, cells, array.rows * highest))
    return np.concatenate(parts, axis=1)


def apply_ofat(
    result: NDArray[np.int64],
    round_: Round,
    values: integers.Ints,
    where: integers.Ints | slice = slice(None),
) -> None:
    """Store or accumulate the columns of one round to the output channels, in place.

    Args:
        result: [Cout, n].
        round_: The round, for its OFAT.
        values: [epitome columns, m].
        where: The m columns of `result` that `values` belong to.
    """
    for entry in round_.ofat:
        target = slice(entry.destination, entry.destination + entry.count)
        block = values[entry.column : entry.column + entry.count] * entry.multiplier
        if not entry.accumulate:
            result[target] = 0
        result[target, where] += block


def input_positions(table: Mvm, round_: Round) -> integers.Ints:
    """Positions in the flattened window [Cin, Kh, Kw] that the word lines of `ifrt` read."""
    return window_positions(table, spread(round_.ifat))


def window_positions(table: Mvm, channels: integers.Ints) -> integers.Ints:
    """Positions of channels in a flattened window [channels, Kh, Kw]."""
    area = table.window.kernel[0] * table.window.kernel[1]
    positions = channels[:, None] * area + np.arange(area)
    return positions.reshape(-1)


def within_group(numbers: integers.Ints, size: int) -> integers.Ints:
    """What a round names in the first of its groups, counted in groups of `size`.

    All groups that a round drives take the same channels and rows of their own.
    """
    own: integers.Ints = numbers[numbers // size == numbers[0] // size] % size
    return own


def contiguous(numbers: integers.Ints) -> integers.Ints | slice:
    """The same numbers, as a slice where they follow one another: that is faster to index with."""
    if len(numbers) and (np.diff(numbers) == 1).all():
        return slice(int(numbers[0]), int(numbers[-1]) + 1)
    return numbers


def corrected(table: Mvm, corrections: integers.Ints) -> integers.Ints:
    """One round's corrections [sum of array columns], recombined to [epitome columns, 1]."""
    total = np.zeros((epitome_columns(table), 1), np.int64)
    first = 0
    for array in table.arrays:
        part = corrections[first : first + array.columns, None]
        recombine_into(total[pack_at(table, array.row).epitome], table, array, part)
        first += array.columns
    return total


@dataclass(frozen=True, eq=False)
class Read:
    """One array in one round: which inputs drive it, the driven cells and their corrections."""

    array: Array
    positions: integers.Ints
    cells: integers.Ints
    offsets: integers.Ints


@dataclass(frozen=True, eq=False)
class BitSerialMvm:
    """The bit-serial path: every input slice through every driven array and its ADC."""

    table: Mvm
    reads: tuple[tuple[Read, ...], ...]
    slices: int
    dac_bits: int
    adc_limit: int

    def __call__(self, columns: NDArray[Any]) -> integers.Ints:
        """Accumulators [Cout, n] of activations q [Cin*Kh*Kw, n]."""
        table = self.table
        result = np.zeros((len(table.bias), columns.shape[1]), np.int64)
        for round_, reads in zip(table.rounds, self.reads, strict=True):
            values = np.zeros((epitome_columns(table), columns.shape[1]), np.int64)
            for read in reads:
                own = values[pack_at(table, read.array.row).epitome]
                recombine_into(own, table, read.array, self.read(read, columns))
            apply_ofat(result, round_, values)
        return result + table.bias[:, None]

    def read(self, read: Read, columns: NDArray[Any]) -> integers.Ints:
        """The corrected values [array.columns, n] of one array's physical columns."""
        driven = columns[read.positions]
        mask = (1 << self.dac_bits) - 1
        highest = (1 << self.table.cell_bits) - 1
        total = np.zeros((len(read.cells), columns.shape[1]), np.int64)
        for k in range(self.slices):
            levels = (driven >> (k * self.dac_bits)) & mask
            sums = integers.matmul(read.cells, levels, len(driven) * mask * highest)
            # What the ADC cannot express is lost here, and only here.
            total += np.clip(sums, 0, self.adc_limit) << (k * self.dac_bits)
        return total - read.offsets


def bit_serial(table: Mvm, bits: int, zero_point: int, chip: Chip) -> BitSerialMvm:
    """The bit-serial path of a table; `bits` and `zero_point` are those of its activations."""
    cells = [array_cells(table, array).T.astype(np.int64) for array in table.arrays]
    ends = np.cumsum([array.columns for array in table.arrays])
    rounds = []
    for round_, corrections in zip(table.rounds, table.corrections, strict=True):
        lines, positions = spread(round_.ifrt), input_positions(table, round_)
        reads = []
        for array, levels, end in zip(table.arrays, cells, ends, strict=True):
            driven = (lines >= array.row) & (lines < array.row + array.rows)
            if driven.any():
                offsets = zero_point * corrections[end - array.columns : end, None]
                chosen = levels[:, lines[driven] - array.row]
                reads.append(Read(array, positions[driven], chosen, offsets))
        rounds.append(tuple(reads))
    slices = -(-bits // chip.dac_bits)
    return BitSerialMvm(table, tuple(rounds), slices, chip.dac_bits, (1 << chip.adc_bits) - 1)


def lossless(table: Mvm, chip: Chip) -> bool:
    """Whether the chip's ADC reads every (round, array) of a table without loss."""
    for round_ in table.rounds:
        lines = spread(round_.ifrt)
        for array in table.arrays:
            driven = int(((lines >= array.row) & (lines < array.row + array.rows)).sum())
            if integers.lossless_adc_bits(driven, chip.dac_bits, table.cell_bits) > chip.adc_bits:
                return False
    return True
