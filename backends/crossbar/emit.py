"""Emit: a module at level `allocated` to a program."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from epimc.backends.crossbar.arrays import column_sums
from epimc.backends.crossbar.passes.map import target_of
from epimc.backends.crossbar.passes.rows import reads
from epimc.backends.crossbar.program import (
    ALIGNMENT,
    NO_ADDRESS,
    AddTable,
    Array,
    ConcatTable,
    ConstantTable,
    FeatureMap,
    HostTable,
    Instruction,
    LookupTable,
    MultiplyTable,
    MvmTable,
    OfatEntry,
    PadTable,
    PoolTable,
    Port,
    Program,
    RearrangeTable,
    RequantizeTable,
    Ring,
    Round,
    SelectTable,
    Table,
)
from epimc.backends.crossbar.roll import roll
from epimc.ir import integers
from epimc.ir.core import Module, Op, Value
from epimc.ir.dialects import xbar
from epimc.ir.dialects.epi import HostCall
from epimc.ir.levels import ALLOCATED, expect_level
from epimc.ir.module_attributes import INPUT_ADDRESSES, TILES
from epimc.ir.types import as_map

OPCODES: Mapping[type[Op], str] = {
    xbar.Mvm: "mvm",
    xbar.Requantize: "requantize",
    xbar.Pool: "pool",
    xbar.Rearrange: "rearrange",
    xbar.Add: "add",
    xbar.Multiply: "multiply",
    xbar.LookUp: "lookup",
    xbar.Concat: "concat",
    xbar.Pad: "pad",
    xbar.Select: "select",
    xbar.Constant: "constant",
}


def emit(module: Module) -> Program:
    """The program of a module at level `allocated`.

    Raises:
        EpimcError: It is at another level.
    """
    expect_level(module, "A program", ALLOCATED)
    ops = [op for op in module.ops if isinstance(op, xbar.XbarOp)]
    addresses = module.attributes[INPUT_ADDRESSES]
    numbers = {value: k for k, value in enumerate(module.values())}
    matrices = weight_matrices(ops, module)
    inputs = [v for _, v in module.inputs]
    maps = [feature_map(v, a, "input") for v, a in zip(inputs, addresses, strict=True)]
    maps += [feature_map(op.output, op.off_chip, str(op.location)) for op in ops]
    return Program(
        chip=target_of(module).sized(module.attributes[TILES]),
        maps=tuple(maps),
        tables=tuple(table_of(op, module, numbers, matrices) for op in ops),
        inputs=tuple(port(name, value, numbers) for name, value in module.inputs),
        outputs=tuple(port(name, value, numbers) for name, value in module.outputs),
        streams=roll(_Streams(module, ops, maps, numbers).build()),
    )


def feature_map(value: Value, address: int, location: str) -> FeatureMap:
    """A value as the program knows it."""
    channels, height, width = as_map(value.type.shape)
    kept = value.type.element != "i64"
    return FeatureMap(
        name=value.name,
        channels=channels,
        height=height,
        width=width,
        element="u8" if kept else "i64",
        bits=value.type.bits if kept else 0,
        zero_point=value.type.zero_point,
        address=address if address >= 0 else NO_ADDRESS,
        location=location,
    )


def port(name: str, value: Value, numbers: Mapping[Value, int]) -> Port:
    """A graph input or output."""
    return Port(name, value.type.shape, numbers[value], value.type.scale or 1.0)


# --- tables ---------------------------------------------------------------------------------------


Matrices = Mapping[tuple[str, int], NDArray[Any]]
"""The epitome matrices by name and groups; the parts of a layer share theirs."""


def weight_matrices(ops: Iterable[Op], module: Module) -> Matrices:
    """The matrices [groups * rows, Eo] of all layers, in the type in which they are stored."""
    found: dict[tuple[str, int], NDArray[Any]] = {}
    for op in ops:
        if isinstance(op, xbar.Mvm) and (op.epitome.name, op.groups) not in found:
            epitome = module.tensor(op.epitome)
            columns, rows = len(epitome) // op.groups, epitome[0].size
            blocks = epitome.reshape(op.groups, columns, rows).transpose(0, 2, 1)
            matrix = np.ascontiguousarray(blocks).reshape(-1, columns)
            found[op.epitome.name, op.groups] = matrix
    return found


def table_of(
    op: xbar.XbarOp, module: Module, numbers: Mapping[Value, int], matrices: Matrices
) -> Table:
    """The table that an op's instructions name."""
    sources = tuple(numbers[operand] for operand in op.operands)
    destination = numbers[op.output]
    if isinstance(op, xbar.Mvm):
        matrix = matrices[op.epitome.name, op.groups]
        return mvm_table(op, module, matrix, sources[0], destination)
    if isinstance(op, xbar.Requantize):
        multipliers, shifts = module.tensor(op.multipliers), module.tensor(op.shifts)
        offsets = op.added(module.tensor)
        return RequantizeTable(sources, destination, multipliers, shifts, op.low, op.high, offsets)
    if isinstance(op, xbar.Pool):
        return PoolTable(op.kind, sources[0], destination, op.window, op.counted)
    if isinstance(op, xbar.Multiply):
        return MultiplyTable((sources[0], sources[1]), destination)
    if isinstance(op, xbar.LookUp):
        return LookupTable(sources[0], destination, module.tensor(op.table).astype(np.int64))
    if isinstance(op, xbar.Concat):
        return ConcatTable(sources, destination, op.map_axis)
    if isinstance(op, xbar.Select):
        return SelectTable(sources[0], destination, op.selection)
    if isinstance(op, xbar.Constant):
        values = module.tensor(op.value).reshape(as_map(op.output.type.shape))
        return ConstantTable(destination, values.astype(np.int64))
    if isinstance(op, xbar.Pad):
        return PadTable(sources[0], destination, op.channels, op.pads)
    if isinstance(op, xbar.Rearrange):
        return rearrange_table(op, sources[0], destination)
    if isinstance(op, xbar.Host):
        return HostTable(op.output.name, sources, destination)
    return AddTable((sources[0], sources[1]), destination)


