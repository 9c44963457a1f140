"""Abstract execution: the streams run with tags instead of data.

Its parts keep what the program has done so far: `tags` what lies in the buffers, `off_chip` what
has been stored, `order` which events the program itself puts in order.  Here stands what every
instruction asks of them.
"""

from __future__ import annotations

from epimc.backends.crossbar.check.induction import CheckState, Induction
from epimc.backends.crossbar.check.off_chip import OffChipRows, first_zero
from epimc.backends.crossbar.check.order import Order
from epimc.backends.crossbar.core.findings import Findings
from epimc.backends.crossbar.core.limits import MAXIMUM_WALKED
from epimc.backends.crossbar.core.program import (
    NO_ADDRESS,
    Program,
    Ring,
)
from epimc.backends.crossbar.instructions.registry import BY_NAME
from epimc.backends.crossbar.isa.buffers import BufferTags, Row, row_name
from epimc.backends.crossbar.isa.execution import Execution
from epimc.support.diagnostics import error


class AbstractExecution(Execution):
    """Runs a program whose maps, tables and single instructions are good, and reports."""

    def __init__(self, findings: Findings) -> None:
        super().__init__(findings.program.streams)
        self.findings, self.program = findings, findings.program
        self.tags = BufferTags(findings.program.maps, len(findings.program.streams))
        inputs = {port.map for port in self.program.inputs}
        self.off_chip = OffChipRows(self.program.maps, inputs)
        self.order = Order(len(self.cursors))
        self.rings = _rings(findings.program)
        # Of each map, for each row: 1 where it has been computed.
        self.computed = [bytearray(m.height) for m in self.program.maps]
        self.induction = Induction(
            CheckState(
                self.program, self.tags, self.off_chip, self.order, self.computed, self.rings
            )
        )

        # Instructions that were not jumped, up to the last `end` of each tile.
        self.walked, self.seen = 0, [0] * self.tiles

    def check(self) -> None:
        """Run to the end; then everything must have been computed, stored and needed."""
        waiting = self.run()
        # Of a program that stops halfway everything else would be reported as missing, too.
        if waiting:
            self.findings.add("", "The program is deadlocked.", *waiting)
            return
        for index in range(len(self.program.maps)):
            if index not in self.off_chip.inputs:
                self._check_computed(index)
        for port in self.program.outputs:
            if port.map not in self.off_chip.inputs:
                self._check_output(port.map)
        for place in self.order.idle():
            self.findings.add(place, "No load after this wait needs it.")
        self._check_stored()

    def _check_computed(self, index: int) -> None:
        missing = first_zero(self.computed[index])
        if missing is not None:
            where = self.findings.map_place(index)
            self.findings.add(where, f"Row {missing} is never computed.")

    def _check_output(self, index: int) -> None:
        missing = self.off_chip.missing(index)
        if missing is not None:
            where = self.findings.map_place(index)
            self.findings.add(where, f"Row {missing} of this output is never stored.")

    def _check_stored(self) -> None:
        """A map that has a place off chip is used there."""
        used = self.off_chip.used()
        for index, feature_map in enumerate(self.program.maps):
            if feature_map.address != NO_ADDRESS and index not in used:
                where = self.findings.map_place(index)
                self.findings.add(where, "It has a place off chip, but is never stored.")

    # --- what instructions have in common ---------------------------------------------------------

    def name(self, row: Row) -> str:
        """A row in words."""
        return row_name(self.program.maps, row)

    def complain(self, tile: int, message: str, *notes: str) -> None:
        """Report a mistake of the instruction at which a tile stands."""
        self.findings.add(self.place(tile), message, *notes)

    def demand(self, tile: int, address: int, row: Row) -> None:
        """Report unless all of a row lies at an address of a tile's buffer."""
        if self.tags.holds(tile, address, row):
            return
        content = self.tags.content(tile, address)
        # The first word is right, and a later one was overwritten.
        if content == self.name(row):
            content = "only a part of it"
        self.complain(
            tile, f"It reads {self.name(row)} at {address:#x}, where {content} lies (undefined)."
        )

    def arrive(self, tile: int, address: int, row: Row) -> None:
        """Put a loaded or received row into its slot of a ring from which the tile reads it."""
        rings = self.rings.get((tile, row[0]), ())
        feature_map = self.program.maps[row[0]]
        # A row that is brought and read by nobody costs time: it is a mistake of the compiler.
        if not rings:
            self.complain(tile, f"No instruction of tile {tile} reads '{feature_map.name}'.")
        elif all(ring.slot(row[1], feature_map.row_stride) != address for ring in rings):
            self.complain(tile, f"It brings {self.name(row)} to no slot of that row.")
        if self.tags.holds(tile, address, row):
            self.complain(tile, f"It brings {self.name(row)} to where it lies already.")
        self.tags.put(tile, address, row)

    def off_chip_row(self, tile: int, address: int, size: int) -> Row | None:
        """The row that lies exactly at an off-chip address, or None and a report."""
        row = self.off_chip.row_at(address)
        if row is None:
            self.complain(tile, f"No row of a map begins at off-chip address {address:#x}.")
            return None
        return row if self._is_row_size(tile, row, size) else None

    def _is_row_size(self, tile: int, row: Row, size: int) -> bool:
        feature_map = self.program.maps[row[0]]
        if size == feature_map.row_bytes:
            return True
        self.complain(tile, f"A row of '{feature_map.name}' has {feature_map.row_bytes} bytes.")
        return False

    def _check_order(self, tile: int, row: Row, verb: str) -> None:
        """The store of a row must come before the load, or host call, that a tile stands at."""
        if row[0] in self.off_chip.inputs:
            return
        storer = self.off_chip.storer(row)
        if storer is None:
            self.complain(tile, f"It {verb} {self.name(row)}, which has not been stored.")
            return
        writer, time = storer
        # A tile executes its own instructions in order.
        if writer == tile:
            return
        if not self.order.knows(tile, writer, time):
            message = (
                f"It {verb} {self.name(row)}, but nothing orders this after tile {writer}'s store."
            )
            self.complain(tile, message, "The program has a race.")
        excessive = self.order.need(tile, writer, time)
        if excessive is not None:
            self.findings.add(
                excessive, "It waits for more than the next load needs.", self.place(tile)
            )

    def _compute_row(self, tile: int, row: Row) -> None:
        index, number = row
        if self.computed[index][number]:
            self.complain(tile, f"It computes {self.name(row)} a second time.")
        self.computed[index][number] = 1

    def _tick(self, tile: int) -> int:
        """Let a tile's own clock go on to the instruction at which it stands."""
        time = self.cursors[tile].executed + 1
        self.order.tick(tile, time)
        return time

    # --- instructions -----------------------------------------------------------------------------

    def end(self, tile: int) -> None:
        """An `end`: what is left of the loop may follow from what was walked."""
        cursor = self.cursors[tile]
        self.walked += cursor.executed - self.seen[tile]
        if self.walked > MAXIMUM_WALKED:
            raise error(
                f"More than {MAXIMUM_WALKED} instructions must be checked one by one.",
                where=self.place(tile),
                hint="Loops are walked whose rows go to other tiles, or to ever other places.",
            )
        loop = cursor.loops[-1]
        super().end(tile)
        if cursor.loops and cursor.loops[-1] is loop and not self.findings.diagnostics:
            self.induction.after(tile, cursor)
        self.seen[tile] = cursor.executed

    def load(self, tile: int, dst: int, src: int, size: int) -> None:
        """A load: of a row that has been stored before, in the program's own order."""
        row = self.off_chip_row(tile, src, size)
        if row is None:
            return
        self._check_order(tile, row, "loads")
        self.arrive(tile, dst, row)

    def store(self, tile: int, dst: int, src: int, size: int) -> None:
        """A store: of the right row to its place, once, by one tile."""
        row = self.off_chip_row(tile, dst, size)
        if row is None:
            return
        self.demand(tile, src, row)
        self._store_row(tile, row)

    def transfer(self, sender: int, receiver: int) -> None:
        """A send that has met a recv: a row, of equal size, goes over."""
        src, size, dst, room = self.transferred(sender, receiver)
        # Size and room are operands of two instructions on two tiles, which must agree.
        if size != room:
            self.complain(sender, "It meets a recv of another size.", self.place(receiver))
        place = self.tags.row_at(sender, src)
        row = place[0] if place else None
        # The tag of the first word says which row it claims to be; all its words must be of it.
        if row is None or not self.tags.holds(sender, src, row):
            content = self.tags.content(sender, src)
            self.complain(sender, f"It sends {content}, which is no whole row.")
        elif self._is_row_size(sender, row, size):
            self.arrive(receiver, dst, row)
        self._tick(sender)
        self._tick(receiver)
        self.order.meet(sender, receiver)

    def signal(self, tile: int, semaphore: int) -> None:
        """A signal: it publishes what its tile has done so far."""
        super().signal(tile, semaphore)
        self._tick(tile)
        if not self.order.signal(tile, semaphore):
            self.complain(tile, "Nothing has been stored since the last signal.")

    def wait(self, tile: int, semaphore: int, count: int) -> bool:
        """A wait: the tile knows from here on what the signaller had done."""
        if not super().wait(tile, semaphore, count):
            return False
        for place in self.order.wait(tile, semaphore, count, self.place(tile)):
            self.findings.add(place, "No load after this wait needs it.")
        return True

    def host(self, tile: int, table: int) -> None:
        """A host call: all its sources have been stored, and its result is stored then."""
        call, maps = self.program.tables[table], self.program.maps
        for index in call.sources:
            # The last row first: it is the one that a wait is for.
            for row in reversed(range(maps[index].height)):
                self._check_order(tile, (index, row), "reads")
        self.off_chip.store_map(tile, call.destination, self._tick(tile))
        for y in range(maps[call.destination].height):
            self._compute_row(tile, (call.destination, y))
        self.order.store(tile)

    def compute(
        self, tile: int, table: int, rows: tuple[int, int], dst: Ring, sources: tuple[Ring, ...]
    ) -> None:
        """A computation, row by row: every row it reads must lie in its slot."""
        named, maps = self.program.tables[table], self.program.maps
        lines = self.program.source_rows[table].lines
        for y in range(*rows):
            for ring, source, needed in zip(sources, named.sources, lines[y], strict=True):
                for line in needed:
                    self.demand(tile, ring.slot(line, maps[source].row_stride), (source, line))
            row = (named.destination, y)
            self._compute_row(tile, row)
            self.tags.put(tile, dst.slot(y, maps[named.destination].row_stride), row)

    def direct(self, tile: int, table: int, rows: tuple[int, int], window: int, size: int) -> None:
        """A computation off chip: what it reads is stored before, what it computes then."""
        named = self.program.tables[table]
        lines = self.program.source_rows[table].lines
        for y in range(*rows):
            for source, needed in zip(named.sources, lines[y], strict=True):
                # The last row first: it is the one that a wait is for.
                for line in reversed(needed):
                    self._check_order(tile, (source, line), "reads")
            row = (named.destination, y)
            self._compute_row(tile, row)
            self._store_row(tile, row)
        self.tags.clear(tile, window, size)

    def _store_row(self, tile: int, row: Row) -> None:
        for problem in self.off_chip.problems(tile, row):
            self.complain(tile, problem)
        self.off_chip.store(tile, row, self._tick(tile))
        self.order.store(tile)


def _rings(program: Program) -> dict[tuple[int, int], set[Ring]]:
    """For (tile, map): the rings from which instructions of the tile read the map."""
    rings: dict[tuple[int, int], set[Ring]] = {}
    for tile, stream in enumerate(program.streams):
        # As they are written: rings are the same in all iterations.
        for instruction in stream:
            kind = BY_NAME[instruction.opcode]
            for index, ring in kind.rings_read(program, *instruction.operands):
                rings.setdefault((tile, index), set()).add(ring)
    return rings
