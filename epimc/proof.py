"""The program's tables against the constants of the integer reference, without running anything.

Real samples need not reach every weight: a channel that is always 0 hides a wrong one.  So every
number that the tables hold is compared with the reference's.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from epimc.backends.crossbar.arrays import programmed_weights
from epimc.backends.crossbar.program import PoolTable, Program, RequantizeTable, mvm_layers

Array = NDArray[Any]
Pair = tuple[str, Array]
"""(name of a constant of the reference, what the program holds)."""


def parameter_mismatches(
    program: Program, constants: dict[str, Array], prefix: str
) -> dict[str, int]:
    """Elements that differ, by the name of the reference's constant; only those with any.

    Args:
        program: The program.
        constants: The integer reference's constants by name.
        prefix: What its names of integer tensors begin with.
    """
    constants = joined(constants)
    found: dict[str, int] = {}
    for name, array in (*layer_numbers(program, prefix), *border_numbers(program, prefix)):
        expected = constants.get(name)
        count = array.size
        if expected is not None and expected.size == array.size:
            count = int((expected.ravel() != array.ravel()).sum())
        if count:
            found[name] = count
    return found


def joined(constants: dict[str, Array]) -> dict[str, Array]:
    """Weights that the export cut into blocks of input channels, put together again."""
    whole = dict(constants)
    firsts = [name for name in constants if name.endswith(".weight.0")]
    for first in firsts:
        base = first.removesuffix(".0")
        blocks: list[Array] = []
        while f"{base}.{len(blocks)}" in constants:
            blocks.append(constants[f"{base}.{len(blocks)}"])
        whole[base] = np.concatenate(blocks, axis=1)
    return whole


def layer_numbers(program: Program, prefix: str) -> Iterator[Pair]:
    """Weights, biases, zero points, multipliers, shifts and bounds of every layer."""
    maps = program.maps
    for layer, parts in mvm_layers(program).items():
        name = prefix + maps[layer].name
        source = maps[parts[0].source]
        yield f"{name}.weight", sum_of([programmed_weights(p, source.channels) for p in parts])
        yield f"{name}.bias", sum_of([part.bias for part in parts])
        yield f"{name}.x_zero_point", np.array([source.zero_point])
    for table in program.tables:
        if isinstance(table, PoolTable) and table.kind == "sum":
            name = prefix + maps[table.destination].name
            yield f"{name}.x_zero_point", np.array([maps[table.source].zero_point])
        if isinstance(table, RequantizeTable):
            yield from requantize_numbers(table, program, prefix)


def requantize_numbers(table: RequantizeTable, program: Program, prefix: str) -> Iterator[Pair]:
    """What one requantization holds."""
    result = program.maps[table.destination]
    name = prefix + result.name
    for k, source in enumerate(table.sources):
        yield f"{name}.multipliers.{k}", table.multipliers[k]
        if program.maps[source].element == "u8":
            zero_point = np.array([program.maps[source].zero_point])
            yield f"{name}.x{k}.zero_point", zero_point
    yield f"{name}.divisor", np.left_shift(np.int64(1), table.shifts)
    yield f"{name}.zero_point", np.array([result.zero_point])
    yield f"{name}.low", np.array([table.low])
    yield f"{name}.high", np.array([table.high])


def border_numbers(program: Program, prefix: str) -> Iterator[Pair]:
    """Scales and zero points of inputs and outputs."""
    for port in program.inputs:
        found = program.maps[port.map]
        yield f"{prefix}{found.name}.scale", np.array([port.scale], np.float32)
        yield f"{prefix}{found.name}.zero_point", np.array([found.zero_point])
    for port in program.outputs:
        yield f"{port.name}.scale", np.array([port.scale], np.float32)
        yield f"{port.name}.zero_point", np.array([program.maps[port.map].zero_point])


def sum_of(arrays: list[Array]) -> Array:
    """Their sum, in int64."""
    return np.asarray(np.sum(np.stack(arrays), axis=0, dtype=np.int64))
