"""Small valid programs, made by hand, for the tests of the checker and the simulator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from epimc.backends.crossbar.core.program import (
    Chip,
    FeatureMap,
    HostPort,
    Instruction,
    Port,
    Program,
    Ring,
)
from epimc.backends.crossbar.core.rounds import Array, OfatEntry, Ranges, Round
from epimc.backends.crossbar.instructions.host import Enter, Host, HostOperand
from epimc.backends.crossbar.instructions.moves import Concat, Constant, Pad, Rearrange, Select
from epimc.backends.crossbar.instructions.mvm import Mvm
from epimc.backends.crossbar.instructions.pool import Pool
from epimc.backends.crossbar.instructions.table import Table
from epimc.backends.crossbar.instructions.vector import Add, Lookup, Multiply, Requantize
from epimc.backends.crossbar.kernels.cells import column_sums
from epimc.backends.crossbar.kernels.fused import merged
from epimc.backends.crossbar.kernels.layer_part import physical_columns
from epimc.ir.semantics import quantization, requantization, windows
from epimc.ir.semantics.arrays import Ints
from epimc.ir.semantics.cells import MappingName
from epimc.ir.semantics.layouts import Selection

CHIP = Chip(
    tiles=1,
    crossbars_per_tile=8,
    crossbar_rows=32,
    crossbar_columns=32,
    cell_bits=2,
    dac_bits=2,
    adc_bits=9,
    buffer_bytes=8192,
    off_chip_bytes=65536,
)

Operands = tuple[int | tuple[int, int] | Ring | tuple[Ring, ...], ...]


def ranges_of(numbers: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> Ranges:
    """Numbers in order as the fewest (first, count) pairs."""
    cuts = np.flatnonzero(np.diff(numbers) != 1) + 1
    return tuple((int(part[0]), len(part)) for part in np.split(numbers, cuts))


def window_rows(
    first: int, count: int, corner: tuple[int, int], size: tuple[int, int], kernel: tuple[int, int]
) -> Ranges:
    """The word lines of one window in an epitome whose channels are `size` pixels."""
    (dy, dx), (eh, ew), (kh, kw) = corner, size, kernel
    channel = np.arange(first, first + count)[:, None, None] * (eh * ew)
    rows = channel + (dy + np.arange(kh))[:, None] * ew + dx + np.arange(kw)
    return ranges_of(rows.reshape(-1).astype(np.int64))


def mvm(
    tile: int,
    source: int,
    destination: int,
    window: windows.Window,
    weights: Ints,
    rounds: tuple[Round, ...],
    bias: Ints,
    *,
    name: str = "w",
    arrays: tuple[Array, ...] | None = None,
    mapping: MappingName = "offset",
    bits: int = 4,
    cell_bits: int = 2,
    groups: int = 1,
    pack: int = 1,
) -> Mvm:
    """A table with its corrections; without `arrays`, the whole epitome lies in crossbar 0."""
    stored = weights.astype(np.int8 if bits <= 8 else np.int16)
    table = Mvm(
        tile, source, destination, window, name, stored, bits, mapping, cell_bits,
        rounds, (), np.zeros((len(rounds), 0), np.int64), bias, groups, pack,
    )  # fmt: skip
    if arrays is None:
        arrays = (Array(0, 0, len(weights), 0, physical_columns(table)),)
    table = replace(table, arrays=arrays)
    return replace(table, corrections=column_sums(table))


def identity(channels: int, area: int, outputs: int) -> tuple[Round, ...]:
    """The one round of the identity epitome."""
    entry = OfatEntry(0, outputs, 0, 1, False)
    return (Round(((0, channels),), ((0, channels * area),), (entry,)),)


def requantize(sources: tuple[int, ...], to: int, scales: list[float],
               bounds: list[int], channels: int, low: int = 0,
               offset: float = 0.0) -> Requantize:  # fmt: skip
    """A requantization with the same scales in every channel."""
    multipliers, shift, added = requantization.requantization(scales, bounds, offset)
    return Requantize(
        sources,
        to,
        np.repeat(np.array(multipliers, np.int64)[:, None], channels, axis=1),
        np.full(channels, shift, np.int64),
        low,
        255,
        np.full(channels, added, np.int64),
    )


class Writer:
    """Writes one tile's stream: each row on demand, its own producers first."""

    def __init__(self, maps: list[FeatureMap], tables: list[Table]) -> None:
        self.maps, self.tables = maps, tables
        self.code: list[Instruction] = []
        self.rings: dict[int, Ring] = {}
        self.next: dict[int, int] = {}
        self.produce: dict[int, Callable[[int], None]] = {}
        self.free = 0

    def emit(self, opcode: str, *operands: int | tuple[int, int] | Ring | tuple[Ring, ...]) -> None:
        """Append an instruction."""
        self.code.append(Instruction(opcode, operands))

    def ring(self, index: int, rows: int = 0) -> None:
        """Give a map its ring, by default with all rows."""
        feature = self.maps[index]
        self.rings[index] = Ring(self.free, rows or feature.height)
        self.free += self.rings[index].rows * feature.row_stride

    def slot(self, index: int, row: int) -> int:
        """The buffer address of a row."""
        ring = self.rings[index]
        return ring.address + row % ring.rows * self.maps[index].row_stride

    def place(self, index: int, row: int) -> int:
        """The off-chip address of a row."""
        return self.maps[index].address + row * self.maps[index].row_stride

    def load(self, index: int, rows: int = 0, before: Callable[[int], None] | None = None) -> None:
        """A map that this tile loads; `before` is called with each row."""
        self.ring(index, rows)

        def produce(row: int) -> None:
            if before is not None:
                before(row)
            size = self.maps[index].row_bytes
            self.emit("load", self.slot(index, row), self.place(index, row), size)

        self.produce[index] = produce

    def receive(self, index: int, sender: int, rows: int = 0) -> None:
        """A map that this tile receives."""
        self.ring(index, rows)
        size = self.maps[index].row_bytes
        self.produce[index] = lambda row: self.emit("recv", sender, self.slot(index, row), size)

    def compute(
        self, opcode: str, number: int, rows: int = 0, after: Callable[[int], None] | None = None
    ) -> None:
        """A map that this tile computes; `after` is called with each row."""
        table = self.tables[number]
        self.ring(table.destination, rows)

        def produce(row: int) -> None:
            needed = table.rows(tuple(self.maps), row)
            for source, lines in zip(table.sources, needed, strict=True):
                for line in lines:
                    self.need(source, line)
            rings = tuple(self.rings[source] for source in table.sources)
            self.emit(opcode, number, (row, row + 1), self.rings[table.destination], rings)
            if after is not None:
                after(row)

        self.produce[table.destination] = produce

    def store(self, index: int, row: int) -> None:
        """Store a row off chip."""
        size = self.maps[index].row_bytes
        self.emit("store", self.place(index, row), self.slot(index, row), size)

    def send(self, index: int, receiver: int, row: int) -> None:
        """Send a row to another tile."""
        self.emit("send", receiver, self.slot(index, row), self.maps[index].row_bytes)

    def need(self, index: int, row: int) -> None:
        """Have a row (and all before it) in its ring."""
        while self.next.setdefault(index, 0) <= row:
            self.next[index] += 1
            self.produce[index](self.next[index] - 1)

    def finish(self, index: int) -> tuple[Instruction, ...]:
        """Compute every row of a map, then halt."""
        self.need(index, self.maps[index].height - 1)
        self.emit("halt")
        return tuple(self.code)


