"""What the ADCs of a part may read: the sums of the columns as they are programmed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from epimc.backends.crossbar.core.program import Chip
from epimc.backends.crossbar.core.rounds import Array, Round, spread
from epimc.backends.crossbar.kernels.cells import array_cells
from epimc.backends.crossbar.kernels.layer_part import LayerPart
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


def read_sums(part: LayerPart, chip: Chip) -> Iterator[arrays.Ints]:
    """For each round, array and read: the levels of each column's driven cells, added up."""
    if not chip.rows_per_read:
        # Each array is read once a round: these are the corrections.
        yield from part.corrections
        return
    for array in part.arrays:
        cells = array_cells(part, array).astype(np.int64)
        for round_ in part.rounds:
            lines = spread(round_.ifrt) - array.row
            for chosen in row_groups(round_, array, chip.rows_per_read):
                yield cells[lines[chosen]].sum(axis=0)


def highest_sum(part: LayerPart, chip: Chip) -> int:
    """The highest sum that any read of any column may deliver, whatever the inputs are."""
    levels = max((int(sums.max(initial=0)) for sums in read_sums(part, chip)), default=0)
    return levels * ((1 << chip.dac_bits) - 1)


def lossless(part: LayerPart, chip: Chip) -> bool:
    """Whether the chip's ADCs read every column of a part without loss."""
    return converter_of(part, chip).is_lossless(highest_sum(part, chip))


def fitting_step(parts: Iterable[LayerPart], chip: Chip) -> int:
    """The smallest step with which no column of a layer's parts is clipped."""
    return smallest_step(chip.adc_bits, max(highest_sum(part, chip) for part in parts))
