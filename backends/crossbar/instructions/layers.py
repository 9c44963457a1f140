"""Layers on crossbars: the parts of which they are made."""

from __future__ import annotations

from epimc.backends.crossbar.core.program import Program
from epimc.backends.crossbar.instructions.mvm import Mvm


def mvm_layers(program: Program) -> dict[int, list[Mvm]]:
    """The mvm tables of each layer, by the map that holds the sum of their results."""
    layers: dict[int, list[Mvm]] = {}
    for table in program.tables_of(Mvm):
        layers.setdefault(program.layer_of[table.destination], []).append(table)
    return layers