def random_weights(shape: tuple[int, ...], bits: int = 4, seed: int = 1) -> Ints:
    """Weights of `bits` bits."""
    limit = quantization.weight_limit(bits)
    drawn: Ints = np.random.default_rng(seed).integers(-limit, limit + 1, shape)
    # One bit has no 0.
    return drawn if bits > 1 else np.where(drawn < 0, -1, 1)


def conv_program() -> Program:
    """One tile: an epitome convolution with wrapped and overlapping windows, and a relu."""
    window = windows.Window((3, 3), (1, 1), (1, 1, 1, 1))
    maps = [
        FeatureMap("x", (4, 5, 6), "u8", 8, 7, 0, scale=0.5),
        FeatureMap("acc", (4, 5, 6), "i64", nodes=(("Conv", "conv"),)),
        FeatureMap("y", (4, 5, 6), "u8", 8, 3, 600, scale=0.25),
    ]
    weights = random_weights((2 * 16, 2))
    size, kernel = (4, 4), (3, 3)
    rounds = (
        Round(((0, 2),), window_rows(0, 2, (0, 0), size, kernel),
              (OfatEntry(0, 2, 0, 1, False), OfatEntry(0, 2, 2, 2, False))),
        Round(((2, 2),), window_rows(0, 2, (1, 1), size, kernel), (OfatEntry(0, 2, 0, -1, True),)),
        Round(((2, 2),), window_rows(0, 2, (0, 1), size, kernel), (OfatEntry(0, 2, 2, 3, True),)),
    )  # fmt: skip
    used = np.zeros(32, bool)
    used[[r for round_ in rounds for f, n in round_.ifrt for r in range(f, f + n)]] = True
    weights[~used] = 0
    bias = np.array([5, -6, 7, 8], np.int64)
    tables: list[Table] = [
        mvm(0, 0, 1, window, weights, rounds, bias),
        requantize((1,), 2, [0.002], [10**6], 4, low=3),
    ]
    tile = Writer(maps, tables)
    tile.load(0, 3)
    tile.compute("mvm", 0, 1)
    tile.compute("requantize", 1, 1, lambda row: tile.store(2, row))
    ports = (Port("x", (4, 5, 6), 0, 0.5),), (Port("y", (4, 5, 6), 2, 0.25),)
    return Program(CHIP, tuple(maps), tuple(tables), *ports, (tile.finish(2),))


