"""Layers on crossbars: the parts of which they are made, and the maps that hold their results."""

from __future__ import annotations

from collections.abc import Mapping

from epimc.backends.crossbar.instructions.mvm import Mvm
from epimc.backends.crossbar.instructions.vector import Add
from epimc.backends.crossbar.program import Program


def layer_of(program: Program) -> list[int]:
    """For each map the map with its layer's result: of a split layer the sum of all parts."""
    sums = {s: table.destination for table in program.tables_of(Add) for s in table.sources}
    return [last_of(sums, index) for index in range(len(program.maps))]


def last_of(sums: Mapping[int, int], index: int) -> int:
    """The end of a chain of sums."""
    # Bounded, since the tables of a wrong program may add in a circle.
    for _ in range(len(sums)):
        if index not in sums:
            break
        index = sums[index]
    return index


def mvm_layers(program: Program) -> dict[int, list[Mvm]]:
    """The mvm tables of each layer, by the map that holds the sum of their results."""
    totals = layer_of(program)
    layers: dict[int, list[Mvm]] = {}
    for table in program.tables_of(Mvm):
        layers.setdefault(totals[table.destination], []).append(table)
    return layers
