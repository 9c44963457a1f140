"""What executed instructions cost on the chip, counted for one sample, value by value.

The simulator tells a `Counters` of every instruction that it executes; nothing here looks at the
IR or at data.  A layer that is split over tiles counts as one.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from epimc.backends.crossbar.arrays import column_destinations, column_places, driven_lines
from epimc.backends.crossbar.program import (
    Chip,
    HostTable,
    MvmTable,
    Program,
    Ring,
    Table,
    layer_of,
    plain,
    rows_needed,
    table_sources,
)
from epimc.ir.integers import Ints


@dataclass
class Counts:
    """What one sample costs; every count but the first is of hardware events or bytes.

    Attributes:
        instructions: Instructions executed.
        rounds: Activation rounds executed, one an output position.
        array_reads: Crossbars driven and read: once a round, array, input slice and position.
        array_reads_without_reuse: The same when every column block had one destination a read:
            a round whose busiest column has r destinations would run r times.
        adc_conversions: Columns converted, of those that the round's OFAT uses.
        dac_drives: Word lines driven.
        multiply_adds: Of the joint module: a column block to one of its destinations.
        buffer_read_bytes: Read from tile buffers, every output row reading its whole window.
        buffer_written_bytes: Written to tile buffers.
        off_chip_read_bytes: Loaded.
        off_chip_written_bytes: Stored.
        sent_bytes: Sent from tile to tile.
    """

    instructions: int = 0
    rounds: int = 0
    array_reads: int = 0
    array_reads_without_reuse: int = 0
    adc_conversions: int = 0
    dac_drives: int = 0
    multiply_adds: int = 0
    buffer_read_bytes: int = 0
    buffer_written_bytes: int = 0
    off_chip_read_bytes: int = 0
    off_chip_written_bytes: int = 0
    sent_bytes: int = 0

    def add(self, other: Counts, times: int = 1) -> None:
        """Add `times` what another one counts."""
        for name in COUNTED:
            setattr(self, name, getattr(self, name) + times * getattr(other, name))


COUNTED = tuple(field.name for field in fields(Counts))


class Counters:
    """Counts of one execution for one sample, by the feature map that an instruction concerns.

    A computing instruction concerns the map that it writes; a transfer, the map whose row it
    moves.

    Attributes:
        maps: For every feature map of the program.
        others: For instructions that concern no map: `signal`, `wait`, `halt`.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        self.maps = [Counts() for _ in program.maps]
        self.others = Counts()
        self._positions = [_position(table, program) for table in program.tables]
        placed = sorted((m.address, i) for i, m in enumerate(program.maps) if m.address >= 0)
        self._addresses = [address for address, _ in placed]
        self._placed = [index for _, index in placed]
        # What lies in each tile's buffer: the map of the row that was put at an address.
        self._contents: list[dict[int, int]] = [{} for _ in program.streams]

    def total(self) -> Counts:
        """All of the program."""
        total = Counts()
        for counts in (*self.layers().values(), self.others):
            total.add(counts)
        return total

    def layers(self) -> dict[int, Counts]:
        """Counts by layer: the map with its result, of a split layer the sum of its parts.

        The parts of a split layer run a round at the same time: it counts once.
        """
        homes = layer_of(self.program)
        result: dict[int, Counts] = {}
        for index, counts in enumerate(self.maps):
            result.setdefault(homes[index], Counts()).add(counts)
        split: dict[int, dict[object, int]] = {}
        for table, cost in zip(self.program.tables, self._positions, strict=True):
            if isinstance(table, MvmTable) and cost.rounds:
                own = self.maps[table.destination].rounds // cost.rounds
                rounds = split.setdefault(homes[table.destination], {})
                rounds.update((plain(table.rounds[k]), own) for k in _driving(table))
        for index, rounds in split.items():
            result[index].rounds = sum(rounds.values())
        return result

    # --- what the simulator tells -----------------------------------------------------------

    def load(self, tile: int, dst: int, src: int, size: int) -> None:
        """A row has come from off-chip memory."""
        index = self._placed[bisect_right(self._addresses, src) - 1]
        self._contents[tile][dst] = index
        counts = self.maps[index]
        counts.instructions += 1
        counts.off_chip_read_bytes += size
        counts.buffer_written_bytes += size

    def store(self, tile: int, dst: int, src: int, size: int) -> None:
        """A row has gone to off-chip memory."""
        counts = self.maps[self._placed[bisect_right(self._addresses, dst) - 1]]
        counts.instructions += 1
        counts.off_chip_written_bytes += size
        counts.buffer_read_bytes += size

    def host(self, table: HostTable) -> None:
        """The host has read whole maps from off-chip memory and written one."""
        counts, maps = self.maps[table.destination], self.program.maps
        counts.instructions += 1
        counts.off_chip_read_bytes += sum(maps[s].row_bytes * maps[s].height for s in table.sources)
        written = maps[table.destination]
        counts.off_chip_written_bytes += written.row_bytes * written.height

    def transfer(self, sender: int, receiver: int, src: int, dst: int, size: int) -> None:
        """A row has gone from tile to tile: a `send` and its `recv`."""
        index = self._contents[sender][src]
        self._contents[receiver][dst] = index
        counts = self.maps[index]
        counts.instructions += 2
        counts.sent_bytes += size
        counts.buffer_read_bytes += size
        counts.buffer_written_bytes += size

    def control(self, count: int = 1) -> None:
        """So many of `signal`, `wait`, `halt` are done."""
        self.others.instructions += count

    def compute(self, tile: int, table: int, rows: tuple[int, int], dst: Ring) -> None:
        """Output rows of a table have been written to a ring."""
        named, maps = self.program.tables[table], self.program.maps
        target, counts = maps[named.destination], self.maps[named.destination]
        count = rows[1] - rows[0]
        counts.instructions += 1
        counts.add(self._positions[table], count * target.width)
        counts.buffer_written_bytes += count * target.row_bytes
        for y in range(*rows):
            address = dst.address + y % dst.rows * target.row_stride
            self._contents[tile][address] = named.destination
            sources = [maps[source] for source in table_sources(named)]
            for source, rows_of in zip(sources, rows_needed(named, sources, y), strict=True):
                counts.buffer_read_bytes += len(rows_of) * source.row_bytes


