"""Off-chip memory as the checker sees it: where each row has its place, and who stored it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterator

from epimc.backends.crossbar.check.tags import Row, row_name
from epimc.backends.crossbar.core.program import FeatureMap


class OffChipRows:
    """The places of rows off chip, and which of them have been stored.

    Attributes:
        inputs: The maps that are there from the beginning.
        stored: For each other row that is there: the tile that stored it, and that tile's time.
    """

    def __init__(self, maps: tuple[FeatureMap, ...], inputs: Collection[int]) -> None:
        self.inputs = frozenset(inputs)
        self.stored: dict[Row, tuple[int, int]] = {}
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

    def problems(self, tile: int, row: Row) -> Iterator[str]:
        """What is wrong with a tile's storing a row."""
        index, _ = row
        if index in self.inputs:
            yield f"It overwrites {row_name(self._maps, row)}, an input."
        if row in self.stored:
            yield f"It stores {row_name(self._maps, row)} a second time."
        writer = self._writers.get(index, tile)
        if writer != tile:
            yield f"Tile {writer} stores rows of this map too."

    def store(self, tile: int, row: Row, time: int) -> None:
        """Note that a tile has stored a row at its time."""
        # The first stays: every other tile that stores rows of the map is a mistake.
        self._writers.setdefault(row[0], tile)
        self.stored[row] = tile, time

    def store_map(self, tile: int, index: int, time: int) -> None:
        """Note that all rows of a map are stored at once, as a host call does it for a tile."""
        self._writers[index] = tile
        for row in range(self._maps[index].height):
            self.stored[index, row] = tile, time

    def missing(self, index: int) -> int | None:
        """The first row of a map that has not been stored; None when all have."""
        rows = range(self._maps[index].height)
        return next((row for row in rows if (index, row) not in self.stored), None)

    def used(self) -> set[int]:
        """The maps of which some row is there."""
        return {index for index, _ in self.stored} | self.inputs