def rearrange_table(op: xbar.Rearrange, source: int, destination: int) -> RearrangeTable:
    """The table of one rearrangement, over maps."""
    first, second, third = op.map_move.perm
    return RearrangeTable(source, destination, (first, second, third), as_map(op.shape))


def fragments(module: Module) -> dict[str, bytes]:
    """The ONNX models that the host runs, by the names that the program's tables give them."""
    return {
        op.output.name: module.tensor(op.fragment).tobytes()
        for op in module.ops
        if isinstance(op, HostCall)
    }


def mvm_table(
    op: xbar.Mvm, module: Module, matrix: NDArray[Any], source: int, destination: int
) -> MvmTable:
    """The table of one mvm, with its zero-point corrections."""
    none = np.zeros((0, 0), np.int64)
    rounds = tuple(
        Round(r.ifat, r.ifrt, tuple(OfatEntry(*e[:4], bool(e[4])) for e in r.ofat))
        for r in op.rounds
    )
    table = MvmTable(
        tile=op.tile,
        source=source,
        destination=destination,
        window=op.window,
        weights_name=op.epitome.name,
        weights=matrix,
        weight_bits=op.weight_bits,
        mapping=op.mapping,
        cell_bits=op.cell_bits,
        rounds=rounds,
        arrays=tuple(Array(*array) for array in op.arrays),
        corrections=none,
        bias=np.zeros(op.channels, np.int64) if op.bias is None else module.tensor(op.bias),
        groups=op.groups,
        pack=op.pack,
    )
    return replace(table, corrections=column_sums(table))


# --- streams --------------------------------------------------------------------------------------


