"""Emit: a placed, scheduled and allocated `xbar` module to a program."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from epimc.backends.crossbar.arrays import column_sums
from epimc.backends.crossbar.passes.map import target_of
from epimc.backends.crossbar.program import (
    NO_ADDRESS,
    AddTable,
    Array,
    ConcatTable,
    ConstantTable,
    FeatureMap,
    HostTable,
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
    Round,
    SelectTable,
    Table,
)
from epimc.backends.crossbar.projection import project
from epimc.backends.crossbar.roll import roll
from epimc.diagnostics import error
from epimc.ir.core import Module, Op, Value
from epimc.ir.dialects import xbar
from epimc.ir.dialects.epi import HostCall
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
    xbar.Host: "host",
}


def emit(module: Module) -> Program:
    """The program of a module that has gone through `allocate`.

    Raises:
        EpimcError: A pass is missing.
    """
    ops = [op for op in module.ops if isinstance(op, xbar.XbarOp)]
    addresses = module.attributes.get("input_addresses")
    placed = all(op.ring is not None or isinstance(op, xbar.Host) for op in ops)
    if not placed or addresses is None:
        raise error(
            f"Module '{module.name}' is not allocated.",
            hint="Run the passes 'place', 'schedule' and 'allocate' first.",
        )
    numbers = {value: k for k, value in enumerate(module.values())}
    matrices = weight_matrices(ops, module)
    inputs = [v for _, v in module.inputs]
    maps = [feature_map(v, a, "input") for v, a in zip(inputs, addresses, strict=True)]
    maps += [feature_map(op.output, op.off_chip, str(op.location)) for op in ops]
    tiles, target = int(module.attributes["tiles"]), target_of(module)
    opcodes = [OPCODES[type(op)] for op in ops]
    streams = project(ops, opcodes, maps, numbers, tiles, target.tile.buffer_bytes)
    return Program(
        chip=target.sized(tiles),
        maps=tuple(maps),
        tables=tuple(table_of(op, module, numbers, matrices) for op in ops),
        inputs=tuple(port(name, value, numbers) for name, value in module.inputs),
        outputs=tuple(port(name, value, numbers) for name, value in module.outputs),
        streams=roll(streams),
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
