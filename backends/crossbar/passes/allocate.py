"""`allocate`: ring buffers for rows, by liveness, first fit; what does not fit is spilled."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

from epimc.backends.crossbar.passes.map import target_of
from epimc.backends.crossbar.passes.rows import Span, height, reads, ring_rows, row_stride
from epimc.diagnostics import EpimcError, error
from epimc.ir.core import Builder, Module, Op, Value
from epimc.ir.dialects.xbar import Host, XbarOp
from epimc.ir.levels import ALLOCATED, SCHEDULED
from epimc.ir.module_attributes import INPUT_ADDRESSES
from epimc.ir.pipeline import Pass


@dataclass(frozen=True)
class Allocate(Pass):
    """Give every row its place in a tile buffer, and off chip where it is stored there.

    A value has a ring on its own tile and on every tile that reads it.  Where a buffer is too
    small, values are spilled, the one that frees most first: each row is then stored off chip as
    soon as it is computed, and every reader has a line buffer of its own that it loads.
    """

    name: ClassVar[str] = "allocate"
    requires: ClassVar[str] = SCHEDULED
    ensures: ClassVar[str] = ALLOCATED

    def run(self, module: Module) -> Module:
        """Set `ring`, `sources`, `off_chip` and `spilled` on every op."""
        target = target_of(module)
        layout = fit_buffers(Liveness(module), target.tile.buffer_bytes)
        addresses, extent = off_chip_addresses(module, layout.spilled)
        if extent > target.memory.off_chip_bytes:
            raise error(
                f"One sample needs {extent} bytes off chip, "
                f"target '{target.name}' has {target.memory.off_chip_bytes}.",
                hint="Use a target with a larger memory.off_chip_bytes.",
            )
        builder = Builder(module, self.ensures)
        builder.inputs_of(module)
        for op in module.ops:
            assert isinstance(op, XbarOp)
            sources = [layout.source(op, k) for k in range(len(op.operands))]
            builder.copy(
                op,
                ring=layout.rings.get(Region.of_result(op)),
                sources=[layout.rings[s] for s in sources if s in layout.rings],
                off_chip=addresses.get(op.output, -1),
                spilled=op.output in layout.spilled,
            )
        inputs = tuple(addresses[value] for _, value in module.inputs)
        builder.module.attributes[INPUT_ADDRESSES] = inputs
        builder.outputs_of(module)
        return builder.finish()


@dataclass(frozen=True)
class Region:
    """A ring buffer: of a value on a tile, or the line buffer of one operand of one op."""

    tile: int
    value: Value
    reader: tuple[Op, int] | None = None

    @staticmethod
    def of_result(op: XbarOp) -> Region:
        """Where an op writes its rows."""
        return Region(op.tile, op.output)


class Liveness:
    """When each row is computed and read, from the schedule."""

    def __init__(self, module: Module) -> None:
        """Read the schedule of a placed and scheduled module."""
        self.ops = [op for op in module.ops if isinstance(op, XbarOp)]
        self.inputs = [value for _, value in module.inputs]
        self.homes = {op.output: op for op in self.ops}
        self.readers: dict[Value, list[tuple[XbarOp, int]]] = {v: [] for v in module.values()}
        for op in self.ops:
            for index, operand in enumerate(op.operands):
                self.readers[operand].append((op, index))

    @cached_property
    def read_spans(self) -> dict[tuple[Op, int], dict[int, Span]]:
        """For each operand of each op the rows that it reads, and when."""
        return {(op, k): reads(op, k, op.order) for op in self.ops for k in range(len(op.operands))}

    def ring_spans(self, value: Value, tile: int) -> dict[int, Span]:
        """For each row that a tile holds: from its computation to its last reader there.

        The tile that computes the value holds every row; another one those that it reads.
        """
        order = self.homes[value].order
        at_home = tile == self.homes[value].tile
        spans = {row: (step, step) for row, step in enumerate(order)} if at_home else {}
        for op, index in self.readers[value]:
            if op.tile == tile:
                for row, (_, last) in self.read_spans[op, index].items():
                    kept = max(spans[row][1], last) if row in spans else last
                    spans[row] = order[row], kept
        return spans

    def regions(self, spilled: frozenset[Value]) -> Iterator[tuple[Region, dict[int, Span]]]:
        """All ring buffers with the life of their rows."""
        for value in self.inputs:
            yield from self.line_buffers(value)
        for op in self.ops:
            value = op.output
            if value in spilled:
                yield from self.spilled_regions(value)
                continue
            for tile in sorted({op.tile, *(reader.tile for reader, _ in self.readers[value])}):
                yield Region(tile, value), self.ring_spans(value, tile)

    def spilled_regions(self, value: Value) -> Iterator[tuple[Region, dict[int, Span]]]:
        """What a spilled value takes: a row where it is computed, and its readers' buffers."""
        home = self.homes[value]
        if not isinstance(home, Host):
            yield Region.of_result(home), {row: (step, step) for row, step in enumerate(home.order)}
        yield from self.line_buffers(value)

    def for_the_host(self) -> frozenset[Value]:
        """What the host reads and writes, which lies off chip in any case."""
        calls = [op for op in self.ops if isinstance(op, Host)]
        read = {operand for op in calls for operand in op.operands}
        return frozenset(read | {op.output for op in calls}) - frozenset(self.inputs)

    def line_buffers(self, value: Value) -> Iterator[tuple[Region, dict[int, Span]]]:
        """One buffer a reader of a value that lies off chip; the host needs none."""
        for op, index in self.readers[value]:
            if not isinstance(op, Host):
                yield Region(op.tile, value, (op, index)), self.read_spans[op, index]


