"""The bit-serial path of a part on whole maps, compiled; `kernels/bit_serial.py` defines it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from epimc.backends.crossbar.compiled.serial_kernel import (
    MOST_COUNTED,
    Setting,
    add_serial,
    scratch,
)
from epimc.backends.crossbar.compiled.serial_layout import Read, layout_of, reads_of
from epimc.backends.crossbar.core.counts import SerialCounts
from epimc.backends.crossbar.core.program import Chip
from epimc.backends.crossbar.kernels.cells import corrected
from epimc.backends.crossbar.kernels.converters import converter_of
from epimc.backends.crossbar.kernels.layer_part import LayerPart, epitome_columns
from epimc.backends.crossbar.kernels.sampling import apply_ofat
from epimc.ir.semantics.arrays import Ints
from epimc.ir.semantics.converters import Converter

# In the place of results of the other type.
NO_COUNTS, NO_SUMS = np.zeros(0, np.int32), np.zeros(0, np.int64)


class SerialProduct:
    """What the arrays of a part deliver, every input slice through every ADC.

    Args:
        part: The part of a layer.
        dims: [C, H, W] of its source.
        bits: Of its activations.
        zero_point: Of its activations.
        chip: With the converters.
        forced: Whether all columns are computed; else those that their ADC may misread, and of
            them what it loses.

    Attributes:
        idle: Whether there are no such columns.
        bound: The largest magnitude that is added to an accumulator.
    """

    def __init__(
        self,
        part: LayerPart,
        dims: tuple[int, int, int],
        bits: int,
        zero_point: int,
        chip: Chip,
        *,
        forced: bool,
    ) -> None:
        self.window, self.dims, self.zero_point = part.window, dims, zero_point
        self.size = 1 if bits <= 8 else 2
        rounds = [reads_of(part, chip, round_, lossy=not forced) for round_ in part.rounds]
        self.idle = not any(rounds)
        setting = setting_of(part, bits, chip, rounds, forced=forced)
        largest = largest_number(rounds, setting) * places_in_all(setting)
        limits = [largest * totals(reads, setting.rows) for reads in rounds]
        limit = max(int(each.max(initial=0)) for each in limits)
        self.setting = setting._replace(planes=limit.bit_length() + 1)
        self.layout = layout_of(part, rounds, self.steps(), self.setting, self.size)
        self.constant = self._constant(part, rounds)
        self.bound = self._bound(part, limits)

    def steps(self) -> Ints:
        """How far each element of a window [Cin, Kh, Kw] lies from its first, channels last."""
        channels = self.dims[0]
        width = self.dims[2] + self.window.pads[1] + self.window.pads[3]
        y = np.arange(self.window.kernel[0]) * self.window.dilations[0]
        x = np.arange(self.window.kernel[1]) * self.window.dilations[1]
        places = (y[:, None] * width + x) * channels
        return (np.arange(channels)[:, None] + places.reshape(-1)).reshape(-1) * self.size

    def _constant(self, part: LayerPart, rounds: list[list[Read]]) -> Ints:
        """What is added at every position, [Cout]."""
        constant = np.zeros((len(part.bias), 1), np.int64)
        step, places = self.setting.step, places_in_all(self.setting)
        for round_, corrections, reads in zip(part.rounds, part.corrections, rounds, strict=True):
            if self.setting.exact:
                apply_ofat(constant, round_, -self.zero_point * corrected(part, corrections))
            elif step > 1:
                # What remains of a division counts from half a step below the sum.
                values = np.zeros(self.setting.rows, np.int64)
                for read in reads:
                    signs = 1 - 2 * (read.targets % 2)
                    np.add.at(values, read.targets // 2, signs << read.shifts)
                own = values[: epitome_columns(part)].copy()
                rows = self.layout.packs
                own[rows >= 0] += values[rows[rows >= 0]]
                apply_ofat(constant, round_, (own * (step // 2) * places)[:, None])
        return constant[:, 0]

    def _bound(self, part: LayerPart, limits: list[Ints]) -> int:
        """The largest magnitude that may be added."""
        factor = self.setting.step if self.setting.exact else 1
        total = np.abs(self.constant)
        for round_, limit in zip(part.rounds, limits, strict=True):
            rows = limit.reshape(-1, 2).sum(axis=1) * factor
            own, packs = rows[: epitome_columns(part)], self.layout.packs
            own = own + np.where(packs >= 0, rows[packs], 0)
            for e in round_.ofat:
                added = own[e.column : e.column + e.count] * abs(e.multiplier)
                total[e.destination : e.destination + e.count] += added
        return int(total.max())

    def add(self, x: NDArray[Any], out: NDArray[Any], counts: SerialCounts | None = None) -> None:
        """Add to accumulators, in place.

        Args:
            x: uint8 or uint16 [n, H, W, C].
            out: int32 or int64 [n, Hout, Wout, Cout].
            counts: Takes what is counted.
        """
        out += self.constant.astype(out.dtype)
        if self.idle:
            return
        padded = self.padded(x)
        positions = self.positions(len(x), out.shape[1:3])
        setting = self.setting._replace(
            narrow=int(out.dtype == np.int32), counts=int(counts is not None)
        )
        flat, tally = out.reshape(-1), np.zeros(2, np.int64)
        results = (flat, NO_SUMS, tally) if setting.narrow else (NO_COUNTS, flat, tally)
        source = padded, positions
        memory = scratch(setting)
        add_serial(source, self.layout, setting, memory, results, len(positions))
        if counts is not None:
            counts.add(int(tally[0]), int(tally[1]))

    def padded(self, x: NDArray[Any]) -> NDArray[Any]:
        """The map as bytes, with what lies outside of it, and eight bytes behind."""
        top, left, bottom, right = self.window.pads
        n, height, width, channels = x.shape
        shape = (n, height + top + bottom, width + left + right, channels)
        room = np.empty(math.prod(shape) + 8 // self.size, x.dtype)
        result = room[: -8 // self.size].reshape(shape)
        if any(self.window.pads):
            result[...] = self.zero_point
        result[:, top : top + height, left : left + width] = x
        return room.view(np.uint8)

    def positions(self, samples: int, size: tuple[int, ...]) -> Ints:
        """Where the window of each position begins in the padded map."""
        channels, height, width = self.dims
        top, left, bottom, right = self.window.pads
        height, width = height + top + bottom, width + left + right
        n = np.arange(samples)[:, None, None] * height
        y = np.arange(size[0])[:, None] * self.window.strides[0]
        x = np.arange(size[1]) * self.window.strides[1]
        return (((n + y) * width + x) * channels).reshape(-1) * self.size


def setting_of(
    part: LayerPart, bits: int, chip: Chip, rounds: list[list[Read]], *, forced: bool
) -> Setting:
    """The numbers of a kernel, but for the planes that sums need; arguments as `SerialProduct`."""
    converter = converter_of(part, chip)
    most = max((len(read.positions) for reads in rounds for read in reads), default=0)
    slices = -(-bits // chip.dac_bits)
    parts = min(1 << (slices - 1).bit_length(), 8)
    step = converter.step
    counted = chip.dac_bits == 1 and slices <= parts and part.cell_bits <= 2
    return Setting(
        parts=parts,
        vectors=-(-slices // parts),
        dac_bits=chip.dac_bits,
        input_bits=bits,
        cell_bits=part.cell_bits,
        adc_bits=converter.bits,
        step=step,
        shift=step.bit_length() - 1 if step & (step - 1) == 0 else -1,
        exact=int(forced),
        narrow=0,
        counts=0,
        lines=-(-most // 8) * 8 + 1,
        planes=0,
        rounds=len(part.rounds),
        outputs=len(part.bias),
        rows=epitome_columns(part) + part.groups,
        simple=int(counted and step == 1 and most <= MOST_COUNTED),
    )


def largest_number(rounds: list[list[Read]], setting: Setting) -> int:
    """The largest number that one column gives for one slice: a code, or what its ADC loses."""
    cells = (read.cells.sum(axis=0, dtype=np.int64) for reads in rounds for read in reads)
    highest = max((int(each.max(initial=0)) for each in cells), default=0)
    highest *= (1 << setting.dac_bits) - 1
    if setting.exact:
        return -(-highest // setting.step)
    # What remains of a division: less than a step, but of a sum that is clipped.
    converter = Converter(setting.adc_bits, setting.step)
    clipped = highest + setting.step // 2 - converter.top * setting.step
    return max(clipped, setting.step)


def places_in_all(setting: Setting) -> int:
    """What the slices of an activation count for together, those of a vector without one too."""
    lanes = setting.parts * setting.vectors
    return sum(1 << (setting.dac_bits * k) for k in range(lanes))


def totals(reads: list[Read], rows: int) -> Ints:
    """What the columns of a round that have one target count for in all, [2 * rows]."""
    result = np.zeros(2 * rows, np.int64)
    for read in reads:
        np.add.at(result, read.targets, np.int64(1) << read.shifts)
    return result
