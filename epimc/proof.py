"""The program's tables against the constants of the integer reference, without running anything.

Real samples need not reach every weight: a channel that is always 0 hides a wrong one.  So every
number that the tables hold is compared with the reference's, and every one of the reference's
must be in a table.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from epimc.backends.crossbar.fused import programmed_weights
from epimc.backends.crossbar.instructions.layers import mvm_layers
from epimc.backends.crossbar.instructions.moves import Concat, Constant, Pad, Rearrange, Select
from epimc.backends.crossbar.instructions.mvm import Mvm
from epimc.backends.crossbar.instructions.pool import Pool
from epimc.backends.crossbar.instructions.vector import Add, Lookup, Multiply, Requantize
from epimc.backends.crossbar.program import Program
from epimc.ir.integers import Window, window_shares
from epimc.layouts import indices

Array = NDArray[Any]
Pair = tuple[str, Array]
"""(name of a constant of the reference, what the program holds)."""

MUST_BE_HELD = re.compile(
    r"\.(weight|bias|window|move|groups|divisor|multipliers\.\d+|offset|values|pads|sources"
    r"|shares|chosen\.\d|high)$"
)
"""The constants of the reference that make a layer; the rest is bookkeeping of the graph."""

FRAGMENT = ".host/"
"""In the names of what belongs to a host call, which is compared node by node."""


def parameter_mismatches(
    program: Program,
    constants: dict[str, Array],
    windows: dict[str, Array],
    sources: dict[str, list[str]],
    rearrangements: dict[str, Array],
    prefix: str,
) -> dict[str, int]:
    """Elements that differ, by the name of the reference's constant; only those with any.

    Args:
        program: The program.
        constants: The integer reference's constants by name.
        windows: Its windows by the name of the tensor that they make, as `window_numbers`.
        sources: What it concatenates, by the name of the tensor that it makes.
        rearrangements: Its rearrangements by the name of the tensor that they make.
        prefix: What its names of integer tensors begin with.
    """
    expected = joined(constants)
    expected |= {f"{name}.window": numbers for name, numbers in windows.items()}
    expected |= {f"{name}.sources": np.array(names) for name, names in sources.items()}
    expected |= {f"{name}.move": numbers for name, numbers in rearrangements.items()}
    held = chain(
        layer_numbers(program, prefix),
        pool_numbers(program, prefix),
        move_numbers(program, prefix),
        border_numbers(program, prefix),
        vector_numbers(program, prefix),
    )
    # One after the other: the weights of all layers at once would be large.
    found = {name: differing(array, expected.get(name)) for name, array in held}
    found |= {
        name: array.size
        for name, array in expected.items()
        if name not in found and MUST_BE_HELD.search(name) and FRAGMENT not in name
    }
    return {name: count for name, count in found.items() if count}


def wiring_mismatches(program: Program, wiring: dict[str, list[str]]) -> dict[str, int]:
    """Maps that are not computed from what the reference computes them from.

    Samples need not show it: two maps may be equal on all of them.

    Args:
        program: The program.
        wiring: The names of what each value is computed from; outputs behind `=> `.
    """
    maps = program.maps
    held = {
        maps[layer].name: [maps[parts[0].source].name]
        for layer, parts in mvm_layers(program).items()
    }
    for table in program.tables:
        if not isinstance(table, (Mvm, Add)):
            held[maps[table.destination].name] = [maps[s].name for s in table.sources]
    held |= {maps[port.map].name: [f"<= {port.name}"] for port in program.inputs}
    held |= {f"=> {port.name}": [maps[port.map].name] for port in program.outputs}
    borders = {ends[0] for ends in wiring.values() if ends and ends[0].startswith("<= ")}
    expected = joined_borders(wiring, borders)
    names = {*held, *expected}
    return {f"{name}.wiring": 1 for name in names if held.get(name) != expected.get(name)}


def joined_borders(wiring: dict[str, list[str]], borders: set[str]) -> dict[str, list[str]]:
    """The wiring with quantizations of inputs left out: their results are the input maps."""
    real = {name: ends for name, ends in wiring.items() if ends and ends[0] in borders}
    kept = {name: ends for name, ends in wiring.items() if name not in real}
    return {name: real.get(ends[0], ends) if ends else ends for name, ends in kept.items()}


def setting_mismatches(
    program: Program, weight_bits: int, activation_bits: int, mapping: str
) -> dict[str, int]:
    """Maps and tables whose bits or mapping are not those of the manifest and the target.

    The reference's integers say nothing of them where no value comes near a bound.
    """
    found = {
        f"{held.name}.bits": 1
        for held in program.maps
        if held.element == "u8" and held.bits != activation_bits
    }
    for table in program.tables:
        if isinstance(table, Mvm):
            name = program.maps[table.destination].name
            found |= {f"{name}.weight_bits": 1} if table.weight_bits != weight_bits else {}
            found |= {f"{name}.mapping": 1} if table.mapping != mapping else {}
    return found | part_mismatches(program)


def part_mismatches(program: Program) -> dict[str, int]:
    """Partial sums that are not named after their layer: the reference has none to compare with."""
    maps, layers = program.maps, mvm_layers(program)
    found: dict[str, int] = {}
    for layer, parts in layers.items():
        own = [part.destination for part in parts]
        own += [table.destination for table in sums_of(program, own)]
        pattern = re.compile(re.escape(maps[layer].name) + r"\.(part|sum)\d+(\.\d+)?")
        names = [maps[number].name for number in own if number != layer]
        found |= {f"{name}.name": 1 for name in names if not pattern.fullmatch(name)}
    return found


def sums_of(program: Program, parts: list[int]) -> list[Add]:
    """The additions that a layer's parts go into, in the order of the tables."""
    held, found = set(parts), []
    for table in program.tables:
        if isinstance(table, Add) and held.intersection(table.sources):
            held.add(table.destination)
            found.append(table)
    return found


