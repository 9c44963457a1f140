"""What a program for crossbars consists of, and what it costs, as data."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import Any

from epimc.backends.crossbar.core.program import NO_ADDRESS, Program
from epimc.backends.crossbar.instructions.host import host_tables
from epimc.backends.crossbar.instructions.layers import mvm_layers
from epimc.backends.crossbar.instructions.mvm import Mvm
from epimc.backends.crossbar.isa.loops import executed
from epimc.backends.crossbar.kernels.bit_serial import lossless
from epimc.backends.crossbar.sim.counters import Counters
from epimc.support.origins import as_json


def program_summary(program: Program) -> dict[str, Any]:
    """Layers, crossbars, tiles and instructions of a good program, as JSON-ready data.

    Instructions are counted as they are executed; loops make them fewer where they are stored.
    """
    outside = {port.map for port in (*program.inputs, *program.outputs)}
    for table in host_tables(program):
        outside |= {*table.sources, table.destination}
    spilled = [
        m.name
        for number, m in enumerate(program.maps)
        if m.address != NO_ADDRESS and number not in outside
    ]
    tables = list(program.tables_of(Mvm))
    counts = Counter(i.opcode for stream in program.streams for i in executed(stream))
    return {
        "tiles": len(program.streams),
        "crossbars": sum(len(table.arrays) for table in tables),
        "instructions": dict(sorted(counts.items())),
        "stored_instructions": sum(len(stream) for stream in program.streams),
        "spilled": spilled,
        "off_chip_bytes": program.off_chip_extent,
        "lossless_adc": all(lossless(table, program.chip) for table in tables),
        "host_calls": [
            {"name": held.name, "nodes": as_json(held.nodes)}
            for held in (program.maps[table.destination] for table in host_tables(program))
        ],
        "layers": [
            layer_summary(program, number, parts) for number, parts in mvm_layers(program).items()
        ],
    }


def layer_summary(program: Program, number: int, parts: list[Mvm]) -> dict[str, Any]:
    """One layer on crossbars."""
    held, first = program.maps[number], parts[0]
    return {
        "name": held.name,
        "nodes": as_json(held.nodes),
        "epitome": list(first.weights.shape),
        "groups": first.groups,
        "weight_bits": first.weight_bits,
        "rounds": len(first.rounds),
        "crossbars": sum(len(part.arrays) for part in parts),
        "tiles": sorted(part.tile for part in parts),
    }


def stats_summary(program: Program, counters: Counters) -> dict[str, Any]:
    """What one sample cost, layer by layer, as JSON-ready data; inputs are layers as well."""
    inputs = {port.map for port in program.inputs}
    return {
        "total": asdict(counters.total()),
        "layers": [
            {
                "name": program.maps[index].name,
                "nodes": as_json(program.maps[index].nodes),
                "input": index in inputs,
                **asdict(counts),
            }
            for index, counts in counters.layers().items()
        ],
    }
