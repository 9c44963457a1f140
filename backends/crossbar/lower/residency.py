"""Which rows lie where in the tiles' buffers, as the streams are written."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Sequence

from epimc.backends.crossbar.core.program import FeatureMap

Row = tuple[int, int]
"""(number of the map, row)."""


class Residency:
    """Which row lies at each place of the buffers: so that none is loaded to where it is already.

    A row lies at an address until a part of it is overwritten.  What is kept are the rows that lie
    somewhere, however large buffers are.
    """

    def __init__(self, maps: Sequence[FeatureMap]) -> None:
        self._sizes = [feature_map.row_stride for feature_map in maps]
        self._tiles: defaultdict[int, _Buffer] = defaultdict(_Buffer)

    def put(self, tile: int, index: int, row: int, address: int) -> bool:
        """Note that row `row` of map `index` is put at an address; False when it lies there."""
        return self._tiles[tile].put(address, self._sizes[index], (index, row))


class _Buffer:
    """The rows in one buffer: none overlaps another.

    Attributes:
        rows: For each address at which one lies its size and the row.
        addresses: These addresses, ascending.
    """

    def __init__(self) -> None:
        self.rows: dict[int, tuple[int, Row]] = {}
        self.addresses: list[int] = []

    def put(self, address: int, size: int, row: Row) -> bool:
        there = self.rows.get(address)
        # The next row of a ring takes the very place of an earlier one.
        if there is None or there[0] != size:
            self._clear(address, address + size)
        elif there[1] == row:
            return False
        self.rows[address] = size, row
        return True

    def _clear(self, start: int, end: int) -> None:
        """Forget the rows that lie in [start, end), and have an address there."""
        first = bisect_left(self.addresses, start)
        if first:
            # The one below may reach into it.
            below = self.addresses[first - 1]
            first -= below + self.rows[below][0] > start
        last = bisect_left(self.addresses, end)
        for address in self.addresses[first:last]:
            del self.rows[address]
        self.addresses[first:last] = [start]
