"""From maps to panels: what the tiles read, word by word.

A panel has a row for each word of a window, and in it the word of every position of a tile.
"""

from __future__ import annotations

from typing import Any

from epimc.backends.crossbar.compiled import tiles, vectors
from epimc.backends.crossbar.compiled.jit import inlined

copy, fill = vectors.copying(), vectors.filling()
four_words, four_pairs = tiles.transposition(4), tiles.transposition(2)


@inlined
def framed(x: Any, sample: int, plan: Any, source: Any, at: int) -> None:
    """Copy a sample with its padding around it, from `at` on: a plane of each of its bytes."""
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
                copy(source, target + left, x, first, width)
            else:
                for place in range(width):
                    source[target + left + place] = x[first + 2 * place + number]
            fill(source, target + left + width, value, line - left - width)


@inlined
def located(places: Any, panels: int, first: int, count: int, plan: Any) -> None:
    """Where the windows of positions begin, for each word of a row of tile after tile.

    Args:
        places: Filled.
        panels: How many.
        first: The first position, counted over samples, rows and columns.
        count: Of all positions; the last stands for those behind it.
        plan: Of the convolution.
    """
    sample, rest = divmod(first, plan.out_height * plan.out_width)
    y, x = divmod(rest, plan.out_width)
    position, lane = first, 0
    for number in range(panels * plan.row):
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
def packed(
    source: Any, places: Any, first: int, segments: Any, offset: int, plan: Any, panel: Any, at: int
) -> None:
    """One panel, and up to three rows of anything behind it.

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
    for number in range(plan.words // span):
        base = segments[number] + offset
        # What is read beyond a segment is written over by the next.
        for word in range(0, span, 4):
            for lane in range(0, row, 4):
                target = at + word * row + lane
                if depth == 4:
                    four_words(source, places, first + lane, base + word * 4, panel, target, row)
                else:
                    four_pairs(source, places, first + lane, base + word * 2, panel, target, row)
        at += span * row
