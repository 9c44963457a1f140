"""What a program claims of the integer reference: every constant and every node, from its tables.

Real samples need not reach every weight: a channel that is always 0 hides a wrong one.  So the
tables are turned into what the reference must be, by the forms that the exporter writes, and
`integer_reference.py` compares both: what is claimed must be there just so, and what is there must
be claimed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from epimc.backends import forms
from epimc.backends.crossbar.fused import programmed_weights
from epimc.backends.crossbar.program import (
    AddTable,
    ConcatTable,
    ConstantTable,
    FeatureMap,
    HostTable,
    LookupTable,
    MultiplyTable,
    MvmTable,
    PadTable,
    PoolTable,
    Program,
    RearrangeTable,
    RequantizeTable,
    SelectTable,
    Table,
    mvm_layers,
)
from epimc.backends.forms import Claim, Dims, Term

Array = NDArray[Any]


def claims(program: Program) -> Iterator[Claim]:
    """Everything that the integer reference must be, but for what fragments are made of."""
    maps = program.maps
    for feature in maps:
        if feature.element == "u8":
            yield from forms.activation(feature.name, feature.scale, feature.zero_point)
    for port in program.inputs:
        feature = maps[port.map]
        yield from forms.quantized_input(port.name, feature.name, feature.bits, dims_of(feature))
    for table in program.tables:
        yield from CLAIMS[type(table)](table, program)
    for port in program.outputs:
        yield from forms.dequantized_output(port.name, maps[port.map].name, port.shape)


def dims_of(feature: FeatureMap) -> Dims:
    """[C, H, W] of a map."""
    return feature.channels, feature.height, feature.width


def term_of(feature: FeatureMap) -> Term:
    """A map as an operand of a sum or product."""
    return feature.name, feature.zero_point if feature.element == "u8" else None


# --- tables ---------------------------------------------------------------------------------------


def mvm_claims(table: MvmTable, program: Program) -> Iterator[Claim]:
    """The whole layer, of the first of its parts: the reference does not split it."""
    layer, parts = layer_of(table, program)
    if parts[0] is not table:
        return
    # The checker has seen that all parts read one map by one window, in as many groups.
    source, window = program.maps[table.source], table.window
    inputs = source.channels // table.groups
    weights = layer_weights(parts, source.channels).reshape(-1, inputs, *window.kernel)
    bias = np.stack([part.bias for part in parts]).sum(axis=0)
    edges = forms.summable_blocks(weights, source.bits)
    name = program.maps[layer].name
    yield from forms.convolution(name, source.name, weights, bias, window, table.groups, edges)


def layer_of(table: MvmTable, program: Program) -> tuple[int, list[MvmTable]]:
    """The map with the sum of all parts of a table's layer, and the parts."""
    sums = {s: t.destination for t in program.tables if isinstance(t, AddTable) for s in t.sources}

    def total(number: int) -> int:
        # Bounded, since the tables of a wrong program may add in a circle.
        for _ in sums:
            number = sums.get(number, number)
            if number not in sums:
                break
        return number

    layer = total(table.destination)
    mvms = (other for other in program.tables if isinstance(other, MvmTable))
    return layer, [other for other in mvms if total(other.destination) == layer]


