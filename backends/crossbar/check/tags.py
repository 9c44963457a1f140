"""Tags: which part of which row of which feature map lies in every 8 bytes of the buffers.

A row is good only when all its tags are right, so that whatever overwrites a part of it makes it
unreadable.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate

import numpy as np

from epimc.backends.crossbar.core.program import ALIGNMENT, FeatureMap, Program
from epimc.backends.crossbar.isa.execution import buffer_extent

Row = tuple[int, int]
"""(map, row)."""

NOTHING = 0
"""The tag of a place that nothing was written to."""


class BufferTags:
    """The buffers of all tiles, with tags instead of data."""

    def __init__(self, program: Program) -> None:
        self._maps = program.maps
        extents = [buffer_extent(program, tile) for tile in range(len(program.streams))]
        self._tags = [np.full(extent // ALIGNMENT, NOTHING, np.int64) for extent in extents]
        # The rows of all maps have their tags one after the other, word by word.
        self._words = [feature_map.row_stride // ALIGNMENT for feature_map in program.maps]
        sizes = [m.height * words for m, words in zip(program.maps, self._words, strict=True)]
        self._bases = list(accumulate(sizes, initial=NOTHING + 1))[:-1]

    def put(self, tile: int, address: int, row: Row) -> None:
        """Write a row to an address of a tile's buffer."""
        word, tag, end = address // ALIGNMENT, *self._tags_of(row)
        self._tags[tile][word : word + end - tag] = np.arange(tag, end)

    def holds(self, tile: int, address: int, row: Row) -> bool:
        """Whether all of a row lies at an address of a tile's buffer."""
        word, tag, end = address // ALIGNMENT, *self._tags_of(row)
        tags = self._tags[tile][word : word + end - tag]
        # Behind the buffer's last tag a slice is shorter, and equal to nothing.
        return len(tags) == end - tag and bool((tags == np.arange(tag, end)).all())

    def row_at(self, tile: int, address: int) -> tuple[Row, int] | None:
        """The row of which a part lies at an address, and the word of it; None: nothing."""
        word = address // ALIGNMENT
        tag = int(self._tags[tile][word]) if word < len(self._tags[tile]) else NOTHING
        if tag == NOTHING:
            return None
        # Tags ascend from map to map: the last base that is not above the tag is that of its map.
        index = bisect_right(self._bases, tag) - 1
        row, offset = divmod(tag - self._bases[index], self._words[index])
        return (index, row), offset

    def content(self, tile: int, address: int) -> str:
        """What lies at an address of a tile's buffer, in words."""
        place = self.row_at(tile, address)
        if place is None:
            return "nothing"
        row, offset = place
        name = row_name(self._maps, row)
        return f"the inside of {name}" if offset else name

    def _tags_of(self, row: Row) -> tuple[int, int]:
        """The tag of a row's first word, and that behind its last."""
        index, number = row
        first = self._bases[index] + number * self._words[index]
        return first, first + self._words[index]


def row_name(maps: tuple[FeatureMap, ...], row: Row) -> str:
    """A row in words."""
    return f"row {row[1]} of '{maps[row[0]].name}'"
