"""Projection: the one global order of rows onto the instruction streams of the tiles."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from operator import itemgetter

from epimc.backends.crossbar import dialect as xbar
from epimc.backends.crossbar.core.program import FeatureMap, Instruction, Ring, Streams
from epimc.backends.crossbar.instructions.control import HALT, SIGNAL, WAIT
from epimc.backends.crossbar.instructions.transfers import Load, Recv, Send, Store
from epimc.backends.crossbar.isa.clocks import VectorClocks
from epimc.backends.crossbar.lower.residency import Residency
from epimc.backends.crossbar.lower.rows import reads
from epimc.backends.crossbar.lower.semaphores import Semaphores, without_idle_signals
from epimc.ir.core.op import Value
from epimc.ir.core.traits import CallsHost


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
        if not isinstance(op, CallsHost) or y == len(op.order) - 1
    ]
    for step, op, y in sorted(rows, key=lambda row: row[0]):
        projection.append(step, op, y)
    streams = without_idle_signals(projection.streams)
    return tuple((*stream, Instruction(HALT, ())) for stream in streams)


class _Readings:
    """Which rows the ops read, and how these come to them.

    Attributes:
        loads: For each op, by step, the (operand, row) that it loads then from off chip: all rows
            that it reads there for the first time.
        receivers: For each value that stays on chip, by tile in order, the ring and the rows of it
            that are sent to the tile.
        loaded_elsewhere: The values off chip that another tile than that of their op loads.
    """

    def __init__(self, ops: Sequence[xbar.XbarOp]) -> None:
        homes = {op.output: op for op in ops}
        self.loads: dict[xbar.XbarOp, dict[int, list[tuple[int, int]]]] = {}
        self.receivers: dict[Value, dict[int, tuple[Ring, set[int]]]] = {}
        loaded: set[Value] = set()
        for op in ops:
            self.loads[op] = defaultdict(list)
            for index, operand in enumerate(op.operands):
                home = homes.get(operand)
                is_elsewhere = home is not None and home.tile != op.tile
                if home is None or home.spilled:
                    self._load(op, index)
                    loaded.update([operand] if is_elsewhere else [])
                elif is_elsewhere:
                    self._receive(op, index)
        self.loaded_elsewhere = [op.output for op in ops if op.output in loaded]
        # In the order of tiles, whoever reads first: the same program for the same module.
        for value, tiles in self.receivers.items():
            self.receivers[value] = dict(sorted(tiles.items(), key=itemgetter(0)))

    def _load(self, op: xbar.XbarOp, index: int) -> None:
        for row, (first, _) in sorted(reads(op, index, op.order).items()):
            # At the first step that reads it; the ring keeps it until the last.
            self.loads[op][first].append((index, row))

    def _receive(self, op: xbar.XbarOp, index: int) -> None:
        receivers = self.receivers.setdefault(op.operands[index], {})
        _, rows = receivers.setdefault(op.tile, (Ring(*op.sources[index]), set()))
        # Several ops of a tile share one ring: a row is sent once for all of them.
        rows.update(reads(op, index, op.order))


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
        self.sources = {op: tuple(Ring(*source) for source in op.sources) for op in ops}
        self.readings = _Readings(ops)
        self.clocks = VectorClocks(tiles)
        self.residency = Residency(maps, tiles, buffer_bytes)
        watched = (numbers[value] for value in self.readings.loaded_elsewhere)
        self.semaphores = Semaphores(watched, self.clocks)

    def append(self, step: int, op: xbar.XbarOp, y: int) -> None:
        """Load what row `y` of an op reads, compute it, and bring it to where it is read."""
        if isinstance(op, CallsHost):
            self._call_host(op)
            return
        for index, row in self.readings.loads[op].get(step, ()):
            self._load(op, index, row)
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

    def _load(self, op: xbar.XbarOp, index: int, row: int) -> None:
        """Bring a row into the line buffer of an op's operand, unless it lies there."""
        number, source = self._map_of(op.operands[index])
        target = self.sources[op][index].slot(row, source.row_stride)
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
        ring = Ring(*op.ring)
        self.residency.put(op.tile, number, y, ring.slot(y, target.row_stride))
        self._put(op.tile, opcode, table, (y, y + 1), ring, self.sources[op])

    def _call_host(self, op: xbar.XbarOp) -> None:
        """The instruction that has the host compute a whole map."""
        for operand in op.operands:
            number, source = self._map_of(operand)
            # Rows are stored in order, so that who knows of the last one knows of all.
            self._wait(op.tile, number, source.height - 1)
        opcode, table = self.tables[op]
        self._put(op.tile, opcode, table)
        _, target = self._map_of(op.output)
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
        source = Ring(*op.ring).slot(y, target.row_stride)
        if op.off_chip >= 0:
            self._put(op.tile, Store.name, _off_chip(target, y), source, target.row_bytes)
        # A spilled value has no receivers: all its readers load it.
        if op.spilled:
            self._signal(op, [y], y + 1)
            return
        for tile, (ring, rows) in self.readings.receivers.get(op.output, {}).items():
            if y not in rows:
                continue
            place = ring.slot(y, target.row_stride)
            # Sent as soon as it is computed: the sender need not keep it for the receiver.
            self._put(op.tile, Send.name, tile, source, target.row_bytes)
            self.residency.put(tile, number, y, place)
            self._put(tile, Recv.name, op.tile, place, target.row_bytes)
            self.clocks.meet(op.tile, tile)


def _off_chip(feature_map: FeatureMap, row: int) -> int:
    """The off-chip address of a row."""
    return feature_map.address + row * feature_map.row_stride
