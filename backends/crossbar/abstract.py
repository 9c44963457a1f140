"""Abstract execution: the streams run with tags instead of data.

Every 8 bytes of a tile's buffer carry a tag that says which part of which row of which feature
map lies there.  A row is good only when all its tags are right, so that whatever overwrites a
part of it makes it unreadable.  Vector clocks tell which events the program itself puts in order,
so that a race is found even where this interleaving happens to work.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from epimc.backends.crossbar.execution import Execution, buffer_extent
from epimc.backends.crossbar.instructions.registry import BY_NAME
from epimc.backends.crossbar.loops import executed
from epimc.backends.crossbar.program import (
    ALIGNMENT,
    NO_ADDRESS,
    FeatureMap,
    Program,
    Ring,
)
from epimc.backends.crossbar.report import Report

Row = tuple[int, int]
"""(map, row)."""


@dataclass
class Wait:
    """A wait that no load has needed yet.

    Attributes:
        place: The instruction.
        semaphore: Its semaphore.
        count: Its count.
        before: What the tile knew of the signaller before it.
    """

    place: str
    semaphore: int
    count: int
    before: int


class AbstractExecution(Execution):
    """Runs a program whose maps, tables and single instructions are good, and reports."""

    def __init__(self, report: Report) -> None:
        super().__init__(report.program.streams)
        self.report, self.program = report, report.program
        tiles = len(self.cursors)
        extents = [buffer_extent(report.program, tile) for tile in range(tiles)]
        self.tags = [np.zeros(extent // ALIGNMENT, np.int64) for extent in extents]
        self.words = [held.row_stride // ALIGNMENT for held in self.program.maps]
        sizes = [held.height * w for held, w in zip(self.program.maps, self.words, strict=True)]
        # Tag 0 is nothing; the rows of all maps follow, word by word.
        self.bases = [1 + sum(sizes[:i]) for i in range(len(sizes))]
        placed = [(m.address, i) for i, m in enumerate(self.program.maps) if m.address >= 0]
        self.regions = sorted(placed)
        self.rings = _rings(report.program)
        self.inputs = {port.map for port in self.program.inputs}
        self.computed: set[Row] = set()
        self.stored: dict[Row, tuple[int, int]] = {}
        self.writers: dict[int, int] = {}
        self.clocks = np.zeros((tiles, tiles), np.int64)
        self.signals: dict[int, list[NDArray[np.int64]]] = {}
        self.signallers: dict[int, int] = {}
        self.stores = [0] * tiles
        self.signalled: dict[int, int] = {}
        self.pending: list[dict[int, list[Wait]]] = [{} for _ in range(tiles)]

    def check(self) -> None:
        """Run to the end; then everything must have been computed, stored and needed."""
        waiting = self.run()
        if waiting:
            self.report.add("", "The program is deadlocked.", *waiting)
            return
        for index, held in enumerate(self.program.maps):
            rows = range(held.height)
            if index in self.inputs:
                continue
            missing = [row for row in rows if (index, row) not in self.computed]
            if missing:
                where = self.report.map_place(index)
                self.report.add(where, f"Row {missing[0]} is never computed.")
        for port in self.program.outputs:
            self._check_output(port.map)
        for pending in self.pending:
            for wait in (wait for waits in pending.values() for wait in waits):
                self.report.add(wait.place, "No load after this wait needs it.")
        self._check_stored()

    def _check_output(self, index: int) -> None:
        if index in self.inputs:
            return
        rows = range(self.program.maps[index].height)
        missing = [row for row in rows if (index, row) not in self.stored]
        if missing:
            where = self.report.map_place(index)
            self.report.add(where, f"Row {missing[0]} of this output is never stored.")

    def _check_stored(self) -> None:
        """A map that has a place off chip is used there."""
        touched = {index for index, _ in self.stored} | self.inputs
        for index, held in enumerate(self.program.maps):
            if held.address != NO_ADDRESS and index not in touched:
                where = self.report.map_place(index)
                self.report.add(where, "It has a place off chip, but is never stored.")

    # --- tags -------------------------------------------------------------------------------

    def tag(self, row: Row) -> int:
        """The tag of a row's first word."""
        return self.bases[row[0]] + row[1] * self.words[row[0]]

    def row_at(self, tag: int) -> tuple[Row, int]:
        """The row that a tag (not 0) belongs to, and the word in it."""
        index = bisect_right(self.bases, tag) - 1
        row, word = divmod(tag - self.bases[index], self.words[index])
        return (index, row), word

    def name(self, row: Row) -> str:
        """A row in words."""
        return f"row {row[1]} of '{self.program.maps[row[0]].name}'"

    def found(self, tile: int, address: int) -> str:
        """What lies at an address of a tile's buffer, in words."""
        word = address // ALIGNMENT
        tag = int(self.tags[tile][word]) if word < len(self.tags[tile]) else 0
        if not tag:
            return "nothing"
        row, offset = self.row_at(tag)
        return f"the inside of {self.name(row)}" if offset else self.name(row)

    def holds(self, tile: int, address: int, row: Row) -> bool:
        """Whether a whole row lies at an address of a tile's buffer."""
        word, count, tag = address // ALIGNMENT, self.words[row[0]], self.tag(row)
        held = self.tags[tile][word : word + count]
        return len(held) == count and bool((held == np.arange(tag, tag + count)).all())

    def put(self, tile: int, address: int, row: Row) -> None:
        """Write a row to an address of a tile's buffer."""
        word, count, tag = address // ALIGNMENT, self.words[row[0]], self.tag(row)
        self.tags[tile][word : word + count] = np.arange(tag, tag + count)

    def arrive(self, tile: int, address: int, row: Row) -> None:
        """Put a loaded or received row into its slot of a ring from which the tile reads it."""
        rings = self.rings.get((tile, row[0]), ())
        held = self.program.maps[row[0]]
        if not rings:
            self.complain(tile, f"No instruction of tile {tile} reads '{held.name}'.")
        elif all(_slot(ring, held, row[1]) != address for ring in rings):
            self.complain(tile, f"It brings {self.name(row)} to no slot of that row.")
        if self.holds(tile, address, row):
            self.complain(tile, f"It brings {self.name(row)} to where it lies already.")
        self.put(tile, address, row)

    def complain(self, tile: int, message: str, *notes: str) -> None:
        """Report a mistake of the instruction at which a tile stands."""
        self.report.add(self.place(tile), message, *notes)

    def demand(self, tile: int, address: int, row: Row) -> None:
        """Report unless a whole row lies at an address of a tile's buffer."""
        if self.holds(tile, address, row):
            return
        found = self.found(tile, address)
        if found == self.name(row):
            found = "only a part of it"
        self.complain(
            tile, f"It reads {self.name(row)} at {address:#x}, where {found} lies (undefined)."
        )

    def off_chip_row(self, tile: int, address: int, size: int) -> Row | None:
        """The row that lies exactly at an off-chip address, or None and a report."""
        position = bisect_right(self.regions, (address, len(self.program.maps))) - 1
        if position >= 0:
            start, index = self.regions[position]
            held = self.program.maps[index]
            row, offset = divmod(address - start, held.row_stride)
            if row < held.height and not offset:
                if size == held.row_bytes:
                    return index, row
                self.complain(tile, f"A row of '{held.name}' has {held.row_bytes} bytes.")
                return None
        self.complain(tile, f"No row of a map begins at off-chip address {address:#x}.")
        return None

    # --- instructions -----------------------------------------------------------------------

    def load(self, tile: int, dst: int, src: int, size: int) -> None:
        """A load: of a whole row that has been stored, in the program's own order."""
        row = self.off_chip_row(tile, src, size)
        if row is None:
            return
        if row[0] not in self.inputs:
            self._check_order(tile, row)
        self.arrive(tile, dst, row)

    def _check_order(self, tile: int, row: Row, verb: str = "loads") -> None:
        """The store of a row must come before the load, or host call, that a tile stands at."""
        if row not in self.stored:
            self.complain(tile, f"It {verb} {self.name(row)}, which has not been stored.")
            return
        writer, time = self.stored[row]
        if writer == tile:
            return
        if self.clocks[tile, writer] < time:
            message = (
                f"It {verb} {self.name(row)}, but nothing orders this after tile {writer}'s store."
            )
            self.complain(tile, message, "The program has a race.")
        waits = self.pending[tile].get(writer, [])
        if not waits or time <= waits[0].before:
            return
        for wait in waits:
            history = self.signals[wait.semaphore]
            earlier = history[wait.count - 2][writer] if wait.count > 1 else 0
            if earlier < time:
                waits.remove(wait)
                return
        self.report.add(
            waits[0].place, "It waits for more than the next load needs.", self.place(tile)
        )
        waits.clear()

    def store(self, tile: int, dst: int, src: int, size: int) -> None:
        """A store: of the right row to its place, once, by one tile."""
        row = self.off_chip_row(tile, dst, size)
        if row is None:
            return
        self.demand(tile, src, row)
        if row[0] in self.inputs:
            self.complain(tile, f"It overwrites {self.name(row)}, an input.")
        if row in self.stored:
            self.complain(tile, f"It stores {self.name(row)} a second time.")
        if self.writers.setdefault(row[0], tile) != tile:
            self.complain(tile, f"Tile {self.writers[row[0]]} stores rows of this map too.")
        self.stored[row] = (tile, self._tick(tile))
        self.stores[tile] += 1

    def transfer(self, sender: int, receiver: int) -> None:
        """A send that has met a recv: a whole row, of equal size, goes over."""
        src, size, dst, room = self.transferred(sender, receiver)
        if size != room:
            self.complain(sender, "It meets a recv of another size.", self.place(receiver))
        word = src // ALIGNMENT
        tag = int(self.tags[sender][word]) if word < len(self.tags[sender]) else 0
        row = self.row_at(tag)[0] if tag else None
        if row is None or not self.holds(sender, src, row):
            self.complain(sender, f"It sends {self.found(sender, src)}, which is no whole row.")
        elif size != self.program.maps[row[0]].row_bytes:
            held = self.program.maps[row[0]]
            self.complain(sender, f"A row of '{held.name}' has {held.row_bytes} bytes.")
        else:
            self.arrive(receiver, dst, row)
        self._tick(sender)
        self._tick(receiver)
        joined = np.maximum(self.clocks[sender], self.clocks[receiver])
        self.clocks[sender] = self.clocks[receiver] = joined

    def signal(self, tile: int, semaphore: int) -> None:
        """A signal: it publishes what its tile has done so far."""
        super().signal(tile, semaphore)
        if self.signalled.get(semaphore) == self.stores[tile]:
            self.complain(tile, "Nothing has been stored since the last signal.")
        self.signalled[semaphore] = self.stores[tile]
        self._tick(tile)
        self.signallers[semaphore] = tile
        self.signals.setdefault(semaphore, []).append(self.clocks[tile].copy())

    def wait(self, tile: int, semaphore: int, count: int) -> bool:
        """A wait: the tile knows from here on what the signaller had done."""
        if not super().wait(tile, semaphore, count):
            return False
        signaller = self.signallers[semaphore]
        waits = self.pending[tile].setdefault(signaller, [])
        for earlier in [wait for wait in waits if wait.semaphore == semaphore]:
            self.report.add(earlier.place, "No load after this wait needs it.")
            waits.remove(earlier)
        before = int(self.clocks[tile, signaller])
        waits.append(Wait(self.place(tile), semaphore, count, before))
        np.maximum(self.clocks[tile], self.signals[semaphore][count - 1], out=self.clocks[tile])
        return True

    def host(self, tile: int, table: int) -> None:
        """A host call: its sources have been stored whole, and its result is stored then."""
        named = self.program.tables[table]
        for index in named.sources:
            if index not in self.inputs:
                # The last row first: it is the one that a wait is for.
                for row in reversed(range(self.program.maps[index].height)):
                    self._check_order(tile, (index, row), "reads")
        time = self._tick(tile)
        self.writers[named.destination] = tile
        for y in range(self.program.maps[named.destination].height):
            self._compute_row(tile, (named.destination, y))
            self.stored[named.destination, y] = (tile, time)
        self.stores[tile] += 1

    def compute(
        self, tile: int, table: int, rows: tuple[int, int], dst: Ring, sources: tuple[Ring, ...]
    ) -> None:
        """A computation, row by row: every row it reads must lie in its slot."""
        named, maps = self.program.tables[table], self.program.maps
        for y in range(*rows):
            lines = self.program.source_rows[table].lines[y]
            for ring, source, needed in zip(sources, named.sources, lines, strict=True):
                for line in needed:
                    self.demand(tile, _slot(ring, maps[source], line), (source, line))
            row = (named.destination, y)
            self._compute_row(tile, row)
            self.put(tile, _slot(dst, maps[named.destination], y), row)

    def _compute_row(self, tile: int, row: Row) -> None:
        if row in self.computed:
            self.complain(tile, f"It computes {self.name(row)} a second time.")
        self.computed.add(row)

    def _tick(self, tile: int) -> int:
        """Let a tile's own clock go on to the instruction at which it stands."""
        time = self.cursors[tile].executed + 1
        self.clocks[tile, tile] = time
        return time


def _slot(ring: Ring, held: FeatureMap, row: int) -> int:
    """The buffer address of a row in a ring."""
    return ring.slot(row, held.row_stride)


def _rings(program: Program) -> dict[tuple[int, int], set[Ring]]:
    """For (tile, map): the rings from which instructions of the tile read the map."""
    rings: dict[tuple[int, int], set[Ring]] = {}
    for tile, stream in enumerate(program.streams):
        for instruction in executed(stream):
            kind = BY_NAME[instruction.opcode]
            for index, ring in kind.rings_read(program, *instruction.operands):
                rings.setdefault((tile, index), set()).add(ring)
    return rings
