"""What the bit-serial kernel of a part reads, as arrays: lines, columns, and where they add to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from epimc.backends.crossbar.compiled.jit import compiled
from epimc.backends.crossbar.compiled.lanes import WORDS
from epimc.backends.crossbar.compiled.serial_kernel import Layout, Setting
from epimc.backends.crossbar.core.program import Chip
from epimc.backends.crossbar.core.rounds import Round, spread
from epimc.backends.crossbar.kernels.cells import array_cells, column_targets, reference_rows
from epimc.backends.crossbar.kernels.converters import converter_of, row_groups
from epimc.backends.crossbar.kernels.layer_part import LayerPart
from epimc.backends.crossbar.kernels.sampling import column_destinations, input_positions
from epimc.ir.semantics.arrays import Ints

TURNING = 12
"""Lines that may be counted more before those that are not set are counted instead: it takes time
to take them from all."""


@dataclass(eq=False)
class Read:
    """One read of arrays that are driven alike.

    Attributes:
        positions: int64 [lines], in the flattened window [Cin, Kh, Kw].
        arrays: How many arrays there are.
        cells: uint8 [lines, columns], level by level.
        targets: int64 [columns], what each adds to: twice the row of values, odd to subtract.
        shifts: int64 [columns], the logarithm of what each counts for.
    """

    positions: Ints
    arrays: int
    cells: NDArray[np.uint8]
    targets: Ints
    shifts: Ints


def reads_of(part: LayerPart, chip: Chip, round_: Round, *, lossy: bool) -> list[Read]:
    """The reads of a round, those of arrays with the same lines as one.

    Args:
        part: The part of a layer.
        chip: With its converters.
        round_: One of its rounds.
        lossy: Whether columns are left out whose sums the ADC reads as they are.
    """
    lines, positions = spread(round_.ifrt), input_positions(part, round_)
    used = column_destinations(part, round_) > 0
    places, factors = column_targets(part)
    converter = converter_of(part, chip)
    merged: dict[bytes, list[tuple[Ints, NDArray[np.uint8], Ints]]] = {}
    for array in part.arrays:
        levels = array_cells(part, array)
        for driven in row_groups(round_, array, chip.rows_per_read):
            cells = levels[lines[driven] - array.row]
            highest = cells.sum(axis=0, dtype=np.int64) * ((1 << chip.dac_bits) - 1)
            kept = used[array.column : array.column + array.columns].copy()
            if lossy:
                kept &= converter.worst_errors(highest) > 0
            numbers = array.column + np.flatnonzero(kept)
            merged.setdefault(driven.tobytes(), []).append((driven, cells[:, kept], numbers))
    reads = []
    for members in merged.values():
        numbers = np.concatenate([item[2] for item in members])
        if lossy and not len(numbers):
            continue
        cells = np.concatenate([item[1] for item in members], axis=1)
        order = np.lexsort((factors[numbers], places[numbers]))
        numbers = numbers[order]
        reads.append(
            Read(
                positions[members[0][0]],
                len(members),
                np.ascontiguousarray(cells[:, order]),
                places[numbers],
                factors[numbers],
            )
        )
    return reads


def layout_of(
    part: LayerPart, rounds: Sequence[Sequence[Read]], steps: Ints, setting: Setting, size: int
) -> Layout:
    """The arrays of a kernel.

    Args:
        part: The part of a layer.
        rounds: The reads of each round.
        steps: int64 [window positions], how many bytes each lies behind the window's first.
        setting: Of the kernel.
        size: Bytes of an activation.
    """
    capacity = setting.lines
    reads = [read for round_ in rounds for read in round_]
    firsts = cuts(len(read.targets) for read in reads)
    groups = [np.flatnonzero(np.diff(read.targets, prepend=-1)) for read in reads]
    terms = [listed(read.cells, part.cell_bits, capacity) for read in reads]
    starts = cuts(len(lines) for _, _, lines in terms)
    fetches = [fetched(steps[read.positions], size) for read in reads]
    ofat = [(e.column, e.count, e.destination, e.multiplier) for r in part.rounds for e in r.ofat]
    return Layout(
        rounds=cuts(len(round_) for round_ in rounds),
        reads=np.array([len(read.positions) for read in reads], np.int64),
        windows=cuts(len(sources) for sources, _ in fetches),
        sources=joined(sources for sources, _ in fetches),
        driven=joined(driven.reshape(-1) for _, driven in fetches),
        places=bit_places(setting),
        reads_groups=cuts(len(group) for group in groups),
        arrays=np.array([read.arrays for read in reads], np.int64),
        targets=joined(read.targets[group] for read, group in zip(reads, groups, strict=True)),
        groups=np.append(
            joined(first + group for first, group in zip(firsts[:-1], groups, strict=True)),
            firsts[-1],
        ),
        shifts=joined(read.shifts for read in reads),
        starts=joined(
            start + cuts(-(-counts // 8) * 8)[:-1]
            for start, (counts, _, _) in zip(starts[:-1], terms, strict=True)
        ),
        counts=joined(counts for counts, _, _ in terms),
        turned=joined(turned for _, turned, _ in terms),
        lines=np.concatenate([np.zeros(0, np.uint16), *(lines for _, _, lines in terms)]),
        every=(np.arange(capacity) * WORDS).astype(np.uint16),
        entries=cuts(len(round_.ofat) for round_ in part.rounds),
        ofat=np.array(ofat, np.int64).reshape(-1),
        packs=reference_rows(part),
    )


def bit_places(setting: Setting) -> Ints:
    """For each bit of an activation which mask of a slab's first line has it, [16]."""
    places = np.zeros(16, np.int64)
    for bit in range(setting.input_bits):
        k, i = divmod(bit, setting.dac_bits)
        vector = i * setting.vectors + k % setting.vectors
        places[bit] = vector * setting.lines * 8 + k // setting.vectors * (8 // setting.parts)
    return places


