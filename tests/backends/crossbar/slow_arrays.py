"""What the crossbars of a part deliver, one cell at a time: slow, in plain integers, of its own.

Nothing here uses the package's kernels, or numpy's arithmetic: it starts from the weights, and goes
the way of the charge, cell by cell, through converter, recombination, corrections and OFAT.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from epimc.backends.crossbar.core.program import Chip
from epimc.backends.crossbar.core.rounds import Array, Ranges
from epimc.backends.crossbar.instructions.mvm import Mvm


@dataclass
class Tally:
    """What happened on the way.

    Attributes:
        conversions: Columns read.
        clipped: Those of them whose sum was above the highest code.
        highest: The highest sum that was read.
        silent: Reads of an array for an input slice whose driven lines are all 0.
    """

    conversions: int = 0
    clipped: int = 0
    highest: int = 0
    silent: int = 0


def coefficients(mapping: str, bits: int, cell_bits: int) -> list[int]:
    """What the slices of a weight count for."""
    if bits == 1:
        return [2] if mapping == "offset" else [1, -1]
    magnitude = bits if mapping == "offset" else bits - 1
    low = [2**shift for shift in range(0, magnitude, cell_bits)]
    if mapping == "offset":
        return low
    return (
        [*low, -(2 ** (bits - 1))] if mapping == "twos_complement" else [*low, *(-c for c in low)]
    )


def levels(weight: int, mapping: str, bits: int, cell_bits: int) -> list[int]:
    """The cells of a weight."""
    if bits == 1:
        # -1 or 1: set or not, less the reference; or one of the pair.
        own, other = int(weight > 0), int(weight < 0)
        return [own] if mapping == "offset" else [own, other]
    half = 2 ** (bits - 1)
    if mapping == "offset":
        return digits(weight + half, bits, cell_bits)
    if mapping == "twos_complement":
        return [*digits(weight % half, bits - 1, cell_bits), int(weight < 0)]
    return [
        *digits(max(weight, 0), bits - 1, cell_bits),
        *digits(max(-weight, 0), bits - 1, cell_bits),
    ]


def digits(value: int, bits: int, width: int) -> list[int]:
    """A number of so many bits in digits of `width` bits, lowest first."""
    return [value >> shift & (2**width - 1) for shift in range(0, bits, width)]


def numbers(ranges: Ranges) -> list[int]:
    """What ranges name."""
    return [first + k for first, count in ranges for k in range(count)]


class SlowArrays:
    """The arrays of a part, with the converters of a chip."""

    def __init__(self, table: Mvm, bits: int, zero_point: int, chip: Chip) -> None:
        """Take a table, and its source's bits and zero point."""
        self.table, self.bits, self.zero_point, self.chip = table, bits, zero_point, chip
        self.factors = coefficients(table.mapping, table.weight_bits, table.cell_bits)
        self.tally = Tally()

    def cell(self, row: int, column: int) -> tuple[int, int, int]:
        """The level of a cell, and the epitome column and the factor of its physical column.

        The epitome column is -1 for a reference, which counts for all columns of its pack.
        """
        table, slices = self.table, len(self.factors)
        height, width = len(table.weights) // table.groups, table.weights.shape[1]
        pack = row // (height * table.pack)
        first = pack * table.pack
        groups = min(table.pack, table.groups - first)
        column -= first * width * slices + pack * (table.mapping == "offset")
        if column == groups * width * slices:
            return 1, -1, -(2 ** (table.weight_bits - 1))
        epitome, k = column // slices, column % slices
        same = row // height == first + epitome // width
        weight = int(table.weights[row, epitome % width]) if same else 0
        cells = levels(weight, table.mapping, table.weight_bits, table.cell_bits)
        return cells[k], first * width + epitome, self.factors[k]

    def converted(self, total: int) -> int:
        """What the ADC makes of a sum."""
        top, step = 2**self.chip.adc_bits - 1, self.table.adc_step
        code = 0
        # As a flash converter does it: one comparator for each code, all of them halfway, where
        # the even code wins.
        while code < top and (2 * total, code % 2) >= ((2 * code + 1) * step, 1):
            code += 1
        self.tally.conversions += 1
        self.tally.clipped += 2 * total >= (2 * top + 1) * step
        self.tally.highest = max(self.tally.highest, total)
        return code * step

    def column(self, array: Array, column: int, driven: dict[int, int]) -> int:
        """What a physical column delivers, of inputs by their word lines, less its correction."""
        total = 0
        for group in self.reads(array, driven):
            for shift in range(0, self.bits, self.chip.dac_bits):
                charge = 0
                for line in group:
                    level = driven[line] >> shift & (2**self.chip.dac_bits - 1)
                    charge += level * self.cell(line, column)[0]
                total += self.converted(charge) << shift
        lines = (line for group in self.reads(array, driven) for line in group)
        return total - self.zero_point * sum(self.cell(line, column)[0] for line in lines)

    def reads(self, array: Array, driven: dict[int, int]) -> list[list[int]]:
        """The driven word lines of an array, as they are read."""
        lines = sorted(line for line in driven if array.row <= line < array.row + array.rows)
        size = self.chip.rows_per_read or max(len(lines), 1)
        return [lines[first : first + size] for first in range(0, len(lines), size)]

    def outputs(self, window: Sequence[int]) -> list[int]:
        """Accumulators [Cout] of one window [Cin * Kh * Kw] of activations, with the bias."""
        table = self.table
        area = table.window.kernel[0] * table.window.kernel[1]
        result = [0] * len(table.bias)
        for round_ in table.rounds:
            places = [channel * area + k for channel in numbers(round_.ifat) for k in range(area)]
            lines = numbers(round_.ifrt)
            driven = {line: int(window[place]) for line, place in zip(lines, places, strict=True)}
            values = [0] * (table.weights.shape[1] * table.groups)
            used = {entry.column + k for entry in round_.ofat for k in range(entry.count)}
            for array in table.arrays:
                self.read(array, driven, values, used)
            for entry in round_.ofat:
                for k in range(entry.count):
                    term = values[entry.column + k] * entry.multiplier
                    kept = result[entry.destination + k] if entry.accumulate else 0
                    result[entry.destination + k] = kept + term
        return [total + int(bias) for total, bias in zip(result, table.bias, strict=True)]

    def read(self, array: Array, driven: dict[int, int], values: list[int], used: set[int]) -> None:
        """Add what the columns of an array deliver to those of the epitome that are used."""
        for group in self.reads(array, driven):
            for shift in range(0, self.bits, self.chip.dac_bits):
                levels = [driven[line] >> shift & (2**self.chip.dac_bits - 1) for line in group]
                self.tally.silent += not any(levels)
        table = self.table
        height, width = len(table.weights) // table.groups, table.weights.shape[1]
        first = array.row // (height * table.pack) * table.pack
        pack = range(first * width, min(first + table.pack, table.groups) * width)
        for column in range(array.column, array.column + array.columns):
            _, epitome, factor = self.cell(array.row, column)
            if epitome >= 0 and epitome not in used:
                continue
            delivered = self.column(array, column, driven)
            for place in pack if epitome < 0 else (epitome,):
                values[place] += factor * delivered
