"""What layers take on crossbars, counted from their shapes alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from epimc.backends.base import PlannedLayer
from epimc.backends.crossbar.lower import counting
from epimc.backends.crossbar.lower.counting import Geometry, Matrix, geometry_of, matrix_of
from epimc.backends.crossbar.target.schema import Target
from epimc.ir.epitome import plan
from epimc.support.origins import as_json

# What the field compares with: 32-bit weights and no epitome.
BASELINE_BITS = 32

SUMMED = (
    "baseline_crossbars",
    "crossbars",
    "mnsim_baseline_crossbars",
    "mnsim_crossbars",
    "mapped_crossbars",
    "weights",
    "epitome_weights",
    "rounds",
    "array_reads",
)


def count_layers(
    layers: Sequence[PlannedLayer], target: Target, weight_bits: int, activation_bits: int
) -> dict[str, Any]:
    """Counts of all layers and their sums, as JSON-ready data."""
    geometry = geometry_of(target.crossbar)
    slices = -(-activation_bits // target.converters.dac_bits)
    counted = []
    for layer in layers:
        counts = layer_counts(layer, weight_bits, geometry)
        reads = counts["reads_per_position"] * layer.positions * slices
        named = {"name": layer.name, "nodes": as_json(layer.nodes)}
        counted.append({**named, **counts, "positions": layer.positions, "array_reads": reads})
    totals = {key: sum(layer[key] for layer in counted) for key in SUMMED}
    return {
        "input_slices": slices,
        **totals,
        "compression": ratio(totals["baseline_crossbars"], totals["crossbars"]),
        "mnsim_compression": ratio(totals["mnsim_baseline_crossbars"], totals["mnsim_crossbars"]),
        "layers": counted,
    }


def layer_counts(layer: PlannedLayer, bits: int, geometry: Geometry) -> dict[str, Any]:
    """Counts of one layer that do not depend on its position in the network."""
    whole, small = (matrix_of(shape, layer.groups) for shape in (layer.weights, layer.epitome))
    _, _, kh, kw = layer.weights
    rounds = plan.rounds(layer.patches, layer.epitome, (kh, kw), layer.groups)
    return {
        "groups": layer.groups,
        "weights_shape": list(layer.weights),
        "epitome_shape": list(layer.epitome),
        "weights": whole.cells,
        "epitome_weights": small.cells,
        "rounds": len(rounds),
        "reads_per_position": reads_per_position(rounds, small, bits, geometry),
        "baseline_crossbars": counting.packed(whole, BASELINE_BITS, geometry),
        "crossbars": counting.packed(small, bits, geometry),
        "mnsim_baseline_crossbars": counting.mnsim(whole, BASELINE_BITS, geometry),
        "mnsim_crossbars": counting.mnsim(small, bits, geometry),
        "mapped_crossbars": counting.mapped(small, bits, geometry),
    }


def ratio(whole: int, part: int) -> float | None:
    """How many times fewer; None for a model without layers."""
    return whole / part if part else None


def reads_per_position(
    rounds: tuple[plan.Round, ...], matrix: Matrix, bits: int, geometry: Geometry
) -> int:
    """Array reads for one output position and one input slice: all rounds, driven arrays only."""
    block, blocks = counting.block_rows(matrix, geometry), counting.row_blocks(matrix, geometry)
    pack_rows = counting.pack_groups(matrix, bits, geometry) * matrix.rows
    across = counting.arrays_across(matrix, bits, geometry)
    driven = 0
    for round_ in rounds:
        rows = plan.from_ranges(round_.ifrt)
        driven += len(np.unique(rows // pack_rows * blocks + rows % pack_rows // block))
    return driven * across