def fetched(steps: Ints, size: int) -> tuple[Ints, Ints]:
    """The windows of eight bytes that have all bytes of some activations.

    Args:
        steps: Where each activation begins, int64 [lines].
        size: Bytes of an activation.

    Returns:
        Where they begin, and for each byte of them twice the line, odd for its second byte; -1 for
        none, int64 [windows, 8].
    """
    octets = (steps[:, None] + np.arange(size)).reshape(-1)
    lines = (2 * np.arange(len(steps))[:, None] + np.arange(size)).reshape(-1)
    order = np.argsort(octets)
    octets, lines = octets[order], lines[order]
    sources = np.zeros(len(octets), np.int64)
    driven = np.full((len(octets), 8), -1, np.int64)
    count = fetch(octets, lines, sources, driven)
    return sources[:count], driven[:count]


@compiled
def fetch(octets: Any, lines: Any, sources: Any, driven: Any) -> int:
    """Write the windows of ascending bytes; how many there are."""
    count, end = 0, -8
    for k in range(len(octets)):
        if octets[k] >= end:
            sources[count] = octets[k]
            end = octets[k] + 8
            count += 1
        driven[count - 1, octets[k] - sources[count - 1]] = lines[k]
    return count


def cuts(sizes: Iterable[int]) -> Ints:
    """Where runs of these sizes begin, one behind the other, and where the last ends."""
    return np.cumsum([0, *sizes], dtype=np.int64)


def joined(arrays: Iterable[Ints]) -> Ints:
    """All numbers, one behind the other."""
    return np.concatenate([np.zeros(0, np.int64), *arrays])


def listed(
    cells: NDArray[np.uint8], cell_bits: int, capacity: int
) -> tuple[Ints, Ints, NDArray[np.uint16]]:
    """For each column, and bit of its cells, the lines that are counted.

    Returns:
        How many there are, [columns * cell_bits]; 1 where it is those whose bit is not set, as
        these are fewer; and the words at which they begin, each list filled up with the last line.
    """
    shifts = np.arange(cell_bits, dtype=np.uint8)
    ones = ((cells[:, :, None] >> shifts) & 1).sum(axis=0, dtype=np.int64).reshape(-1)
    turned = (2 * ones > len(cells) + TURNING).astype(np.int64)
    counts = np.where(turned, len(cells) - ones, ones)
    starts = cuts(-(-counts // 8) * 8)
    lines = np.full(int(starts[-1]), (capacity - 1) * WORDS, np.uint16)
    list_lines(cells, cell_bits, turned, starts, lines)
    return counts, turned, lines


@compiled
def list_lines(cells: Any, cell_bits: int, turned: Any, starts: Any, lines: Any) -> None:
    """Write the lines of each list, from where it begins on."""
    own = np.zeros(cells.shape[0] + 1, np.uint16)
    for column in range(cells.shape[1]):
        for bit in range(cell_bits):
            term = column * cell_bits + bit
            count = 0
            for line in range(cells.shape[0]):
                # Written in any case, and kept if it counts: a branch would be a guess.
                own[count] = line * WORDS
                count += (cells[line, column] >> bit & 1) != turned[term]
            for k in range(count):
                lines[starts[term] + k] = own[k]
