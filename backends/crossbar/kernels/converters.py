"""What the ADCs of a part may read: the sums of the columns as they are programmed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from epimc.backends.crossbar.core.program import Chip
from epimc.backends.crossbar.core.rounds import Array, Round, spread
from epimc.backends.crossbar.kernels.cells import array_cells, column_targets, reference_rows
from epimc.backends.crossbar.kernels.layer_part import LayerPart, epitome_columns
from epimc.ir.semantics import arrays
from epimc.ir.semantics.converters import Converter, smallest_step


def converter_of(part: LayerPart, chip: Chip) -> Converter:
    """The ADCs that read a part's columns."""
    return Converter(chip.adc_bits, part.adc_step)


def row_groups(round_: Round, array: Array, rows_per_read: int) -> list[arrays.Ints]:
    """The word lines of an array that a round drives, as they are read.

    Returns:
        For each read places in the round's IFRT, in the order of their word lines; none where the
        round drives no word line of the array.
    """
    lines = spread(round_.ifrt)
    driven = np.flatnonzero((lines >= array.row) & (lines < array.row + array.rows))
    driven = driven[np.argsort(lines[driven])]
    size = rows_per_read or max(len(driven), 1)
    return [driven[first : first + size] for first in range(0, len(driven), size)]


def read_sums(part: LayerPart, chip: Chip) -> Iterator[tuple[int, Array, arrays.Ints]]:
    """The highest sums of the columns of each read, whatever the inputs are.

    Returns:
        The number of the round, the array, and the sums of its columns.
    """
    level, end = (1 << chip.dac_bits) - 1, 0
    for array in part.arrays:
        end += array.columns
        if not chip.rows_per_read:
            # Each array is read once a round: what its driven cells add up to are the corrections.
            own = part.corrections[:, end - array.columns : end] * level
            yield from ((number, array, sums) for number, sums in enumerate(own))
            continue
        cells = array_cells(part, array).astype(np.int64)
        for number, round_ in enumerate(part.rounds):
            lines = spread(round_.ifrt) - array.row
            for chosen in row_groups(round_, array, chip.rows_per_read):
                yield number, array, cells[lines[chosen]].sum(axis=0) * level


def highest_sum(part: LayerPart, chip: Chip) -> int:
    """The highest sum that any read of any column may deliver, whatever the inputs are."""
    return max((int(sums.max(initial=0)) for _, _, sums in read_sums(part, chip)), default=0)


def most_lost(part: LayerPart, bits: int, chip: Chip) -> arrays.Ints:
    """How far what is read may move the accumulators, int64 [Cout], whatever the inputs are.

    An ADC may clip some slices of a weight and not others, so that this may be many times what the
    weights themselves amount to.

    Args:
        part: The part of a layer.
        bits: Of its activations.
        chip: With the converters.
    """
    converter, columns = converter_of(part, chip), epitome_columns(part)
    targets, shifts = column_targets(part)
    values = np.zeros((len(part.rounds), columns + part.groups), np.int64)
    for number, array, sums in read_sums(part, chip):
        own = slice(array.column, array.column + array.columns)
        errors = converter.worst_errors(sums) << shifts[own]
        np.add.at(values[number], targets[own] // 2, errors)
    rows = reference_rows(part)
    values[:, :columns] += np.where(rows >= 0, values[:, rows], 0)
    total = np.zeros(len(part.bias), np.int64)
    for round_, lost in zip(part.rounds, values, strict=True):
        for entry in round_.ofat:
            moved = lost[entry.column : entry.column + entry.count] * abs(entry.multiplier)
            total[entry.destination : entry.destination + entry.count] += moved
    # Each input slice is read once, and counts for its place.
    return total * sum(1 << place for place in range(0, bits, chip.dac_bits))


def lossless(part: LayerPart, chip: Chip) -> bool:
    """Whether the chip's ADCs read every column of a part without loss."""
    return converter_of(part, chip).is_lossless(highest_sum(part, chip))


def fitting_step(parts: Iterable[LayerPart], chip: Chip) -> int:
    """The smallest step with which no column of a layer's parts is clipped."""
    return smallest_step(chip.adc_bits, max(highest_sum(part, chip) for part in parts))