def split_program() -> Program:
    """Two tiles share a layer (partial sums sent and added); the input rows are forwarded too."""
    window = windows.Window((3, 3), (2, 2), (1, 1, 1, 1))
    maps = [
        FeatureMap("x", (4, 6, 6), "u8", 8, 9, 0, scale=0.5),
        FeatureMap("part0", (3, 3, 3), "i64"),
        FeatureMap("part1", (3, 3, 3), "i64"),
        FeatureMap("acc", (3, 3, 3), "i64"),
        FeatureMap("y", (3, 3, 3), "u8", 8, 100, 192, scale=0.25),
    ]
    weights = random_weights((36, 3))
    rounds, bias = identity(4, 9, 3), np.array([1, -2, 3], np.int64)
    # Two slices of 2 bits for each of 3 columns, and the reference column: 7 physical columns.
    first = (Array(0, 0, 20, 0, 3), Array(1, 0, 20, 3, 4))
    second = (Array(0, 20, 16, 0, 7),)
    tables: list[Table] = [
        mvm(0, 0, 1, window, weights, rounds, bias, arrays=first),
        mvm(1, 0, 2, window, weights, rounds, bias * 0, arrays=second),
        Add((1, 2), 3),
        requantize((3,), 4, [0.01], [10**5], 3),
    ]
    zero = Writer(maps, tables)
    zero.load(0, 3)
    load = zero.produce[0]

    def load_and_forward(row: int) -> None:
        load(row)
        zero.send(0, 1, row)

    zero.produce[0] = load_and_forward
    zero.compute("mvm", 0, 1)
    zero.receive(2, 1, 1)
    zero.compute("add", 2, 1)
    zero.compute("requantize", 3, 1, lambda row: zero.store(4, row))
    one = Writer(maps, tables)
    one.receive(0, 0, 3)
    one.compute("mvm", 1, 1, lambda row: one.send(2, 0, row))
    ports = (Port("x", (4, 6, 6), 0, 0.5),), (Port("y", (3, 3, 3), 4, 0.25),)
    streams = (zero.finish(4), one.finish(2))
    return Program(replace(CHIP, tiles=2), tuple(maps), tuple(tables), *ports, streams)


