"""The bit-serial path of a part for blocks of positions, as machine code.

A lane is a position and an input slice: a vector has all slices of CHUNK positions, or half of the
slices of twice as many, and so on.  Each column counts the lines whose cells are set (or those
whose cells are not, where these are fewer: then it takes them from all); what its ADC makes of the
sums, and the weighted sum over columns, stay in planes until all arrays of a round are read.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from epimc.backends.crossbar.compiled import vectors
from epimc.backends.crossbar.compiled.counting import (
    COUNTED,
    add_codes,
    add_excess,
    others,
    plus_double,
    put_count,
)
from epimc.backends.crossbar.compiled.jit import compiled, inlined
from epimc.backends.crossbar.compiled.lanes import (
    CHUNK,
    MASK,
    WORDS,
    add_counts,
    add_numbers,
    any_set,
    beyond,
    count,
    either,
    load,
    store,
    total,
    zeros,
)
from epimc.backends.crossbar.compiled.planes import (
    MOST_LINES,
    add_into,
    bit_length,
    convert,
    counted,
    divide,
    excess,
    take_constant,
    take_from,
)
from epimc.backends.crossbar.compiled.slabs import by_place, put_masks, word_at

pointers, keep = vectors.pointers(), vectors.keeping()

ROOM = 64
"""Planes of scratch numbers."""

MOST_COUNTED = MOST_LINES // 8 * 8
"""Lines that are counted at once."""


class Setting(NamedTuple):
    """Numbers that a part's kernel needs.

    Attributes:
        parts: Slices that a vector holds side by side: 1, 2, 4 or 8.
        vectors: How many vectors hold all slices.
        dac_bits: Bits of a slice.
        input_bits: Bits of an activation.
        cell_bits: Bits of a cell.
        adc_bits: Bits of a code.
        step: What a code stands for.
        shift: Its logarithm, if it is a power of two; else -1.
        exact: 1: all that the ADCs deliver is added; 0: what they lose.
        narrow: 1 where results are of 32 bits.
        counts: 1 where clipped conversions are counted.
        lines: Lines of the slab, one more than any read drives: the last has no bit set.
        planes: Planes that hold any sum over all arrays of a round.
        rounds: Rounds.
        outputs: Channels of the result.
        rows: Rows of values: epitome columns, then reference columns.
        simple: 1 where sums are counts of one vector of lines, or of two for two bits of a cell,
            and the step is 1.
    """

    parts: int
    vectors: int
    dac_bits: int
    input_bits: int
    cell_bits: int
    adc_bits: int
    step: int
    shift: int
    exact: int
    narrow: int
    counts: int
    lines: int
    planes: int
    rounds: int
    outputs: int
    rows: int
    simple: int


class Layout(NamedTuple):
    """What a part's kernel reads and adds up: int64 arrays, each list cut by the one before.

    Attributes:
        rounds: [rounds + 1], the reads of each round.
        reads: [reads], how many lines each read drives.
        windows: [reads + 1], the windows of each read: eight bytes that are fetched at once.
        sources: [windows], how many bytes behind a position's first one each window begins.
        driven: [windows * 8], for each byte twice the line that it drives, odd for the higher of
            its two bytes; -1 where it drives none.
        places: [16], for each bit of an activation where its mask lies in the first line.
        reads_groups: [reads + 1], the groups of each read.
        arrays: [reads], how many arrays a read stands for: those with the same lines.
        targets: [groups], what a group adds to: twice the row of values, odd where it subtracts.
        groups: [groups + 1], the columns of each group.
        shifts: [columns], the logarithm of what a column counts for.
        starts: [columns * cell bits], where in `lines` those begin that are counted.
        counts: [columns * cell bits], how many there are.
        turned: [columns * cell bits], 1 where they are those whose bit is not set.
        lines: uint16, words of the slab; each list filled up to a multiple of eight.
        every: uint16, all lines, likewise.
        entries: [rounds + 1], the OFAT entries of each round.
        ofat: [entries * 4]: column, count, destination, multiplier.
        packs: [epitome columns], the row of values of the reference column, or -1.
    """

    rounds: Any
    reads: Any
    windows: Any
    sources: Any
    driven: Any
    places: Any
    reads_groups: Any
    arrays: Any
    targets: Any
    groups: Any
    shifts: Any
    starts: Any
    counts: Any
    turned: Any
    lines: Any
    every: Any
    entries: Any
    ofat: Any
    packs: Any


# Places in a layout.
(
    ROUNDS,
    READS,
    WINDOWS,
    SOURCES,
    DRIVEN,
    PLACES,
    READS_GROUPS,
    ARRAYS,
    TARGETS,
    GROUPS,
    SHIFTS,
    STARTS,
    COUNTS,
    TURNED,
    LINES,
    EVERY,
    ENTRIES,
    OFAT,
    PACKS,
) = range(19)


def aligned(words: int) -> NDArray[np.uint64]:
    """Zeros from a multiple of a cache line on."""
    room = np.zeros(words + 8, np.uint64)
    first = -(room.ctypes.data // 8) % 8
    return room[first : first + words]


def scratch(s: Setting) -> tuple[Any, ...]:
    """The memory of one call: words, their masks, numbers of planes, what is fetched, values."""
    vectors_, size = s.vectors * s.dac_bits, CHUNK * (8 // s.parts)
    slab, totals = aligned(vectors_ * s.lines * WORDS), aligned(vectors_ * ROOM * WORDS)
    sums = aligned(2 * s.rows * (s.planes + 1) * WORDS)
    words = (slab, totals, sums, *(aligned(ROOM * WORDS) for _ in range(5)))
    lengths = np.zeros(vectors_, np.int64), np.zeros(2 * s.rows, np.int64)
    masks = slab.view(MASK), sums.view(MASK)
    fetched = aligned(CHUNK), aligned(CHUNK).view(np.uint8)
    return words, masks, lengths, fetched, np.zeros(s.rows * size, np.int64)


@compiled
def add_serial(
    source: Any, layout: Layout, setting: Setting, memory: Any, results: Any, positions: int
) -> None:
    """Add what the arrays deliver, or what their ADCs lose, without corrections.

    Args:
        source: Activations with what lies outside the image, as bytes; and int64 [positions],
            where the window of each begins there.
        layout: What is read.
        setting: With which numbers.
        memory: As `scratch` gives it.
        results: int32 and int64 [positions * Cout], of which one has elements and is added to; and
            int64 [2], added to: clipped conversions, reads of slices that are 0.
        positions: How many there are.
    """
    s = setting
    words, masks, lengths = pointers(memory[0]), pointers(memory[1]), pointers(memory[2])
    fetched, values = pointers(memory[3]), pointers(memory[4:])[0]
    lists, data, out = pointers(layout), pointers(source), pointers(results)
    size = CHUNK * (8 // s.parts)
    slices = (s.input_bits + s.dac_bits - 1) // s.dac_bits
    for begin in range(0, positions, size):
        here = min(size, positions - begin)
        for number in range(s.rounds):
            for target in range(2 * s.rows):
                lengths[1][target] = 0
            for read in range(lists[ROUNDS][number], lists[ROUNDS][number + 1]):
                fill_slab(data, begin, here, lists, read, s, fetched, words[0], masks[0])
                driven = total_lines(lists, read, s, words, lengths[0])
                out[2][1] += (here * slices - driven) * lists[ARRAYS][read]
                if s.exact or s.step == 1:
                    # In all lanes 0 is read as 0.
                    if driven == 0:
                        continue
                    if not s.exact and not may_clip(s, words, lengths[0]):
                        continue
                if s.simple:
                    out[2][0] += add_simple(lists, read, s, words, lengths[1])
                else:
                    out[2][0] += add_general(lists, read, s, words, lengths)
            for place in range(s.rows * size):
                values[place] = 0
            spread_values(s, words, masks[1], lengths[1], values, size)
            if s.narrow:
                add_round(lists, number, s, values, size, out[0], begin, here)
            else:
                add_round(lists, number, s, values, size, out[1], begin, here)
    keep((source, layout, memory, results))


@compiled
def fill_slab(
    source: Any,
    begin: int,
    here: int,
    lists: Any,
    read: int,
    s: Setting,
    memory: Any,
    slab: Any,
    masks: Any,
) -> None:
    """The bits of all activations that a read drives, a line each."""
    x, bases = source
    words, octets = memory
    lines = lists[READS][read]
    # Lines are counted in eights.
    for line in range(lines, (lines + 7) // 8 * 8):
        for vector in range(s.vectors * s.dac_bits):
            store(slab, (vector * s.lines + line) * WORDS, zeros())
    for chunk in range(8 // s.parts):
        first = begin + chunk * CHUNK
        positions = max(min(here - chunk * CHUNK, CHUNK), 0)
        for p in range(positions, CHUNK):
            words[p] = 0
        for window in range(lists[WINDOWS][read], lists[WINDOWS][read + 1]):
            place = lists[SOURCES][window]
            for p in range(positions):
                words[p] = word_at(x, bases[first + p] + place)
            by_place(words, octets)
            for k in range(8):
                line = lists[DRIVEN][window * 8 + k]
                if line >= 0:
                    # Of activations of two bytes the second has the higher bits.
                    high = line % 2 * 8
                    bits = min(s.input_bits - high, 8)
                    places = beyond(lists[PLACES], high)
                    base = line // 2 * 8 + chunk
                    put_masks(octets, k * CHUNK, bits, masks, places, base)


@compiled
def total_lines(lists: Any, read: int, s: Setting, memory: Any, planes: Any) -> Any:
    """Count all lines of a read; how many slices of positions are not 0."""
    slab, totals = memory[:2]
    lines = lists[READS][read]
    driven: Any = np.int64(0)
    for v in range(s.vectors):
        present = zeros()
        for i in range(s.dac_bits):
            vector = i * s.vectors + v
            own = beyond(slab, vector * s.lines * WORDS)
            total = beyond(totals, vector * ROOM * WORDS)
            planes[vector] = sum_lines(own, lists[EVERY], np.int64(0), lines, total, memory[7])
            for k in range(planes[vector]):
                present = either(present, load(total, k * WORDS))
        driven += count(present)
    return driven


@compiled
def may_clip(s: Setting, memory: Any, planes: Any) -> bool:
    """Whether any lane drives so many lines that an ADC of step 1 could clip a column's sum."""
    if s.dac_bits > 1:
        return True
    totals, rest = memory[1], memory[7]
    # As if all cells were at their highest level.
    least = ((1 << s.adc_bits) - 1) // ((1 << s.cell_bits) - 1) + 1
    for v in range(s.vectors):
        total = beyond(totals, v * ROOM * WORDS)
        if any_set(take_constant(total, planes[v], least, rest)):
            return True
    return False


