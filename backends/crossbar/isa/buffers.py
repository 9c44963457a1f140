"""Tags: which part of which row of which feature map lies in every 8 bytes of the buffers.

The compiler asks them which loads it can do without, the checker whether what is read is there.

A row is good only when all its tags are right, so that whatever overwrites a part of it makes it
unreadable.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Sequence
from itertools import accumulate

from epimc.backends.crossbar.core.program import ALIGNMENT, FeatureMap, aligned

Row = tuple[int, int]
"""(map, row)."""


class BufferTags:
    """The buffers of all tiles, with tags instead of data; a word that has none was never written.

    What is kept grows with the rows that lie in the buffers, whatever their sizes and addresses.
    """

    def __init__(self, maps: Sequence[FeatureMap], tiles: int) -> None:
        self._maps = maps
        self._buffers = [_Buffer() for _ in range(tiles)]
        # The rows of all maps have their tags one after the other, word by word.
        self._words = [feature_map.row_stride // ALIGNMENT for feature_map in maps]
        sizes = [m.height * words for m, words in zip(maps, self._words, strict=True)]
        self._bases = list(accumulate(sizes, initial=0))[:-1]

    def put(self, tile: int, address: int, row: Row) -> None:
        """Write a row to an address of a tile's buffer."""
        self._buffers[tile].put(address // ALIGNMENT, self._words[row[0]], self._tag_of(row))

    def clear(self, tile: int, address: int, size: int) -> None:
        """Let nothing lie in some bytes of a tile's buffer any more."""
        self._buffers[tile].clear(address // ALIGNMENT, (address + aligned(size)) // ALIGNMENT)

    def bring(self, tile: int, address: int, row: Row) -> bool:
        """Write a row, unless it lies there already; whether it did not."""
        if self.holds(tile, address, row):
            return False
        self.put(tile, address, row)
        return True

    def holds(self, tile: int, address: int, row: Row) -> bool:
        """Whether all of a row lies at an address of a tile's buffer."""
        word, count = address // ALIGNMENT, self._words[row[0]]
        return self._buffers[tile].holds(word, count, self._tag_of(row))

    def row_at(self, tile: int, address: int) -> tuple[Row, int] | None:
        """The row of which a part lies at an address, and the word of it; None: nothing."""
        tag = self._buffers[tile].tag_at(address // ALIGNMENT)
        if tag is None:
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

    def _tag_of(self, row: Row) -> int:
        """The tag of a row's first word."""
        index, number = row
        return self._bases[index] + number * self._words[index]


class _Buffer:
    """The tags of one buffer as pieces: words one after the other, whose tags ascend by 1."""

    def __init__(self) -> None:
        # By the first word of each piece: how many there are, and the first tag.
        self._pieces: dict[int, tuple[int, int]] = {}
        self._starts: list[int] = []

    def put(self, word: int, count: int, tag: int) -> None:
        """Let the tags from a word on be `tag`, `tag + 1` and so on."""
        known = self._pieces.get(word)
        # Rows lie in slots, where others of the same size have lain before.
        if known is None or known[0] != count:
            self.clear(word, word + count)
            insort(self._starts, word)
        self._pieces[word] = count, tag

    def clear(self, begin: int, end: int) -> None:
        """Take all tags of the words in [begin, end) away."""
        first = max(bisect_right(self._starts, begin) - 1, 0)
        last = bisect_left(self._starts, end)
        kept: list[int] = []
        for start in self._starts[first:last]:
            count, tag = self._pieces.pop(start)
            # What lies before and behind stays, as a piece of its own.
            for low, high in ((start, min(start + count, begin)), (max(start, end), start + count)):
                if low < high:
                    self._pieces[low] = high - low, tag + low - start
                    kept.append(low)
        self._starts[first:last] = kept

    def holds(self, word: int, count: int, tag: int) -> bool:
        """Whether the tags from a word on are `tag`, `tag + 1` and so on."""
        if self._pieces.get(word) == (count, tag):
            return True
        end = word + count
        while word < end:
            start = self._start_at(word)
            if start is None:
                return False
            size, first = self._pieces[start]
            if first + word - start != tag:
                return False
            word, tag = start + size, tag + start + size - word
        return True

    def tag_at(self, word: int) -> int | None:
        """The tag of a word; None where nothing has been written."""
        start = self._start_at(word)
        return None if start is None else self._pieces[start][1] + word - start

    def _start_at(self, word: int) -> int | None:
        """The first word of the piece that holds a word."""
        position = bisect_right(self._starts, word) - 1
        if position < 0:
            return None
        start = self._starts[position]
        return start if word < start + self._pieces[start][0] else None


def row_name(maps: Sequence[FeatureMap], row: Row) -> str:
    """A row in words."""
    return f"row {row[1]} of '{maps[row[0]].name}'"
