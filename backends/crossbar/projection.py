"""Projection: the one global order of rows onto the instruction streams of the tiles."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from epimc.backends.crossbar.clocks import VectorClocks
from epimc.backends.crossbar.instructions.control import HALT, SIGNAL, WAIT
from epimc.backends.crossbar.instructions.transfers import Load, Recv, Send, Store
from epimc.backends.crossbar.passes.rows import reads
from epimc.backends.crossbar.program import FeatureMap, Instruction, Ring, Streams
from epimc.backends.crossbar.residency import Residency
from epimc.backends.crossbar.semaphores import Semaphores, without_idle_signals
from epimc.ir.core import Value
from epimc.ir.dialects import xbar

Reader = tuple[xbar.XbarOp, int]
"""(op, index of an operand)."""


def project(
    ops: Sequence[xbar.XbarOp],
    opcodes: Sequence[str],
    maps: Sequence[FeatureMap],
    numbers: Mapping[Value, int],
    tiles: int,
    buffer_bytes: int,
) -> Streams:
    """The streams of all tiles, without loops.

    Args:
        ops: Placed, scheduled and allocated, in the order of their tables.
        opcodes: For each op the instruction that computes its rows.
        maps: The feature maps.
        numbers: For each value the index of its map.
        tiles: How many streams there are.
        buffer_bytes: The size of a tile's buffer.
    """
    projection = _Projection(ops, opcodes, maps, numbers, tiles, buffer_bytes)
    # The host computes a map whole: when its last row is due.
    rows = [
        (step, op, y)
        for op in ops
        for y, step in enumerate(op.order)
        if not isinstance(op, xbar.Host) or y == len(op.order) - 1
    ]
    for step, op, y in sorted(rows, key=lambda row: row[0]):
        projection.append(step, op, y)
    streams = without_idle_signals(projection.streams)
    return tuple((*stream, Instruction(HALT, ())) for stream in streams)


class _Projection:
    """Appends to the streams what each row of the global order asks for.

    Since every transfer stands at the same place of that order on both sides, rendezvous cannot
    deadlock.
    """

    def __init__(
        self,
        ops: Sequence[xbar.XbarOp],
        opcodes: Sequence[str],
        maps: Sequence[FeatureMap],
        numbers: Mapping[Value, int],
        tiles: int,
        buffer_bytes: int,
    ) -> None:
        self.streams: list[list[Instruction]] = [[] for _ in range(tiles)]
        self.numbers, self.maps = numbers, maps
        pairs = zip(ops, opcodes, strict=True)
        self.tables = {op: (opcode, table) for table, (op, opcode) in enumerate(pairs)}
        self.readers: dict[Value, list[Reader]] = {value: [] for value in numbers}
        for op in ops:
            for index, operand in enumerate(op.operands):
                self.readers[operand].append((op, index))
        kept = {op.output for op in ops if not op.spilled}
        # For each operand, the rows that are read, and at which step each is read first.
        self.read: dict[Reader, set[int]] = {}
        self.due: dict[Reader, dict[int, list[int]]] = {}
        for reader in (reader for readers in self.readers.values() for reader in readers):
            self._note_reads(reader, loaded=reader[0].operands[reader[1]] not in kept)
        self.clocks = VectorClocks(tiles)
        self.residency = Residency(maps, tiles, buffer_bytes)
        watched = [op.output for op in ops if op.spilled and self._is_read_elsewhere(op)]
        self.semaphores = Semaphores((numbers[value] for value in watched), self.clocks)

    def _note_reads(self, reader: Reader, *, loaded: bool) -> None:
        op, index = reader
        spans = reads(op, index, op.order)
        self.read[reader] = set(spans)
        due = self.due[reader] = defaultdict(list)
        for row, (first, _) in sorted(spans.items()) if loaded else ():
            due[first].append(row)

    def _is_read_elsewhere(self, op: xbar.XbarOp) -> bool:
        """Whether another tile reads an op's result."""
        return any(reader.tile != op.tile for reader, _ in self.readers[op.output])

    def append(self, step: int, op: xbar.XbarOp, y: int) -> None:
        """Load what row `y` of an op reads, compute it, and bring it to where it is read."""
        if isinstance(op, xbar.Host):
            self._call_host(op)
            return
        for index in range(len(op.operands)):
            self._load(op, index, self.due[op, index].get(step, ()))
        self._compute(op, y)
        self._deliver(op, y)

    def _put(
        self, tile: int, opcode: str, *operands: int | tuple[int, int] | Ring | tuple[Ring, ...]
    ) -> None:
        self.streams[tile].append(Instruction(opcode, operands))
        self.clocks.set(tile, len(self.streams[tile]))

    def _map_of(self, value: Value) -> tuple[int, FeatureMap]:
        number = self.numbers[value]
        return number, self.maps[number]

    def _load(self, op: xbar.XbarOp, index: int, rows: Sequence[int]) -> None:
        """Fill an op's line buffer with the rows that it reads for the first time."""
        number, source = self._map_of(op.operands[index])
        for row in rows:
            target = _slot(op.sources[index], source, row)
            if self.residency.put(op.tile, number, row, target):
                self._wait(op.tile, number, row)
                self._put(op.tile, Load.name, target, _off_chip(source, row), source.row_bytes)

    def _wait(self, tile: int, number: int, row: int) -> None:
        """Wait until a row is stored, unless the tile can know it already."""
        awaited = self.semaphores.wait(tile, number, row)
        if awaited is not None:
            self._put(tile, WAIT, *awaited)

    def _compute(self, op: xbar.XbarOp, y: int) -> None:
        """The instruction that computes one row."""
        assert op.ring is not None
        number, target = self._map_of(op.output)
        opcode, table = self.tables[op]
        sources = tuple(Ring(*source) for source in op.sources)
        self.residency.put(op.tile, number, y, _slot(op.ring, target, y))
        self._put(op.tile, opcode, table, (y, y + 1), Ring(*op.ring), sources)

    def _call_host(self, op: xbar.Host) -> None:
        """The instruction that has the host compute a whole map."""
        for operand in op.operands:
            number, source = self._map_of(operand)
            self._wait(op.tile, number, source.height - 1)
        opcode, table = self.tables[op]
        self._put(op.tile, opcode, table)
        number, target = self._map_of(op.output)
        self._signal(op, range(target.height), 1)

    def _signal(self, op: xbar.XbarOp, rows: Sequence[int], count: int) -> None:
        """Tell the tiles that load an op's result that rows of it are stored."""
        number = self.numbers[op.output]
        if self.semaphores.publish(op.tile, number, rows, count):
            self._put(op.tile, SIGNAL, self.semaphores.numbers[number])

    def _deliver(self, op: xbar.XbarOp, y: int) -> None:
        """Store a computed row off chip, or send it to the other tiles that read it."""
        assert op.ring is not None
        number, target = self._map_of(op.output)
        source = _slot(op.ring, target, y)
        if op.off_chip >= 0:
            self._put(op.tile, Store.name, _off_chip(target, y), source, target.row_bytes)
        if op.spilled:
            self._signal(op, [y], y + 1)
            return
        readers = [(r, k) for r, k in self.readers[op.output] if y in self.read[r, k]]
        rings = {r.tile: r.sources[k] for r, k in readers if r.tile != op.tile}
        for tile, ring in sorted(rings.items()):
            place = _slot(ring, target, y)
            self._put(op.tile, Send.name, tile, source, target.row_bytes)
            self.residency.put(tile, number, y, place)
            self._put(tile, Recv.name, op.tile, place, target.row_bytes)
            self.clocks.meet(op.tile, tile)


def _slot(ring: tuple[int, ...], feature_map: FeatureMap, row: int) -> int:
    """The buffer address of a row in a ring (address, rows)."""
    address, rows = ring
    return address + row % rows * feature_map.row_stride


def _off_chip(feature_map: FeatureMap, row: int) -> int:
    return feature_map.address + row * feature_map.row_stride