@dataclass
class Layout:
    """Where everything lies: (address, rows) of each region, and the values that are spilled."""

    spilled: frozenset[Value]
    inputs: frozenset[Value]
    rings: dict[Region, tuple[int, int]] = field(default_factory=dict)

    def source(self, op: XbarOp, index: int) -> Region:
        """The region that an op reads an operand from."""
        value = op.operands[index]
        if value in self.spilled or value in self.inputs:
            return Region(op.tile, value, (op, index))
        return Region(op.tile, value)


@dataclass(frozen=True)
class Block:
    """A region to place: its bytes, and the steps at which it holds a row that is still needed.

    `busy` has bit k set for step k: a region that is empty between two rows, as those of
    accumulators are, can share its place with another.
    """

    region: Region
    rows: int
    size: int
    busy: int

    @property
    def byte_steps(self) -> int:
        """Its bytes, counted once for every step at which it is busy."""
        return self.size * self.busy.bit_count()


def fit_buffers(liveness: Liveness, capacity: int) -> Layout:
    """Place all regions, spilling as few values as it takes.

    Raises:
        EpimcError: A tile's buffer is too small even with everything spilled.
    """
    inputs = frozenset(liveness.inputs)
    spilled = liveness.for_the_host()
    while True:
        blocks = [block_of(*found) for found in liveness.regions(spilled)]
        layout = Layout(spilled, inputs)
        ends = first_fit(blocks, layout)
        full = [tile for tile, end in sorted(ends.items()) if end > capacity]
        if not full:
            return layout
        victim = choose_victim(liveness, blocks, full[0], spilled)
        if victim is None:
            raise too_small(full[0], ends[full[0]], capacity, blocks)
        spilled |= {victim}


def block_of(region: Region, spans: dict[int, Span]) -> Block:
    """The block of a region; one that is never read still takes a row."""
    rows = ring_rows(spans)
    busy = 0
    for first, last in spans.values():
        busy |= ((1 << (last - first + 1)) - 1) << first
    return Block(region, rows, rows * row_stride(region.value), busy)


def first_fit(blocks: list[Block], layout: Layout) -> dict[int, int]:
    """Give each block the lowest address that is free whenever it is busy; the end of each tile.

    Blocks come in the order of their first step, the larger first.
    """
    placed: dict[int, list[tuple[int, Block]]] = {}
    for block in sorted(blocks, key=lambda b: (b.busy & -b.busy, -b.size)):
        others = placed.setdefault(block.region.tile, [])
        address = 0
        for start, other in sorted(others, key=lambda item: item[0]):
            if other.busy & block.busy and start < address + block.size:
                address = max(address, start + other.size)
        others.append((address, block))
        layout.rings[block.region] = address, block.rows
    return {tile: max(a + b.size for a, b in items) for tile, items in placed.items()}


def choose_victim(
    liveness: Liveness, blocks: list[Block], tile: int, spilled: frozenset[Value]
) -> Value | None:
    """The value to spill next on a tile; None when no other would make room.

    The one that frees most bytes; where none frees any, the one that frees most byte-steps: rows
    that wait long to be read all at once take the same room, but only when they are read.
    """
    found: list[tuple[bool, int, Value]] = []
    for block in blocks:
        value = block.region.value
        if block.region.tile != tile or block.region.reader or value in spilled:
            continue
        kept = [block_of(*region) for region in liveness.spilled_regions(value)]
        kept = [other for other in kept if other.region.tile == tile]
        gain = block.size - sum(other.size for other in kept)
        relief = block.byte_steps - sum(other.byte_steps for other in kept)
        if max(gain, relief) > 0:
            found.append((gain > 0, gain if gain > 0 else relief, value))
    return max(found, key=lambda item: item[:2])[2] if found else None


def too_small(tile: int, needed: int, capacity: int, blocks: list[Block]) -> EpimcError:
    """The error for a buffer that cannot hold even the rows in work."""
    mine = sorted((b for b in blocks if b.region.tile == tile), key=lambda b: -b.size)[:3]
    notes = [f"%{b.region.value.name}: {b.rows} rows, {b.size} bytes" for b in mine]
    return error(
        f"Tile {tile} needs a buffer of {needed} bytes, the target has {capacity}.",
        notes=["the largest of its rows in work:", *notes],
        hint="Use a larger tile.buffer_bytes, or fewer tile.crossbars: fewer layers a tile.",
    )


def off_chip_addresses(module: Module, spilled: frozenset[Value]) -> tuple[dict[Value, int], int]:
    """Addresses of inputs, outputs and spilled values, in this order, and the end of them all."""
    stored = [value for _, value in (*module.inputs, *module.outputs)]
    stored += [op.output for op in module.ops if op.output in spilled]
    addresses: dict[Value, int] = {}
    end = 0
    for value in stored:
        if value not in addresses:
            addresses[value] = end
            end += height(value) * row_stride(value)
    return addresses, end
