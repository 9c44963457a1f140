"""Off-chip memory as the checker sees it: where each row has its place, and who stored it."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Collection, Iterator, Sequence

import numpy as np

from epimc.backends.crossbar.core.program import FeatureMap
from epimc.backends.crossbar.isa.buffers import Row, row_name
from epimc.ir.semantics.arrays import Ints


class OffChipRows:
    """The places of rows off chip, and which of them have been stored.

    Attributes:
        inputs: The maps that are there from the beginning.
        times: For each map and row when it was stored, by the clock of its tile; 0: it was not.
        tiles: The tile that did.
    """

    def __init__(self, maps: tuple[FeatureMap, ...], inputs: Collection[int]) -> None:
        self.inputs = frozenset(inputs)
        # Integers of machines, not objects: a map may have a million rows.
        self.times = [array("q", bytes(8 * m.height)) for m in maps]
        self.tiles = [array("i", bytes(4 * m.height)) for m in maps]
        self._maps = maps
        self._writers: dict[int, int] = {}
        self._regions = sorted((m.address, index) for index, m in enumerate(maps) if m.address >= 0)

    def row_at(self, address: int) -> Row | None:
        """The row that begins at an address."""
        # The last region that begins at or before the address: no index is as large as their
        # number.
        position = bisect_right(self._regions, (address, len(self._maps))) - 1
        if position < 0:
            return None
        start, index = self._regions[position]
        row, offset = divmod(address - start, self._maps[index].row_stride)
        return (index, row) if row < self._maps[index].height and not offset else None

    def storer(self, row: Row) -> tuple[int, int] | None:
        """The tile that has stored a row, and that tile's time; None where none has."""
        time = self.times[row[0]][row[1]]
        return (self.tiles[row[0]][row[1]], time) if time else None

    def problems(self, tile: int, row: Row) -> Iterator[str]:
        """What is wrong with a tile's storing a row."""
        index, _ = row
        if index in self.inputs:
            yield f"It overwrites {row_name(self._maps, row)}, an input."
        if self.times[index][row[1]]:
            yield f"It stores {row_name(self._maps, row)} a second time."
        writer = self._writers.get(index, tile)
        if writer != tile:
            yield f"Tile {writer} stores rows of this map too."

    def store(self, tile: int, row: Row, time: int) -> None:
        """Note that a tile has stored a row at its time."""
        # The first stays: every other tile that stores rows of the map is a mistake.
        index, number = row
        self._writers.setdefault(index, tile)
        self.times[index][number], self.tiles[index][number] = time, tile

    def writer(self, index: int) -> int | None:
        """The tile that stores rows of a map; None while none has been."""
        return self._writers.get(index)

    def store_rows(self, tile: int, index: int, rows: Ints, times: Ints) -> None:
        """Note that the tile that stores rows of a map has stored these, each at its time."""
        np.frombuffer(self.times[index], np.int64)[rows] = times
        np.frombuffer(self.tiles[index], np.int32)[rows] = tile

    def store_map(self, tile: int, index: int, time: int) -> None:
        """Note that all rows of a map are stored at once, as a host call does it for a tile."""
        height = self._maps[index].height
        self._writers[index] = tile
        self.times[index] = array("q", [time]) * height
        self.tiles[index] = array("i", [tile]) * height

    def missing(self, index: int) -> int | None:
        """The first row of a map that has not been stored; None when all have."""
        return first_zero(self.times[index])

    def used(self) -> set[int]:
        """The maps of which some row is there."""
        return {index for index, times in enumerate(self.times) if any(times)} | self.inputs


def first_zero(numbers: Sequence[int]) -> int | None:
    """The place of the first 0; None where there is none."""
    return next((place for place, number in enumerate(numbers) if not number), None)