def spill_program() -> Program:
    """Tile 0 stores a map row by row and signals; tile 1 waits, loads and goes on with it."""
    window = windows.Window((1, 1))
    second = windows.Window((2, 2), (2, 2))
    maps = [
        FeatureMap("x", (2, 4, 4), "u8", 8, 0, 0, scale=0.5),
        FeatureMap("acc0", (3, 4, 4), "i64"),
        FeatureMap("h", (3, 4, 4), "u8", 8, 128, 128, scale=0.5),
        FeatureMap("acc1", (2, 2, 2), "i64"),
        FeatureMap("y", (2, 2, 2), "u8", 8, 50, 256, scale=0.25),
    ]
    tables: list[Table] = [
        mvm(0, 0, 1, window, random_weights((2, 3)), identity(2, 1, 3), np.zeros(3, np.int64),
            name="a", mapping="differential"),
        requantize((1,), 2, [0.02], [10**5], 3),
        mvm(1, 2, 3, second, random_weights((12, 2), seed=2), identity(3, 4, 2),
            np.array([3, 4], np.int64), name="b", mapping="twos_complement"),
        requantize((3,), 4, [0.03], [10**5], 2),
    ]  # fmt: skip
    zero = Writer(maps, tables)
    zero.load(0, 1)
    zero.compute("mvm", 0, 1)

    def store_and_signal(row: int) -> None:
        zero.store(2, row)
        zero.emit("signal", 0)

    zero.compute("requantize", 1, 1, store_and_signal)
    one = Writer(maps, tables)
    one.load(2, 2, lambda row: one.emit("wait", 0, row + 1))
    one.compute("mvm", 2, 1)
    one.compute("requantize", 3, 1, lambda row: one.store(4, row))
    ports = (Port("x", (2, 4, 4), 0, 0.5),), (Port("y", (2, 2, 2), 4, 0.25),)
    streams = (zero.finish(2), one.finish(4))
    return Program(replace(CHIP, tiles=2), tuple(maps), tuple(tables), *ports, streams)


