"""Tiles: which of them has which arrays and runs which ops, decided before an op is changed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from epimc.backends.crossbar import dialect as xbar
from epimc.backends.crossbar.lower.rows import line_bytes, resident_bytes, row_stride
from epimc.ir.core.module import Module
from epimc.ir.core.op import Op, Value

Arrays = tuple[tuple[int, ...], ...]
Part = tuple[int, Arrays]
"""A tile and the arrays of a layer that lie there."""


@dataclass
class Placement:
    """Where everything is.

    Attributes:
        count: How many tiles there are.
        parts: For each layer its parts, tile after tile.
        tiles: For each other op its tile.
    """

    count: int = 1
    parts: dict[Op, list[Part]] = field(default_factory=dict)
    tiles: dict[Op, int] = field(default_factory=dict)


def placement(module: Module, crossbars: int, room: int | None = None) -> Placement:
    """The tiles of all ops of a mapped module, in execution order.

    Args:
        module: At level `mapped`.
        crossbars: Of a tile.
        room: Bytes of a tile's buffer, which the line buffers of its ops are not to exceed; None:
            their sizes do not matter.
    """
    tiles, homes, placed = _Tiles(crossbars, room), _Homes(), Placement()
    for op in module.ops:
        need = 0 if room is None else _need(op, room)
        if isinstance(op, xbar.Mvm):
            parts = placed.parts[op] = list(tiles.take(op.arrays, need))
            tile = parts[-1][0]
            # The sums of parts read two rows, and compute one.
            tiles.add(tile, (len(parts) - 1) * 3 * row_stride(op.output))
        else:
            tile = placed.tiles[op] = tiles.home(homes.of(op.operands), need)
        homes.add(op.output, tile)
    placed.count = tiles.count
    return placed


def _need(op: Op, room: int) -> int:
    """Bytes that an op needs of a buffer of `room` bytes while nothing else stays there."""
    lines = line_bytes(op)
    return lines if lines <= room else resident_bytes(op)


class _Tiles:
    """Hands out crossbars, tile after tile, and room in buffers."""

    def __init__(self, crossbars: int, room: int | None) -> None:
        self.crossbars, self.room = crossbars, room
        self.tile, self.used = 0, 0
        self.loads: dict[int, int] = defaultdict(int)

    @property
    def count(self) -> int:
        return self.tile + 1

    def take(self, arrays: Arrays, need: int) -> Iterator[Part]:
        """(tile, its arrays with their crossbars) for one layer; each part needs so many bytes."""
        # An empty tile is never skipped: what exceeds it would exceed the next one as well.
        if (self.used and len(arrays) > self.crossbars - self.used) or self._is_full(need):
            self._start()
        first = 0
        while first < len(arrays):
            if self.used == self.crossbars:
                self._start()
            part = arrays[first : first + self.crossbars - self.used]
            self.add(self.tile, need)
            # The first number of an array is its crossbar, which `map` has left open.
            yield self.tile, tuple((self.used + k, *a[1:]) for k, a in enumerate(part))
            first, self.used = first + len(part), self.used + len(part)

    def home(self, wanted: int, need: int) -> int:
        """The tile for an op without crossbars: where it is best, or the last with room for it."""
        tile = wanted
        if self.room is not None and self.loads[wanted] + need > self.room:
            if self._is_full(need):
                self._start()
            tile = self.tile
        self.add(tile, need)
        return tile

    def add(self, tile: int, need: int) -> None:
        """Let so many bytes of a tile's buffer be needed."""
        self.loads[tile] += need

    def _is_full(self, need: int) -> bool:
        load = self.loads[self.tile]
        return self.room is not None and load > 0 and load + need > self.room

    def _start(self) -> None:
        self.tile, self.used = self.tile + 1, 0


class _Homes:
    """The results so far, each with its place in the order of execution and its tile."""

    def __init__(self) -> None:
        self.places: dict[Value, tuple[int, int]] = {}
        self.last = 0

    def add(self, value: Value, tile: int) -> None:
        """Note that a value is computed next, on a tile."""
        self.places[value] = len(self.places), tile
        self.last = tile

    def of(self, operands: Sequence[Value]) -> int:
        """The tile of the operand that is computed last; of a graph input, the first tile.

        What has no operands runs where the op before it does.
        """
        # A graph input comes before every result, and counts as if the first tile had it.
        places = [self.places.get(operand, (-1, 0)) for operand in operands]
        return max(places)[1] if places else self.last
