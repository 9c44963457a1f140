"""`allocate`: ring buffers for rows, by liveness, first fit; what does not fit is spilled."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from epimc.backends.crossbar.dialect import XbarOp
from epimc.backends.crossbar.levels import ALLOCATED, INPUT_ADDRESSES, SCHEDULED
from epimc.backends.crossbar.lower.first_fit import (
    BufferBlock,
    Load,
    block_of,
    first_fit,
)
from epimc.backends.crossbar.lower.liveness import Liveness, Region
from epimc.backends.crossbar.lower.map import target_of
from epimc.backends.crossbar.lower.rows import map_bytes, resident_bytes
from epimc.ir.core.module import Builder, Module
from epimc.ir.core.op import Value
from epimc.ir.core.traits import AtOnce
from epimc.ir.pipeline import Pass
from epimc.support.diagnostics import EpimcError, error


@dataclass(frozen=True)
class Allocate(Pass):
    """Give every row its place in a tile buffer, and off chip where it is stored there.

    A value has a ring on its own tile and on every tile that reads it.  Where a buffer is too
    small, values are spilled, the one that frees most first: each row is then stored off chip as
    soon as it is computed, and every reader has a line buffer of its own that it loads.  Where line
    buffers are too large as well, ops are `direct`: they compute from off-chip memory to off-chip
    memory, and need but a window of the buffer.
    """

    name: ClassVar[str] = "allocate"
    requires: ClassVar[str] = SCHEDULED
    ensures: ClassVar[str] = ALLOCATED

    def run(self, module: Module) -> Module:
        """Set `ring`, `sources`, `off_chip`, `spilled` and `direct` on every op."""
        target = target_of(module)
        layout = fit_buffers(Liveness(module), target.tile.buffer_bytes)
        addresses, extent = off_chip_addresses(module, layout.spilled)
        # Nothing off chip is ever reused, so that the end of the last map is what a sample needs.
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
                # -1: it never leaves the chip, and is no output.
                off_chip=addresses.get(op.output, -1),
                spilled=op.output in layout.spilled,
                direct=op in layout.direct,
            )
        # Inputs have no op whose attributes could carry their addresses.
        inputs = tuple(addresses[value] for _, value in module.inputs)
        builder.module.attributes[INPUT_ADDRESSES] = inputs
        builder.outputs_of(module)
        return builder.finish()


@dataclass
class BufferLayout:
    """Where everything lies: (address, rows) of each region, and what lies off chip.

    Attributes:
        spilled: The values that do, besides inputs and outputs.
        inputs: Those of the module.
        direct: The ops that read and write nothing else.
        crowded: Whether some are direct for what else their tiles have to do.
        rings: Of each region.
    """

    spilled: frozenset[Value]
    inputs: frozenset[Value]
    direct: frozenset[XbarOp]
    crowded: bool
    rings: dict[Region, tuple[int, int]] = field(default_factory=dict)

    def source(self, op: XbarOp, index: int) -> Region:
        """The region that an op reads an operand from."""
        value = op.operands[index]
        # What lies off chip comes into a line buffer of the reader; all else lies in a ring on its
        # tile.
        if value in self.spilled or value in self.inputs:
            return Region(op.tile, value, (op, index))
        return Region(op.tile, value)


def fit_buffers(liveness: Liveness, capacity: int) -> BufferLayout:
    """Place all regions, spilling as few values as it takes, and then making ops direct.

    Raises:
        EpimcError: A tile's buffer is too small even with everything off chip.
    """
    buffers = _Buffers(liveness, capacity)
    victims: dict[int, Iterator[Value]] = {}
    largest: dict[int, Iterator[XbarOp]] = {}
    while buffers.full:
        # The first tile, not any: a set has no order, and the program must not depend on one.
        tile = min(buffers.full)
        if not buffers.is_full(tile):
            continue
        if tile not in victims:
            victims[tile] = iter(victims_of(tile, buffers))
        # Another tile may have spilled it since these were ranked.
        victim = next((v for v in victims[tile] if v not in buffers.spilled), None)
        if victim is not None:
            buffers.spill(victim)
            continue
        if tile not in largest:
            largest[tile] = iter(largest_ops(tile, buffers))
        op = next(largest[tile], None)
        if op is None:
            raise too_small(buffers.blocks_on(tile), capacity)
        buffers.make_direct(op)
    layout = BufferLayout(
        frozenset(buffers.spilled),
        frozenset(liveness.inputs),
        frozenset(buffers.direct),
        crowded=bool(largest),
    )
    for placed in buffers.placed.values():
        layout.rings |= {block.region: (address, block.rows) for block, address in placed}
    return layout


class _Buffers:
    """The blocks of all tiles, laid out; what a spill changes is laid out anew, and only that.

    Attributes:
        tiles: For each tile the blocks of each value on it.
        tiles_of: For each value the tiles on which it has any.
        spilled: The values that lie off chip.
        direct: The ops without rings, which read and write such values alone.
        placed: For each tile that has room, its blocks with their addresses.
        full: The other tiles, and those of which it is not known since a spill changed them.
    """

    def __init__(self, liveness: Liveness, capacity: int) -> None:
        self.liveness, self.capacity = liveness, capacity
        self.direct = {op for op in liveness.ops if never_fits(op, liveness, capacity)}
        self.spilled = set(liveness.for_the_host())
        for op in self.direct:
            self.spilled |= liveness.off_chip_of(op)
        # Numbers of values make the order of blocks the same in every run, whatever was spilled
        # when.
        values = [*liveness.inputs, *liveness.homes]
        self.numbers = {value: number for number, value in enumerate(values)}
        self.tiles: dict[int, dict[Value, list[BufferBlock]]] = {}
        self.tiles_of: dict[Value, set[int]] = {}
        self.placed: dict[int, list[tuple[BufferBlock, int]]] = {}
        self.full: set[int] = set()
        self._changed: set[int] = set()
        # The tile whose turn it is, and what is busy there: most spills leave it as full as it was,
        # which this says in no time.
        self._load: tuple[int, Load] | None = None
        for value in values:
            self._add(value)
        for tile in self.tiles:
            self._lay_out(tile)

    def blocks_on(self, tile: int) -> list[BufferBlock]:
        """The blocks of a tile in the order of their values: inputs, then results."""
        values = sorted(self.tiles[tile], key=self.numbers.__getitem__)
        return [block for value in values for block in self.tiles[tile][value]]

    def is_full(self, tile: int) -> bool:
        """Whether one of the `full` tiles still is; it is laid out for that."""
        if tile in self._changed:
            self._changed.discard(tile)
            self._lay_out(tile)
        if tile in self.full and (self._load is None or self._load[0] != tile):
            self._load = tile, Load(self.blocks_on(tile))
        return tile in self.full

    def spill(self, value: Value) -> None:
        """Let a value lie off chip."""
        self._change([value], spilled=[value])

    def make_direct(self, op: XbarOp) -> None:
        """Let an op have no rings."""
        spilled = self.liveness.off_chip_of(op)
        values = dict.fromkeys([*op.operands, op.output])
        self._change(list(values), spilled=spilled, direct=[op])

    def _change(
        self, values: Sequence[Value], spilled: Iterable[Value], direct: Iterable[XbarOp] = ()
    ) -> None:
        """Lay some values out anew, after these are spilled and these ops direct."""
        changed: set[int] = set()
        for value in values:
            self._count(value, -1)
            for tile in self.tiles_of[value]:
                del self.tiles[tile][value]
            changed |= self.tiles_of[value]
        self.spilled.update(spilled)
        self.direct.update(direct)
        for value in values:
            self._add(value)
            self._count(value, 1)
            changed |= self.tiles_of[value]
        # Its readers get line buffers in the place of its ring: all their tiles change, and no
        # others.  Those that are full have time until it is their turn.
        self._changed |= changed & self.full
        for tile in sorted(changed - self.full):
            self._lay_out(tile)

    def _count(self, value: Value, count: int) -> None:
        if self._load is not None:
            tile, load = self._load
            for block in self.tiles[tile].get(value, ()):
                load.add(block, count)

    def _add(self, value: Value) -> None:
        self.tiles_of[value] = set()
        home = self.liveness.homes.get(value)
        regions = self.liveness.regions(value, spilled=value in self.spilled, direct=self.direct)
        for region, spans in regions:
            block = block_of(region, spans)
            if home is not None and home in self.direct and region.reader is None:
                block = block.of_bytes(resident_bytes(home))
            self.tiles.setdefault(region.tile, {}).setdefault(value, []).append(block)
            self.tiles_of[value].add(region.tile)

    def _lay_out(self, tile: int) -> None:
        placed = self._addresses(tile)
        if placed is None:
            self.placed.pop(tile, None)
            self.full.add(tile)
        else:
            self.placed[tile] = placed
            self.full.discard(tile)

    def _addresses(self, tile: int) -> list[tuple[BufferBlock, int]] | None:
        """The blocks of a tile with their addresses; None where they do not fit."""
        if self._load is not None and self._load[0] == tile and self._load[1].most > self.capacity:
            return None
        placed = []
        for block, address in first_fit(self.blocks_on(tile)):
            if address + block.size > self.capacity:
                # Blocks come lazily: the first that does not fit settles it, and the rest is not
                # computed.
                return None
            placed.append((block, address))
        return placed


def victims_of(tile: int, buffers: _Buffers) -> list[Value]:
    """The values that make room on a tile when they are spilled, in the order in which to do so.

    The one that frees most bytes first; after those that free any, the one that frees most
    byte-steps: rows that wait long to be read all at once take the same room, but only when they
    are read.  What a value frees does not depend on where anything lies, or on other spills.
    """
    ranked: list[tuple[bool, int, Value]] = []
    for block in buffers.blocks_on(tile):
        value = block.region.value
        # A line buffer is of a value that lies off chip already: nothing more can be gained.
        if block.region.reader or value in buffers.spilled:
            continue
        regions = buffers.liveness.regions(value, spilled=True)
        # What stays on the tile all the same: a row as it is computed, and the line buffers.
        kept = [block_of(region, spans) for region, spans in regions if region.tile == tile]
        gain = block.size - sum(other.size for other in kept)
        relief = block.byte_steps - sum(other.byte_steps for other in kept)
        if max(gain, relief) > 0:
            ranked.append((gain > 0, gain if gain > 0 else relief, value))
    return [value for *_, value in sorted(ranked, key=lambda item: item[:2], reverse=True)]


def never_fits(op: XbarOp, liveness: Liveness, capacity: int) -> bool:
    """Whether the line buffers of an op and a row of its result exceed a buffer by themselves."""
    values = [*op.operands, op.output]
    if isinstance(op, AtOnce) or sum(map(map_bytes, values)) <= capacity:
        return False
    blocks = [block_of(*region) for region in liveness.line_buffers_of(op)]
    return Load(blocks).most > capacity


def largest_ops(tile: int, buffers: _Buffers) -> list[XbarOp]:
    """The ops of a tile that are not direct, those with the largest line buffers first."""
    ops = [
        op
        for op in buffers.liveness.ops
        if op.tile == tile and op not in buffers.direct and not isinstance(op, AtOnce)
    ]
    sizes = {
        op: sum(block_of(*region).size for region in buffers.liveness.line_buffers_of(op))
        for op in ops
    }
    return sorted(ops, key=lambda op: -sizes[op])


def too_small(blocks: list[BufferBlock], capacity: int) -> EpimcError:
    """The error for a buffer that cannot hold even the rows in work, its blocks."""
    needed = max(address + block.size for block, address in first_fit(blocks))
    largest = sorted(blocks, key=lambda block: -block.size)[:3]
    notes = [f"%{b.region.value.name}: {b.rows} rows, {b.size} bytes" for b in largest]
    return error(
        f"Tile {blocks[0].region.tile} needs a buffer of {needed} bytes, "
        f"the target has {capacity}.",
        notes=["the largest of its rows in work:", *notes],
        hint="Use a larger tile.buffer_bytes.",
    )


def off_chip_addresses(module: Module, spilled: frozenset[Value]) -> tuple[dict[Value, int], int]:
    """Addresses of inputs, outputs and spilled values, in this order, and the end of them all."""
    stored = [value for _, value in (*module.inputs, *module.outputs)]
    stored += [op.output for op in module.ops if op.output in spilled]
    addresses: dict[Value, int] = {}
    end = 0
    for value in stored:
        # A value may be two outputs, or a spilled one an output as well; it is stored once.
        if value not in addresses:
            addresses[value] = end
            end += map_bytes(value)
    return addresses, end