def classifier_program() -> Program:
    """Residual addition (two terms), both pools, a flatten and a matmul, on one tile."""
    window = windows.Window((1, 1))
    pool = windows.Window((2, 2), (2, 2))
    maps = [
        FeatureMap("x", (3, 4, 4), "u8", 8, 20, 0, scale=0.5),
        FeatureMap("acc", (3, 4, 4), "i64"),
        FeatureMap("sum", (3, 4, 4), "u8", 8, 30, scale=0.5),
        FeatureMap("max", (3, 2, 2), "u8", 8, 30, scale=0.5),
        FeatureMap("flat", (12, 1, 1), "u8", 8, 30, scale=0.5),
        FeatureMap("scores", (2, 1, 1), "i64"),
        FeatureMap("y", (2, 1, 1), "u8", 8, 99, 64, scale=0.25),
        FeatureMap("pooled", (3, 3, 3), "i64"),
        FeatureMap("z", (3, 3, 3), "u8", 8, 60, 80, scale=0.125),
    ]
    tables: list[Table] = [
        mvm(0, 0, 1, window, random_weights((3, 3)), identity(3, 1, 3), np.zeros(3, np.int64),
            name="a"),
        requantize((1, 0), 2, [0.02, 0.7], [10**5, 255], 3),
        Pool("max", 2, 3, pool),
        Rearrange(3, 4, (0, 1, 2), (12, 1, 1)),
        mvm(0, 4, 5, window, random_weights((12, 2), seed=3), identity(12, 1, 2),
            np.array([9, -9], np.int64), name="b",
            arrays=(Array(1, 0, 12, 0, 3), Array(2, 0, 12, 3, 2))),
        requantize((5,), 6, [0.01], [10**5], 2),
        Pool("sum", 2, 7, windows.Window((2, 2))),
        requantize((7,), 8, [0.25], [10**4], 3),
    ]  # fmt: skip
    tile = Writer(maps, tables)
    tile.load(0, 2)
    tile.compute("mvm", 0, 1)
    tile.compute("requantize", 1, 3)
    tile.compute("pool", 2)
    tile.compute("rearrange", 3)
    tile.compute("mvm", 4)
    tile.compute("requantize", 5, 0, lambda row: tile.store(6, row))
    tile.compute("pool", 6, 2)
    tile.compute("requantize", 7, 1, lambda row: tile.store(8, row))
    for row in range(3):
        tile.need(8, row)
        tile.need(3, min(row // 2, 1))
    ports = (
        (Port("x", (3, 4, 4), 0, 0.5),),
        (Port("y", (2,), 6, 0.25), Port("z", (3, 3, 3), 8, 0.125)),
    )
    return Program(CHIP, tuple(maps), tuple(tables), *ports, (tile.finish(6),))


def groups_program() -> Program:
    """A depthwise convolution in two packs, then two groups by themselves with wrapped rounds."""
    maps = [
        FeatureMap("x", (4, 4, 4), "u8", 8, 20, 0, scale=0.5),
        FeatureMap("acc0", (4, 4, 4), "i64"),
        FeatureMap("h", (4, 4, 4), "u8", 8, 30, scale=0.5),
        FeatureMap("acc1", (6, 2, 2), "i64"),
        FeatureMap("y", (6, 2, 2), "u8", 8, 90, 64, scale=0.25),
    ]
    # Group 0 drives rows 0 to 3 of its six and then 2 to 5, group 1 likewise behind them.
    rounds = (
        Round(((0, 1), (2, 1)), ((0, 4), (6, 4)), (OfatEntry(0, 6, 0, 1, False),)),
        Round(((1, 1), (3, 1)), ((2, 4), (8, 4)),
              (OfatEntry(0, 3, 0, 2, True), OfatEntry(3, 3, 3, -1, True))),
    )  # fmt: skip
    # Three groups of 27 rows and 6 + 1 columns, then one; each of the others 6 rows and 6 + 1.
    packs = (Array(4, 0, 27, 0, 7), Array(5, 27, 9, 7, 3))
    cut = (Array(0, 0, 6, 0, 3), Array(1, 0, 6, 3, 4), Array(2, 6, 2, 7, 7), Array(3, 8, 4, 7, 7))
    tables: list[Table] = [
        mvm(0, 0, 1, windows.Window((3, 3), (1, 1), (1, 1, 1, 1)), random_weights((36, 1)),
            identity(4, 9, 4), np.array([5, -6, 7, 8], np.int64), name="a", arrays=packs,
            groups=4, pack=3),
        requantize((1,), 2, [0.02], [10**5], 4),
        mvm(0, 2, 3, windows.Window((2, 2), (2, 2)), random_weights((12, 3), seed=2), rounds,
            np.arange(6, dtype=np.int64), name="b", arrays=cut, groups=2),
        requantize((3,), 4, [0.02], [10**5], 6),
    ]  # fmt: skip
    tile = Writer(maps, tables)
    tile.load(0, 3)
    tile.compute("mvm", 0, 1)
    tile.compute("requantize", 1, 2)
    tile.compute("mvm", 2, 1)
    tile.compute("requantize", 3, 1, lambda row: tile.store(4, row))
    ports = (Port("x", (4, 4, 4), 0, 0.5),), (Port("y", (6, 2, 2), 4, 0.25),)
    return Program(CHIP, tuple(maps), tuple(tables), *ports, (tile.finish(4),))


def vector_program() -> Program:
    """What the vector unit does between layers: on one tile, without any crossbar."""
    maps = [
        FeatureMap("x", (2, 3, 2), "u8", 4, 6, 0, scale=0.5),
        FeatureMap("gates", (2, 1, 1), "u8", 4, 3, 64, scale=0.25),
        FeatureMap("bent", (2, 3, 2), "u8", 4, 5, scale=0.5),
        FeatureMap("curved", (2, 3, 2), "u8", 4, 5, scale=0.5),
        FeatureMap("gated", (2, 3, 2), "i64"),
        FeatureMap("products", (2, 3, 2), "i64"),
        FeatureMap("sum", (2, 3, 2), "u8", 4, 5, scale=0.5),
        FeatureMap("joined", (6, 3, 2), "u8", 4, 5, scale=0.5),
        FeatureMap("y", (9, 6, 5), "u8", 4, 5, 80, scale=0.25),
    ]
    random = np.random.default_rng(7)
    tables: list[Table] = [
        Lookup(0, 2, random.integers(0, 16, (1, 16))),
        Lookup(2, 3, random.integers(0, 16, (2, 16))),
        Multiply((3, 1), 4),
        Multiply((3, 2), 5),
        replace(requantize((4, 5, 0), 6, [0.1, -0.2, 0.7], [225, 225, 15], 2, offset=-1.5),
                low=1, high=14),
        Concat((2, 6, 3), 7),
        Pad(7, 8, (1, 2), (2, 1, 1, 2)),
    ]  # fmt: skip
    tile = Writer(maps, tables)
    tile.load(0, 1)
    tile.load(1)
    for number, opcode in enumerate(("lookup", "lookup", "multiply", "multiply", "requantize")):
        tile.compute(opcode, number, 2)
    tile.compute("concat", 5, 1)
    tile.compute("pad", 6, 2, lambda row: tile.store(8, row))
    ports = (
        (Port("x", (2, 3, 2), 0, 0.5), Port("gates", (2,), 1, 0.25)),
        (Port("y", (9, 6, 5), 8, 0.25),),
    )
    return Program(CHIP, tuple(maps), tuple(tables), *ports, (tile.finish(8),))


def moving_program() -> Program:
    """Rows turned and repeated, a constant, maps below and beside each other, uneven means."""
    maps = [
        FeatureMap("x", (2, 4, 3), "u8", 4, 6, 0, scale=0.5),
        FeatureMap("picked", (2, 5, 3), "u8", 4, 6, scale=0.5),
        FeatureMap("fixed", (2, 2, 3), "u8", 4, 6, scale=0.5),
        FeatureMap("below", (2, 11, 3), "u8", 4, 6, scale=0.5),
        FeatureMap("beside", (2, 11, 6), "u8", 4, 6, scale=0.5),
        FeatureMap("sums", (2, 6, 6), "i64"),
        FeatureMap("y", (2, 6, 6), "u8", 8, 5, 32, scale=0.25),
    ]
    random = np.random.default_rng(8)
    selection = Selection(((1, 2, -1),), ((3, 3, -1), (0, 2, 0)), ((2, 1, 0), (0, 2, 1)))
    tables: list[Table] = [
        Select(0, 1, selection),
        Constant(2, random.integers(0, 16, (2, 2, 3))),
        Concat((0, 1, 2), 3, 1),
        Concat((3, 3), 4, 2),
        Pool("sum", 4, 5, windows.Window((3, 3), (2, 1), (1, 1, 1, 1)), (1, 0, 0, 1)),
        requantize((5,), 6, [0.03], [36 * 15], 2),
    ]
    tile = Writer(maps, tables)
    tile.load(0)
    for number, (opcode, rows) in enumerate(
        [("select", 1), ("constant", 1), ("concat", 1), ("concat", 3), ("pool", 1)]
    ):
        tile.compute(opcode, number, rows)
    tile.compute("requantize", 5, 0, lambda row: tile.store(6, row))
    ports = (Port("x", (2, 4, 3), 0, 0.5),), (Port("y", (2, 6, 6), 6, 0.25),)
    return Program(CHIP, tuple(maps), tuple(tables), *ports, (tile.finish(6),))


def host_program() -> Program:
    """Tile 0 stores a map for the host, which tile 1 calls; tile 0 loads the result and turns it.

    The host has the program's input for a second source.
    """
    maps = [
        FeatureMap("x", (2, 3, 4), "u8", 8, 5, 0, scale=0.5),
        FeatureMap("acc", (2, 3, 4), "i64"),
        FeatureMap("h", (2, 3, 4), "u8", 8, 90, 64, (("Conv", "conv"),), 0.5),
        FeatureMap("call", (1, 1, 1), "token", address=152, nodes=(("Softmax", "probabilities"),)),
        FeatureMap("p", (2, 3, 4), "u8", 8, 7, 128, (("Softmax", "probabilities"),), 0.5),
        FeatureMap("y", (4, 2, 3), "u8", 8, 7, 160, scale=0.25),
    ]
    tables: list[Table] = [
        mvm(0, 0, 1, windows.Window((1, 1)), random_weights((2, 2)), identity(2, 1, 2),
            np.zeros(2, np.int64)),
        requantize((1,), 2, [0.05], [10**5], 2),
        Host("call", (HostOperand(2), HostOperand(0)), 3),
        Enter(HostOperand(3, 1), 4),
        Rearrange(4, 5, (2, 0, 1), (4, 2, 3)),
    ]  # fmt: skip
    zero, one = Writer(maps, tables), Writer(maps, tables)
    zero.load(0, 1)
    zero.compute("mvm", 0, 1)

    def store_and_signal(row: int) -> None:
        zero.store(2, row)
        zero.emit("signal", 0)

    zero.compute("requantize", 1, 1, store_and_signal)
    zero.need(2, 2)
    zero.emit("wait", 1, 1)
    zero.load(4)
    zero.compute("rearrange", 4, 1, lambda row: zero.store(5, row))
    one.emit("wait", 0, 3)
    one.emit("host", 2)
    one.emit("enter", 3)
    one.emit("signal", 1)
    one.emit("halt")
    outputs = Port("y", (4, 6), 5, 0.25), HostPort("sum", "tensor(float)[N, 2, 3, 4]", 3, 0)
    ports = (Port("x", (2, 3, 4), 0, 0.5),), outputs
    streams = (zero.finish(5), tuple(one.code))
    return Program(replace(CHIP, tiles=2), tuple(maps), tuple(tables), *ports, streams)


def direct_program() -> Program:
    """Tile 0 stores accumulators, from which tile 1 computes off chip, below rows that it needs."""
    maps = [
        FeatureMap("x", (2, 4, 4), "u8", 8, 5, 0, scale=0.5),
        FeatureMap("acc", (2, 2, 4), "i64", address=32),
        FeatureMap("y", (2, 2, 4), "u8", 8, 90, 160, scale=0.5),
        FeatureMap("z", (2, 4, 4), "u8", 8, 5, 176, scale=0.5),
    ]
    tables: list[Table] = [
        mvm(0, 0, 1, windows.Window((3, 1)), random_weights((6, 2)), identity(2, 3, 2),
            np.zeros(2, np.int64)),
        requantize((1,), 2, [0.05], [10**5], 2),
        Lookup(0, 3, np.arange(255, -1, -1)[None]),
    ]  # fmt: skip
    zero, one = Writer(maps, tables), Writer(maps, tables)
    zero.load(0)

    def store_and_signal(row: int) -> None:
        zero.store(1, row)
        zero.emit("signal", 0)

    zero.compute("mvm", 0, 1, store_and_signal)
    # The last 8 bytes of the buffer are the window, below it lies the last row of x.
    one.compute("lookup", 2, 1, lambda row: one.store(3, row))
    one.free = 56
    one.load(0)
    one.need(0, 3)
    for row in range(2):
        one.emit("wait", 0, row + 1)
        one.emit("direct", 1, (row, row + 1), 88, 8)
    ports = (
        (Port("x", (2, 4, 4), 0, 0.5),),
        (Port("y", (2, 2, 4), 2, 0.5), Port("z", (2, 4, 4), 3, 0.5)),
    )
    chip = replace(CHIP, tiles=2, buffer_bytes=96)
    streams = (zero.finish(1), one.finish(3))
    return Program(chip, tuple(maps), tuple(tables), *ports, streams)


def sum_and_mean(name: str, operands: Sequence[Any], samples: int) -> list[list[Any]]:
    """What the host does for `host_program`."""
    assert name == "call"
    total = np.sum(operands, axis=0)
    assert len(total) == samples
    return [[each[None] for each in total], [each / 2 for each in total]]


PROGRAMS: dict[str, Callable[[], Program]] = {
    "conv": conv_program,
    "split": split_program,
    "spill": spill_program,
    "classifier": classifier_program,
    "groups": groups_program,
    "vector": vector_program,
    "host": host_program,
    "moving": moving_program,
    "direct": direct_program,
}


def merged_weights(table: Mvm, weights: Ints, inputs: int) -> Ints:
    """The whole matrix [Cout, (Cin / groups)*Kh*Kw] that the rounds make of epitome values."""
    area = table.window.kernel[0] * table.window.kernel[1]
    result = np.zeros((len(table.bias), inputs // table.groups * area), np.int64)
    values = weights.astype(np.int64).reshape(table.groups, -1, weights.shape[1])
    positions, matrix = merged(table, values.transpose(0, 2, 1), inputs)
    result[:, positions] = matrix
    return result