@compiled
def sum_lines(slab: Any, lines: Any, at: Any, number: int, planes: Any, more: Any) -> Any:
    """Count lines of a slab, however many; how many planes the count has."""
    result: Any = np.int64(0)
    most: Any = np.int64(ROOM)
    none: Any = np.int64(0)
    for first in range(0, number, MOST_COUNTED):
        length = min(number - first, MOST_COUNTED)
        own = more if first else planes
        put_count(own, 0, counted(slab, lines, at + first, (length + 7) // 8))
        length = bit_length(length)
        result = add_into(planes, result, most, more, length, none) if first else length
    return result


@inlined
def term(lists: Any, number: int, slab: Any, totals: Any) -> Any:
    """The count of the lines whose cells are set."""
    eights = (lists[COUNTS][number] + 7) // 8
    planes = counted(slab, lists[LINES], lists[STARTS][number], eights)
    if lists[TURNED][number]:
        planes = others(totals, 0, planes)
    return planes


@compiled
def add_simple(lists: Any, read: int, s: Setting, memory: Any, lengths: Any) -> Any:
    """Add what the columns of a read deliver to the sums of its targets; clipped conversions."""
    slab, totals, sums, own = memory[:4]
    clipped = zeros()
    most = min(s.adc_bits, COUNTED + 2) if s.exact else COUNTED + 2
    for group in range(lists[READS_GROUPS][read], lists[READS_GROUPS][read + 1]):
        first, last = lists[GROUPS][group], lists[GROUPS][group + 1]
        some = zeros()
        for column in range(first, last):
            word = lists[SHIFTS][column] * WORDS
            if s.cell_bits == 1:
                number = term(lists, column, slab, totals)
                if s.exact:
                    high = add_codes(own, word, s.adc_bits, number)
                else:
                    high = add_excess(own, word, s.adc_bits, number)
            else:
                low = term(lists, 2 * column, slab, totals)
                both_bits = plus_double(low, term(lists, 2 * column + 1, slab, totals))
                if s.exact:
                    high = add_codes(own, word, s.adc_bits, both_bits)
                else:
                    high = add_excess(own, word, s.adc_bits, both_bits)
            if s.counts:
                clipped = add_counts(clipped, high)
            some = either(some, high)
        # Mostly the columns of a group lose nothing.
        if not s.exact and not any_set(some):
            continue
        target = lists[TARGETS][group]
        place = beyond(sums, target * (s.planes + 1) * WORDS)
        planes = lists[SHIFTS][last - 1] + most + 1
        lengths[target] = add_into(place, lengths[target], s.planes, own, planes, np.int64(0))
        for k in range(planes):
            store(own, k * WORDS, zeros())
    return total(clipped)


@compiled
def add_general(lists: Any, read: int, s: Setting, memory: Any, lengths: Any) -> Any:
    """As `add_simple`, for all cells and converters."""
    clipped: Any = np.int64(0)
    for group in range(lists[READS_GROUPS][read], lists[READS_GROUPS][read + 1]):
        sums, own = memory[2:4]
        length: Any = np.int64(0)
        for column in range(lists[GROUPS][group], lists[GROUPS][group + 1]):
            for v in range(s.vectors):
                lanes, length = add_column(lists, column, v, s, memory, lengths[0], length)
                clipped += lanes
        target = lists[TARGETS][group]
        place, before = beyond(sums, target * (s.planes + 1) * WORDS), lengths[1][target]
        lengths[1][target] = add_into(place, before, s.planes, own, length, np.int64(0))
    return clipped


@compiled
def add_column(
    lists: Any, column: int, v: int, s: Setting, memory: Any, counts: Any, length: int
) -> tuple[Any, Any]:
    """Add what a column delivers of some slices to a number of `length` planes.

    Returns:
        Clipped conversions, and how many planes the number has now.
    """
    own, x, codes, rest = memory[3:7]
    planes = sum_column(lists, column, v, s, memory, counts)
    shift = lists[SHIFTS][column] + s.dac_bits * v
    if not s.exact and s.step == 1:
        lanes = excess(x, planes, s.adc_bits)
        number = x
        planes = planes if lanes else 0
    elif s.exact and s.shift >= 0:
        planes, lanes = convert(x, planes, s.adc_bits, s.shift)
        number = beyond(x, s.shift * WORDS)
    else:
        half = bit_length(s.step // 2)
        for k in range(planes, half):
            store(x, k * WORDS, zeros())
        planes = max(planes, half)
        lanes = divide(x, planes, s.adc_bits, s.step, codes, rest)
        number, planes = (codes, s.adc_bits) if s.exact else (x, planes + 1)
    if planes:
        length = add_into(own, length, s.planes, number, planes, shift)
    return lanes, length


@compiled
def sum_column(lists: Any, column: int, v: int, s: Setting, memory: Any, counts: Any) -> Any:
    """The sums on a column's bit line, into `x`; how many planes they have."""
    slab, totals, x, part, more = memory[0], memory[1], memory[4], memory[5], memory[7]
    planes: Any = np.int64(0)
    most: Any = np.int64(ROOM)
    for bit in range(s.cell_bits):
        number = column * s.cell_bits + bit
        start, lines = lists[STARTS][number], lists[COUNTS][number]
        for i in range(s.dac_bits):
            vector = i * s.vectors + v
            own = beyond(slab, vector * s.lines * WORDS)
            length = sum_lines(own, lists[LINES], start, lines, part, more)
            if lists[TURNED][number]:
                total = beyond(totals, vector * ROOM * WORDS)
                take_from(total, counts[vector], part, length)
                length = counts[vector]
            planes = add_into(x, planes, most, part, length, bit + i)
    return planes


@compiled
def spread_values(
    s: Setting, memory: Any, masks: Any, lengths: Any, values: Any, size: int
) -> None:
    """The values of a round as integers [rows, positions]: slices of a position added up."""
    sums, room = memory[2], memory[4]
    for target in range(2 * s.rows):
        if not lengths[target]:
            continue
        place = target * (s.planes + 1)
        number = beyond(sums, place * WORDS)
        length = fold(s, number, beyond(masks, place * 8), lengths[target], room)
        unit = -1 if target % 2 else 1
        row = target // 2 * size
        for chunk in range(8 // s.parts):
            add_numbers(values, row + chunk * CHUNK, masks, place * 8 + chunk, length, 8, unit)


@compiled
def fold(s: Setting, number: Any, masks: Any, length: int, room: Any) -> Any:
    """Add the slices that lie side by side in a number, into its lowest lanes.

    Args:
        s: With which numbers.
        number: The number.
        masks: The same, as masks.
        length: How many planes it has.
        room: For as many.

    Returns:
        How many planes it has now.
    """
    halves = s.parts
    while halves > 1:
        halves //= 2
        chunks = halves * (8 // s.parts)
        # First a copy: a plane of the sum may be one that is read later.
        for k in range(length):
            store(room, k * WORDS, load(masks, k * 8 + chunks))
        shift = s.dac_bits * s.vectors * halves
        length = add_into(number, length, s.planes, room, length, shift)
    return length


@compiled
def add_round(
    lists: Any, number: int, s: Setting, values: Any, size: int, out: Any, begin: int, here: int
) -> None:
    """Add a round's values to outputs, as its OFAT says: all that is stored begins at 0."""
    factor = s.step if s.exact else -1
    packs = lists[PACKS]
    for entry in range(lists[ENTRIES][number], lists[ENTRIES][number + 1]):
        ofat = beyond(lists[OFAT], 4 * entry)
        column, channel, multiplier = ofat[0], ofat[2], ofat[3] * factor
        for p in range(here):
            place = (begin + p) * s.outputs + channel
            for k in range(ofat[1]):
                value = values[(column + k) * size + p]
                if packs[column + k] >= 0:
                    value += values[packs[column + k] * size + p]
                out[place + k] += multiplier * value