class _Streams:
    """Projects the one global order of rows onto the tiles' streams.

    Since every transfer stands at the same place of that order on both sides, rendezvous cannot
    deadlock.
    """

    def __init__(
        self,
        module: Module,
        ops: list[xbar.XbarOp],
        maps: list[FeatureMap],
        numbers: Mapping[Value, int],
    ) -> None:
        self.maps = [maps[numbers[op.output]] for op in ops]
        self.ops = ops
        self.map_of = {value: maps[number] for value, number in numbers.items()}
        self.streams: list[list[Instruction]] = [[] for _ in range(module.attributes[TILES])]
        self.homes = {op.output: op for op in ops}
        self.loads = {
            (op, index): reads(op, index, op.order)
            for op in ops
            for index in range(len(op.operands))
        }
        self.tables = {op: k for k, op in enumerate(ops)}
        self.readers: dict[Value, list[tuple[xbar.XbarOp, int]]] = {v: [] for v in numbers}
        for op in ops:
            for index, operand in enumerate(op.operands):
                self.readers[operand].append((op, index))
        watched = [op.output for op in ops if op.spilled and self.is_read_elsewhere(op)]
        self.semaphores = {value: k for k, value in enumerate(watched)}
        # clocks[t, u]: how many instructions of tile u are known, on tile t, to be done.
        self.clocks = np.zeros((len(self.streams), len(self.streams)), np.int64)
        # For each row that is signalled: what its tile had done then, and the semaphore's count.
        self.signals: dict[tuple[Value, int], tuple[integers.Ints, int]] = {}
        # What lies in the tiles' buffers, word by word: the number of a row, 0 for nothing.
        heights = [0, *(found.height for found in maps)]
        self.first_rows = np.cumsum(heights)[:-1] + 1
        self.numbers = numbers
        words = target_of(module).tile.buffer_bytes // ALIGNMENT + 1
        self.contents = np.zeros((len(self.streams), words), np.int64)

    def is_read_elsewhere(self, op: xbar.XbarOp) -> bool:
        """Whether another tile reads an op's result."""
        return any(reader.tile != op.tile for reader, _ in self.readers[op.output])

    def build(self) -> tuple[tuple[Instruction, ...], ...]:
        """All streams."""
        rows = [(step, op, y) for op in self.ops for y, step in enumerate(op.order)]
        for step, op, y in sorted(rows, key=lambda row: row[0]):
            if isinstance(op, xbar.Host):
                if y == len(op.order) - 1:
                    self.call_host(op)
                continue
            for index, operand in enumerate(op.operands):
                if self.is_off_chip(operand):
                    spans = self.loads[op, index].items()
                    due = [row for row, (first, _) in spans if first == step]
                    self.load(op, index, due)
            self.compute(op, y)
            self.deliver(op, y)
        waited = {i.operands[0] for stream in self.streams for i in stream if i.opcode == "wait"}
        # Where every reader knows by other ways that a row is stored, nobody waits for its signal.
        return tuple(
            (
                *(i for i in stream if i.opcode != "signal" or i.operands[0] in waited),
                Instruction("halt", ()),
            )
            for stream in self.streams
        )

    def is_off_chip(self, value: Value) -> bool:
        """Whether readers load a value from off-chip memory."""
        return value not in self.homes or self.homes[value].spilled

    def put(
        self, tile: int, opcode: str, *operands: int | tuple[int, int] | Ring | tuple[Ring, ...]
    ) -> None:
        self.streams[tile].append(Instruction(opcode, operands))
        self.clocks[tile, tile] += 1

    def load(self, op: xbar.XbarOp, index: int, rows: list[int]) -> None:
        """Fill an op's line buffer with the rows that it reads for the first time."""
        value = op.operands[index]
        found, (address, ring) = self.map_of[value], op.sources[index]
        for row in sorted(rows):
            target = address + row % ring * found.row_stride
            if self.occupy(op.tile, value, row, target):
                self.wait(op.tile, value, row)
                self.put(op.tile, "load", target, self.off_chip(found, row), found.row_bytes)

    def occupy(self, tile: int, value: Value, row: int, address: int) -> bool:
        """Note that a row is put at an address of a buffer; False when it lies there already."""
        words = self.map_of[value].row_stride // ALIGNMENT
        held = self.contents[tile, address // ALIGNMENT :][:words]
        number = self.first_rows[self.numbers[value]] + row
        if (held == number).all():
            return False
        held[:] = number
        return True

    def wait(self, tile: int, value: Value, row: int) -> None:
        """Wait until a row is stored, unless the tile can know it already."""
        if (value, row) not in self.signals:
            return
        signal, count = self.signals[value, row]
        home = self.homes[value].tile
        if self.clocks[tile, home] < signal[home]:
            self.put(tile, "wait", self.semaphores[value], count)
            np.maximum(self.clocks[tile], signal, out=self.clocks[tile])

    @staticmethod
    def off_chip(found: FeatureMap, row: int) -> int:
        return found.address + row * found.row_stride

    def compute(self, op: xbar.XbarOp, y: int) -> None:
        """The instruction that computes one row."""
        assert op.ring is not None
        sources = tuple(Ring(*source) for source in op.sources)
        address, ring = op.ring
        self.occupy(op.tile, op.output, y, address + y % ring * self.map_of[op.output].row_stride)
        self.put(op.tile, OPCODES[type(op)], self.tables[op], (y, y + 1), Ring(*op.ring), sources)

    def call_host(self, op: xbar.Host) -> None:
        """The instruction that has the host compute a whole map."""
        for operand in op.operands:
            self.wait(op.tile, operand, self.map_of[operand].height - 1)
        self.put(op.tile, "host", self.tables[op])
        self.signal(op, range(self.map_of[op.output].height), 1)

    def signal(self, op: xbar.XbarOp, rows: Iterable[int], count: int) -> None:
        """Tell the tiles that load an op's result that rows of it are stored."""
        value = op.output
        if value in self.semaphores:
            self.signals |= {(value, y): (self.clocks[op.tile].copy(), count) for y in rows}
            self.put(op.tile, "signal", self.semaphores[value])

    def deliver(self, op: xbar.XbarOp, y: int) -> None:
        """Store a computed row off chip, or send it to the other tiles that read it."""
        assert op.ring is not None
        value, found = op.output, self.map_of[op.output]
        address, ring = op.ring
        source = address + y % ring * found.row_stride
        if op.off_chip >= 0:
            self.put(op.tile, "store", self.off_chip(found, y), source, found.row_bytes)
        if op.spilled:
            self.signal(op, [y], y + 1)
            return
        readers = [(r, k) for r, k in self.readers[value] if y in self.loads[r, k]]
        rings = {r.tile: r.sources[k] for r, k in readers if r.tile != op.tile}
        for tile, (remote, rows) in sorted(rings.items()):
            self.put(op.tile, "send", tile, source, found.row_bytes)
            place = remote + y % rows * found.row_stride
            self.occupy(tile, value, y, place)
            self.put(tile, "recv", op.tile, place, found.row_bytes)
            self.clocks[[op.tile, tile]] = np.maximum(self.clocks[op.tile], self.clocks[tile])
