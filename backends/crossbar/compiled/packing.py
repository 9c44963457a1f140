"""From maps to panels: what the tiles read, word by word.

A panel has a row for each word of a window, and in it the word of every position of a tile.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from epimc.backends.crossbar.compiled import vectors
from epimc.backends.crossbar.compiled.jit import inlined
from epimc.ir.semantics.arrays import Array, Ints

copy, fill = vectors.copying(), vectors.filling()
four_words, four_pairs = vectors.transposition(4), vectors.transposition(2)


@inlined
def framed(x: Array, sample: int, plan: Any, source: Array, at: int) -> None:
    """Copy a sample with its padding around it, from `at` on: a plane of each of its bytes."""
    flat = x.reshape(-1)
    width, line = plan.width * plan.channels, plan.frame_width * plan.channels
    left = plan.left * plan.channels
    for number in range(plan.planes):
        value = (plan.zero_point >> (8 * number)) & 255
        for y in range(plan.frame_height):
            target = at + (number * plan.frame_height + y) * line
            row = y - plan.top
            if row < 0 or row >= plan.height:
                fill(source, target, value, line)
                continue
            first = (sample * plan.height + row) * width * plan.planes
            fill(source, target, value, left)
            if plan.planes == 1:
                copy(source, target + left, flat, first, width)
            else:
                for place in range(width):
                    source[target + left + place] = flat[first + 2 * place + number]
            fill(source, target + left + width, value, line - left - width)


@inlined
def located(places: Ints, first: int, count: int, plan: Any) -> None:
    """Where the windows of positions begin, of the `row` words of tile after tile.

    Args:
        places: Filled.
        first: The first position, counted over samples, rows and columns.
        count: Of all positions; the last stands for those behind it.
        plan: Of the convolution.
    """
    sample, rest = divmod(first, plan.out_height * plan.out_width)
    y, x = divmod(rest, plan.out_width)
    position, lane = first, 0
    for number in range(len(places)):
        row = sample * plan.frame_height * plan.planes + y * plan.stride_y
        places[number] = (row * plan.frame_width + x * plan.stride_x) * plan.channels
        if lane < plan.positions and position + 1 < count:
            position, x = position + 1, x + 1
            if x == plan.out_width:
                y, x = y + 1, 0
            if y == plan.out_height:
                sample, y = sample + 1, 0
        lane += 1
        if lane == plan.row:
            lane = 0


@inlined
def one_word(source: Array, at: int, depth: int) -> np.int32:
    """A word of a panel: four bytes, or two as 16-bit integers."""
    low = np.int32(source[at])
    if depth == 2:
        return low | np.int32(np.int32(source[at + 1]) << np.int32(16))
    word = low | np.int32(np.int32(source[at + 1]) << np.int32(8))
    word = word | np.int32(np.int32(source[at + 2]) << np.int32(16))
    return word | np.int32(np.int32(source[at + 3]) << np.int32(24))


@inlined
def packed(
    source: Array,
    places: Ints,
    first: int,
    segments: Ints,
    offset: int,
    plan: Any,
    panel: Array,
    at: int,
) -> None:
    """One panel.

    Args:
        source: The map.
        places: Where windows begin; those of this panel from `first` on.
        first: Of the panel's positions.
        segments: Where the parts of a window begin that lie side by side, from its begin on.
        offset: Where the group's channels begin.
        plan: Of the convolution.
        panel: Filled from `at` on.
        at: Of the panel.
    """
    row, depth, span = plan.row, plan.depth, plan.span
    quads = span - span % 4
    for segment in segments:
        base = segment + offset
        for word in range(0, quads, 4):
            for lane in range(0, row, 4):
                target = at + word * row + lane
                if depth == 4:
                    four_words(source, places, first + lane, base + word * 4, panel, target, row)
                else:
                    four_pairs(source, places, first + lane, base + word * 2, panel, target, row)
        for word in range(quads, span):
            for lane in range(row):
                place = places[first + lane] + base + word * depth
                panel[at + word * row + lane] = one_word(source, place, depth)
        at += span * row
