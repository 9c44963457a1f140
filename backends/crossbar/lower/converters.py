"""The steps of the ADCs: those that the range of a target's converters asks for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from epimc.backends.crossbar.core.program import Program, ProgramTable
from epimc.backends.crossbar.instructions.layers import mvm_layers
from epimc.backends.crossbar.instructions.mvm import Mvm
from epimc.backends.crossbar.kernels.converters import fitting_step
from epimc.backends.crossbar.target.schema import Target
from epimc.ir.semantics.converters import smallest_step


def with_steps(program: Program, target: Target) -> Program:
    """The program with the step of each layer's ADCs in its tables."""
    layers = mvm_layers(program)
    steps = {number: layer_step(parts, program, target) for number, parts in layers.items()}
    return with_layer_steps(program, steps)


def with_layer_steps(program: Program, steps: Mapping[int, int]) -> Program:
    """The program with these steps, by the map that holds a layer's result."""
    stepped: dict[int, ProgramTable] = {
        part.destination: replace(part, adc_step=steps[number])
        for number, parts in mvm_layers(program).items()
        for part in parts
        if part.adc_step != steps[number]
    }
    tables = tuple(stepped.get(table.destination, table) for table in program.tables)
    return replace(program, tables=tables)


def layer_step(parts: list[Mvm], program: Program, target: Target) -> int:
    """The step of the ADCs that read a layer's parts: the same for all, wherever they lie."""
    bits = program.chip.adc_bits
    match target.converters.adc_range:
        case "weights":
            return fitting_step(parts, program.chip)
        case "calibrated":
            # Samples decide, later.
            return parts[0].adc_step
        case _:
            highest = target.highest_sum
            return 1 if highest is None else smallest_step(bits, highest)