def differing(array: Array, expected: Array | None) -> int:
    """How many elements differ: all of them where there is nothing of that size."""
    if expected is None or expected.size != array.size:
        return array.size
    return int((expected.ravel() != array.ravel()).sum())


def joined(constants: dict[str, Array]) -> dict[str, Array]:
    """Weights that the export cut into blocks of input channels, put together again."""
    whole = dict(constants)
    firsts = [name for name in constants if name.endswith(".weight.0")]
    for first in firsts:
        base = first.removesuffix(".0")
        blocks: list[Array] = []
        while f"{base}.{len(blocks)}" in whole:
            blocks.append(whole.pop(f"{base}.{len(blocks)}"))
        whole[base] = np.concatenate(blocks, axis=1)
    return whole


def window_numbers(window: Window) -> Array:
    """Kernel, strides, pads and dilations, int64 [10]."""
    return np.array([*window.kernel, *window.strides, *window.pads, *window.dilations])


def layer_numbers(program: Program, prefix: str) -> Iterator[Pair]:
    """Weights, biases, zero points, multipliers, shifts and bounds of every layer."""
    maps = program.maps
    for layer, parts in mvm_layers(program).items():
        name = prefix + maps[layer].name
        source = maps[parts[0].source]
        yield f"{name}.weight", layer_weights(parts, source.channels)
        yield f"{name}.bias", sum_of([part.bias for part in parts])
        yield f"{name}.x_zero_point", np.array([source.zero_point])
        # The checker has seen that all parts have the same.
        yield f"{name}.window", window_numbers(parts[0].window)
        yield f"{name}.groups", np.array([parts[0].groups])
    for table in program.tables:
        if isinstance(table, Requantize):
            yield from requantize_numbers(table, program, prefix)


def layer_weights(parts: list[Mvm], inputs: int) -> Array:
    """The weights [Cout, (Cin / groups)*Kh*Kw] that all parts of a layer add up to.

    In int32: the checker has seen that one round brings each weight, of at most 16 bits, with a
    multiplier of at most 12.
    """
    first = parts[0]
    area = math.prod(first.window.kernel)
    whole = np.zeros((len(first.bias), inputs // first.groups * area), np.int32)
    for part in parts:
        positions, matrix = programmed_weights(part, inputs)
        whole[:, positions] += matrix
    return whole


def pool_numbers(program: Program, prefix: str) -> Iterator[Pair]:
    """Zero points of sums, and the windows of all pools."""
    for table in program.tables:
        if isinstance(table, Pool):
            name = prefix + program.maps[table.destination].name
            yield f"{name}.window", window_numbers(table.window)
            if table.kind == "sum":
                source = program.maps[table.source]
                yield f"{name}.x_zero_point", np.array([source.zero_point])
                yield f"{name}.groups", np.array([source.channels])
                if table.counted is not None:
                    size = source.height, source.width
                    _, shares = window_shares(table.window, table.counted, size)
                    yield f"{name}.shares", shares


def vector_numbers(program: Program, prefix: str) -> Iterator[Pair]:
    """Zero points of products, values of look-ups, sources of concatenations, pads."""
    maps = program.maps
    for table in program.tables:
        name = prefix + maps[table.destination].name
        match table:
            case Multiply():
                for k, source in enumerate(table.sources):
                    yield f"{name}.x{k}.zero_point", np.array([maps[source].zero_point])
            case Lookup() | Constant():
                yield f"{name}.values", table.values
            case Concat():
                yield f"{name}.sources", np.array([prefix + maps[s].name for s in table.sources])
            case Select():
                for axis, runs in enumerate(table.selection.runs):
                    if runs:
                        yield f"{name}.chosen.{axis}", indices(runs)
            case Pad():
                yield f"{name}.zero_point", np.array([maps[table.source].zero_point])
                (before, after), (top, left, bottom, right) = table.channels, table.pads
                yield f"{name}.pads", np.array([0, before, top, left, 0, after, bottom, right])


def move_numbers(program: Program, prefix: str) -> Iterator[Pair]:
    """Permuted dims and result of all rearrangements."""
    for table in program.tables:
        if isinstance(table, Rearrange):
            name = prefix + program.maps[table.destination].name
            yield f"{name}.move", np.array([*table.perm, *table.shape])


def requantize_numbers(table: Requantize, program: Program, prefix: str) -> Iterator[Pair]:
    """What one requantization holds."""
    result = program.maps[table.destination]
    name = prefix + result.name
    for k, source in enumerate(table.sources):
        yield f"{name}.multipliers.{k}", table.multipliers[k]
        if program.maps[source].element == "u8":
            zero_point = np.array([program.maps[source].zero_point])
            yield f"{name}.x{k}.zero_point", zero_point
    if table.offsets.any():
        yield f"{name}.offset", table.offsets
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
        # With 8 bits QuantizeLinear itself is the bound.
        if found.bits != 8:
            yield f"{prefix}{found.name}.high", np.array([2**found.bits - 1])
    for port in program.outputs:
        found = program.maps[port.map]
        yield f"{prefix}{found.name}.out.scale", np.array([port.scale], np.float32)
        yield f"{prefix}{found.name}.out.zero_point", np.array([found.zero_point])


def sum_of(arrays: list[Array]) -> Array:
    """Their sum, in int64."""
    return np.asarray(np.sum(np.stack(arrays), axis=0, dtype=np.int64))
