"""Projection: the one global order of rows onto the instruction streams of the tiles."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter

from epimc.backends.crossbar import dialect as xbar
from epimc.backends.crossbar.core.program import FeatureMap, Instruction, Ring, Streams
from epimc.backends.crossbar.instructions.control import HALT, SIGNAL, WAIT
from epimc.backends.crossbar.instructions.direct import Direct
from epimc.backends.crossbar.instructions.transfers import Load, Recv, Send, Store
from epimc.backends.crossbar.isa.buffers import BufferTags
from epimc.backends.crossbar.isa.clocks import VectorClocks
from epimc.backends.crossbar.lower.rows import lines_of, reads
from epimc.backends.crossbar.lower.semaphores import Semaphores, without_idle_signals
from epimc.ir.core.op import Value
from epimc.ir.core.traits import AtOnce


def project(
    ops: Sequence[xbar.XbarOp],
    opcodes: Sequence[str],
    maps: Sequence[FeatureMap],
    numbers: Mapping[Value, int],
    tiles: int,
) -> Streams:
    """The streams of all tiles, without loops.

    Args:
        ops: Placed, scheduled and allocated, in the order of their tables.
        opcodes: For each op the instruction that computes its rows.
        maps: The feature maps.
        numbers: For each value the index of its map.
        tiles: How many streams there are.
    """
    projection = _Projection(ops, opcodes, maps, numbers, tiles)
    # The host computes a map whole: when its last row is due.
    rows = [
        (step, op, y)
        for op in ops
        for y, step in enumerate(op.order)
        if not isinstance(op, AtOnce) or y == len(op.order) - 1
    ]
    for step, op, y in sorted(rows, key=itemgetter(0)):
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
        loaded_elsewhere: The ops whose result lies off chip and is loaded by another tile.
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
                    # The host and what is direct load no rows, but read what others have stored.
                    if not (op.direct or isinstance(op, AtOnce)):
                        self._load(op, index)
                    loaded.update([operand] if is_elsewhere else [])
                elif is_elsewhere:
                    self._receive(op, index)
        self.loaded_elsewhere = [op for op in ops if op.output in loaded]
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


@dataclass(frozen=True)
class _Site:
    """Where an op computes, looked up once for all of its rows.

    Attributes:
        opcode: The instruction that computes a row.
        table: Its table.
        tile: The tile.
        number: The map of the result.
        result: That map.
        ring: The ring that takes its rows, or what is direct has of the buffer; None for the host.
        sources: The rings of the operands.
        operands: The maps of the operands, with their numbers.
        loads: By step, the (operand, row) to load before.
        receivers: By tile, in order, the ring that rows are sent to, and which rows.
    """

    opcode: str
    table: int
    tile: int
    number: int
    result: FeatureMap
    ring: Ring | None
    sources: tuple[Ring, ...]
    operands: tuple[tuple[int, FeatureMap], ...]
    loads: Mapping[int, Sequence[tuple[int, int]]]
    receivers: tuple[tuple[int, Ring, set[int]], ...]


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
    ) -> None:
        self.streams: list[list[Instruction]] = [[] for _ in range(tiles)]
        readings = _Readings(ops)
        self.sites = {
            op: _site(op, opcode, table, readings, [(n, maps[n]) for n in _maps_of(op, numbers)])
            for table, (op, opcode) in enumerate(zip(ops, opcodes, strict=True))
        }
        watched = readings.loaded_elsewhere
        # Nobody asks how far other tiles have come than those whose rows are loaded elsewhere.
        self.clocks = VectorClocks(tiles, (op.tile for op in watched))
        # So that no row is loaded to where it lies already.
        self.buffers = BufferTags(maps, tiles)
        self.semaphores = Semaphores((numbers[op.output] for op in watched), self.clocks)

    def append(self, step: int, op: xbar.XbarOp, y: int) -> None:
        """Load what row `y` of an op reads, compute it, and bring it to where it is read."""
        site = self.sites[op]
        if site.ring is None:
            self._call_host(site)
            return
        if op.direct:
            self._compute_off_chip(site, site.ring, op, y)
            return
        for index, row in site.loads.get(step, ()):
            self._load(site, index, row)
        address = site.ring.slot(y, site.result.row_stride)
        self.buffers.put(site.tile, address, (site.number, y))
        self._put(site.tile, site.opcode, site.table, (y, y + 1), site.ring, site.sources)
        self._deliver(site, y, address, op)

    def _put(
        self, tile: int, opcode: str, *operands: int | tuple[int, int] | Ring | tuple[Ring, ...]
    ) -> None:
        stream = self.streams[tile]
        stream.append(Instruction(opcode, operands))
        if self.semaphores.numbers:
            self.clocks.set(tile, len(stream))

    def _load(self, site: _Site, index: int, row: int) -> None:
        """Bring a row into the line buffer of an op's operand, unless it lies there."""
        number, source = site.operands[index]
        target = site.sources[index].slot(row, source.row_stride)
        if self.buffers.bring(site.tile, target, (number, row)):
            self._wait(site.tile, number, row)
            self._put(site.tile, Load.name, target, _off_chip(source, row), source.row_bytes)

    def _wait(self, tile: int, number: int, row: int) -> None:
        """Wait until a row is stored, unless the tile can know it already."""
        awaited = self.semaphores.wait(tile, number, row)
        if awaited is not None:
            self._put(tile, WAIT, *awaited)

    def _call_host(self, site: _Site) -> None:
        """The instruction that has the host compute a whole map."""
        for number, source in site.operands:
            # Rows are stored in order, so that who knows of the last one knows of all.
            self._wait(site.tile, number, source.height - 1)
        self._put(site.tile, site.opcode, site.table)
        self._signal(site, range(site.result.height), 1)

    def _compute_off_chip(self, site: _Site, window: Ring, op: xbar.XbarOp, y: int) -> None:
        """The instruction that computes row `y` of an op without rings; `rows` counts bytes."""
        for (number, _), rows in zip(site.operands, lines_of(op)[y], strict=True):
            if rows:
                # Rows are stored in order, as above.
                self._wait(site.tile, number, rows[-1])
        place = window.address, window.rows
        self.buffers.clear(site.tile, *place)
        self._put(site.tile, Direct.name, site.table, (y, y + 1), *place)
        self._signal(site, [y], y + 1)

    def _signal(self, site: _Site, rows: Sequence[int], count: int) -> None:
        """Tell the tiles that load an op's result that rows of it are stored."""
        if self.semaphores.publish(site.tile, site.number, rows, count):
            self._put(site.tile, SIGNAL, self.semaphores.numbers[site.number])

    def _deliver(self, site: _Site, y: int, source: int, op: xbar.XbarOp) -> None:
        """Store a computed row, at an address, off chip, or send it to the tiles that read it."""
        result = site.result
        if op.off_chip >= 0:
            self._put(site.tile, Store.name, _off_chip(result, y), source, result.row_bytes)
        # A spilled value has no receivers: all its readers load it.
        if op.spilled:
            self._signal(site, [y], y + 1)
            return
        for tile, ring, rows in site.receivers:
            if y not in rows:
                continue
            place = ring.slot(y, result.row_stride)
            # Sent as soon as it is computed: the sender need not keep it for the receiver.
            self._put(site.tile, Send.name, tile, source, result.row_bytes)
            self.buffers.put(tile, place, (site.number, y))
            self._put(tile, Recv.name, site.tile, place, result.row_bytes)
            self.clocks.meet(site.tile, tile)


def _maps_of(op: xbar.XbarOp, numbers: Mapping[Value, int]) -> list[int]:
    """The maps of an op's operands and of its result, by number."""
    return [numbers[value] for value in (*op.operands, op.output)]


def _site(
    op: xbar.XbarOp,
    opcode: str,
    table: int,
    readings: _Readings,
    maps: Sequence[tuple[int, FeatureMap]],
) -> _Site:
    """Where an op computes; its maps come with their numbers, that of the result last."""
    *operands, (number, result) = maps
    receivers = readings.receivers.get(op.output, {})
    return _Site(
        opcode=opcode,
        table=table,
        tile=op.tile,
        number=number,
        result=result,
        ring=None if op.ring is None else Ring(*op.ring),
        sources=tuple(Ring(*source) for source in op.sources),
        operands=tuple(operands),
        loads=readings.loads[op],
        receivers=tuple((tile, ring, rows) for tile, (ring, rows) in receivers.items()),
    )


def _off_chip(feature_map: FeatureMap, row: int) -> int:
    """The off-chip address of a row."""
    return feature_map.address + row * feature_map.row_stride