def layer_weights(parts: list[MvmTable], inputs: int) -> Array:
    """The weights [Cout, (Cin / groups)*Kh*Kw] that all parts of a layer add up to.

    In int32: the checker has seen that one round brings each weight, of at most 16 bits, with a
    multiplier of at most 12.
    """
    first = parts[0]
    area = math.prod(first.window.kernel)
    total = np.zeros((len(first.bias), inputs // first.groups * area), np.int32)
    for part in parts:
        positions, matrix = programmed_weights(part, inputs)
        total[:, positions] += matrix
    return total


def no_claims(table: AddTable | HostTable, program: Program) -> Iterator[Claim]:
    """Nothing: an addition is of its layer's parts, and of a host call the fragment tells all."""
    yield from ()


def requantize_claims(table: RequantizeTable, program: Program) -> Iterator[Claim]:
    """Multipliers, shifts, offsets and bounds."""
    result = program.maps[table.destination]
    to = forms.Rescaling(
        multipliers=table.multipliers,
        shifts=table.shifts,
        offsets=table.offsets,
        zero_point=result.zero_point,
        low=table.low,
        high=table.high,
    )
    terms = [term_of(program.maps[source]) for source in table.sources]
    yield from forms.requantization(result.name, terms, to)


def pool_claims(table: PoolTable, program: Program) -> Iterator[Claim]:
    """The window, and the shares of sums."""
    source, name = program.maps[table.source], program.maps[table.destination].name
    if table.kind == "max":
        yield from forms.maximum(name, source.name, table.window)
    else:
        yield from forms.sums(name, source.name, dims_of(source), table.window, table.counted)


def rearrange_claims(table: RearrangeTable, program: Program) -> Iterator[Claim]:
    """Permuted dims and the result's."""
    name, source = program.maps[table.destination].name, program.maps[table.source].name
    yield from forms.rearrangement(name, source, table.perm, table.shape)


def multiply_claims(table: MultiplyTable, program: Program) -> Iterator[Claim]:
    """The zero points of the factors."""
    terms = [term_of(program.maps[source]) for source in table.sources]
    yield from forms.product(program.maps[table.destination].name, terms)


def lookup_claims(table: LookupTable, program: Program) -> Iterator[Claim]:
    """The values."""
    name, source = program.maps[table.destination].name, program.maps[table.source].name
    yield from forms.look_up(name, source, table.values)


def concat_claims(table: ConcatTable, program: Program) -> Iterator[Claim]:
    """What comes behind what."""
    sources = [program.maps[source].name for source in table.sources]
    yield from forms.concatenation(program.maps[table.destination].name, sources, table.axis)


def select_claims(table: SelectTable, program: Program) -> Iterator[Claim]:
    """The indices."""
    name, source = program.maps[table.destination].name, program.maps[table.source].name
    yield from forms.selection(name, source, table.selection.runs)


def constant_claims(table: ConstantTable, program: Program) -> Iterator[Claim]:
    """The values, for as many samples as the first input has."""
    name, port = program.maps[table.destination].name, program.inputs[0].name
    yield from forms.fixed(name, port, table.values)


def pad_claims(table: PadTable, program: Program) -> Iterator[Claim]:
    """The widths."""
    name, source = program.maps[table.destination].name, program.maps[table.source].name
    yield from forms.padding(name, source, table.channels, table.pads)


CLAIMS: Mapping[type[Table], Callable[[Any, Program], Iterator[Claim]]] = {
    MvmTable: mvm_claims,
    RequantizeTable: requantize_claims,
    PoolTable: pool_claims,
    RearrangeTable: rearrange_claims,
    AddTable: no_claims,
    MultiplyTable: multiply_claims,
    LookupTable: lookup_claims,
    ConcatTable: concat_claims,
    SelectTable: select_claims,
    ConstantTable: constant_claims,
    PadTable: pad_claims,
    HostTable: no_claims,
}
"""What a table claims, by its class."""


# --- what the reference says nothing of -----------------------------------------------------------


def setting_mismatches(
    program: Program, weight_bits: int, activation_bits: int, mapping: str
) -> dict[str, int]:
    """Maps and tables whose bits or mapping are not those of the manifest and the target.

    The reference's integers say nothing of them where no value comes near a bound.
    """
    wrong = {
        f"{feature.name}.bits": 1
        for feature in program.maps
        if feature.element == "u8" and feature.bits != activation_bits
    }
    for table in program.tables:
        if isinstance(table, MvmTable):
            name = program.maps[table.destination].name
            wrong |= {f"{name}.weight_bits": 1} if table.weight_bits != weight_bits else {}
            wrong |= {f"{name}.mapping": 1} if table.mapping != mapping else {}
    return wrong | part_mismatches(program)


def part_mismatches(program: Program) -> dict[str, int]:
    """Partial sums that are not named after their layer: the reference has none to compare with."""
    maps, layers = program.maps, mvm_layers(program)
    wrong: dict[str, int] = {}
    for layer, parts in layers.items():
        own = [part.destination for part in parts]
        own += [table.destination for table in sums_of(program, own)]
        pattern = re.compile(re.escape(maps[layer].name) + r"\.(part|sum)\d+(\.\d+)?")
        names = [maps[number].name for number in own if number != layer]
        wrong |= {f"{name}.name": 1 for name in names if not pattern.fullmatch(name)}
    return wrong


def sums_of(program: Program, parts: list[int]) -> list[AddTable]:
    """The additions that a layer's parts go into, in the order of the tables."""
    reached, additions = set(parts), []
    for table in program.tables:
        if isinstance(table, AddTable) and reached.intersection(table.sources):
            reached.add(table.destination)
            additions.append(table)
    return additions