def _position(table: Table, program: Program) -> Counts:
    """What one output position of a table costs in crossbars and their periphery."""
    if not isinstance(table, MvmTable):
        return Counts()
    return position_counts(table, program.maps[table.source].bits, program.chip)


def position_counts(table: MvmTable, bits: int, chip: Chip) -> Counts:
    """What one output position of an `mvm` table costs, with activations of `bits` bits."""
    inputs = -(-bits // chip.dac_bits)
    lines = _lines(table)
    total = Counts()
    for k in _driving(table):
        destinations = column_destinations(table, table.rounds[k])
        read = np.flatnonzero(lines[k])
        total.rounds += 1
        total.array_reads += inputs * len(read)
        total.array_reads_without_reuse += inputs * len(read) * int(destinations.max())
        total.dac_drives += inputs * int(lines[k].sum())
        held = np.zeros(len(destinations), bool)
        for array in (table.arrays[j] for j in read):
            held[array.column : array.column + array.columns] = True
            used = destinations[array.column : array.column + array.columns] > 0
            total.adc_conversions += inputs * int(used.sum())
        total.multiply_adds += _multiply_adds(table, destinations, held)
    return total


def _multiply_adds(table: MvmTable, destinations: Ints, held: NDArray[np.bool_]) -> int:
    """Columns of the epitome of which a slice is read, times their destinations."""
    places = column_places(table)
    read = held & (places >= 0)
    _, first = np.unique(places[read], return_index=True)
    return int(destinations[read][first].sum())


def _lines(table: MvmTable) -> Ints:
    """How many word lines of each array every round drives, int64 [rounds, arrays]."""
    before = np.cumsum(np.pad(driven_lines(table), ((0, 0), (1, 0))), axis=1)
    first = np.array([array.row for array in table.arrays], np.int64)
    size = np.array([array.rows for array in table.arrays], np.int64)
    lines: Ints = before[:, first + size] - before[:, first]
    return lines


def _driving(table: MvmTable) -> list[int]:
    """The rounds that drive an array of the table, by number."""
    return [int(k) for k in np.flatnonzero(_lines(table).any(axis=1))]
