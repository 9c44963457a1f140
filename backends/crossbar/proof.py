"""What a program claims of the integer reference: every constant and every node, from its tables.

Real samples need not reach every weight: a channel that is always 0 hides a wrong one.  So the
tables are turned into what the reference must be, by the forms that the exporter writes, and
the verification compares both: what is claimed must be there just so, and what is there must
be claimed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from numpy.typing import NDArray

from epimc.backends import forms
from epimc.backends.crossbar.core.program import Program, ProgramTable
from epimc.backends.crossbar.instructions.host import HostOperand, host_value
from epimc.backends.crossbar.instructions.layers import mvm_layers
from epimc.backends.crossbar.instructions.table import Table, activation_of
from epimc.backends.forms import Claim

Array = NDArray[Any]


def claims(program: Program) -> Iterator[Claim]:
    """Everything that the integer reference must be, but for what fragments are made of."""
    maps = program.maps
    for feature in maps:
        if feature.is_activation:
            yield from forms.activation(activation_of(feature), feature.scale)
    for port in program.chip_inputs:
        feature = maps[port.map]
        yield from forms.quantized_input(port.name, feature.name, feature.bits, feature.dims)
    for table in program.tables_of(Table):
        yield from table.claims(program)
    for port in program.chip_outputs:
        feature = maps[port.map]
        yield from forms.dequantized_output(port.name, feature.name, feature.bits, port.shape)
    for output in program.host_outputs:
        value = host_value(program, HostOperand(output.token, output.result))
        yield from forms.host_output(output.name, value, output.port_type.kind)


# --- what the reference says nothing of -----------------------------------------------------------


def setting_mismatches(
    program: Program,
    weight_bits: int,
    layer_bits: Mapping[str, int],
    activation_bits: int,
    mapping: str,
) -> dict[str, int]:
    """Maps and tables whose bits or mapping are not those of the manifest and the target.

    The reference's integers say nothing of them where no value comes near a bound.

    Args:
        program: What is compared.
        weight_bits: Of a weight.
        layer_bits: Of the weights of layers that have their own, by the names of their maps.
        activation_bits: Of an activation.
        mapping: The target's.
    """
    wrong = {
        f"{feature.name}.bits": 1
        for feature in program.maps
        if feature.is_activation and feature.bits != activation_bits
    }
    layers = {program.maps[number].name: parts for number, parts in mvm_layers(program).items()}
    for layer, parts in layers.items():
        stated = layer_bits.get(layer, weight_bits)
        for table in parts:
            name = program.maps[table.destination].name
            wrong |= {f"{name}.weight_bits": 1} if table.weight_bits != stated else {}
            wrong |= {f"{name}.mapping": 1} if table.mapping != mapping else {}
    # What the manifest says of layers that the program lacks.
    wrong |= {f"{name}.weight_bits": 1 for name in layer_bits.keys() - layers.keys()}
    return wrong | part_mismatches(program)


def part_mismatches(program: Program) -> dict[str, int]:
    """Partial sums that are not named after their layer: the reference has none to compare with."""
    maps, layers = program.maps, mvm_layers(program)
    wrong: dict[str, int] = {}
    for layer, parts in layers.items():
        own = [part.destination for part in parts]
        own += [sum_.destination for sum_ in sums_of(program, layer)]
        pattern = re.compile(re.escape(maps[layer].name) + r"\.(part|sum)\d+(\.\d+)?")
        names = [maps[number].name for number in own if number != layer]
        wrong |= {f"{name}.name": 1 for name in names if not pattern.fullmatch(name)}
    return wrong


def sums_of(program: Program, layer: int) -> list[ProgramTable]:
    """The additions of a layer's parts."""
    return [table for table in program.layer_tables[layer] if table.joins_parts]
