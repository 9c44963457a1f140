"""`epimc plan`: what a model takes on a chip, counted from shapes, before anything is compiled."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from epimc.backends.crossbar.lower import counting
from epimc.backends.crossbar.lower.counting import Geometry, Matrix, geometry_of, matrix_of
from epimc.backends.crossbar.target.schema import load_target
from epimc.frontend import import_model
from epimc.ir.core.types import as_map
from epimc.ir.epitome import plan
from epimc.ir.epitome.plan_files import given_plans, is_plan_file
from epimc.ir.epitome.policies import Layer
from epimc.ir.passes.epitomize import layers_of
from epimc.ir.passes.layout import Layout
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


@dataclass(frozen=True)
class PlanRequest:
    """What the user asks for.

    Attributes:
        model: The ONNX file.
        epitome: The policy, or a TOML file with plans layer by layer.
        weight_bits: 2 to 32.
        activation_bits: 1 to 32.
        target: A built-in target's name or a TOML file.
        limit_bytes: The most that the model may take.
    """

    model: Path
    epitome: str = "none"
    weight_bits: int = 8
    activation_bits: int = 8
    target: str = "epim-256"
    limit_bytes: int = 2**32


def plan_model(request: PlanRequest) -> dict[str, Any]:
    """Counts of a model, as JSON-ready data.

    Raises:
        EpimcError: Anything wrong with the request or the model.
    """
    target = load_target(request.target)
    if not is_plan_file(request.epitome):
        # A wrong policy is told before a large model is read.
        given_plans(request.epitome, [])
    crossbar = target.crossbar
    geometry = geometry_of(crossbar)
    slices = -(-request.activation_bits // target.converters.dac_bits)
    module = import_model(request.model, limit_bytes=request.limit_bytes).module
    found = layers_of(Layout().run(module), geometry.rows)
    chosen = given_plans(request.epitome, list(found.values())).choose(list(found.values()))
    layers = []
    for (op, layer), (epitome, patches) in zip(found.items(), chosen, strict=True):
        counts = layer_counts(layer, epitome, patches, request.weight_bits, geometry)
        _, height, width = as_map(op.output.type.shape)
        reads = counts["reads_per_position"] * height * width * slices
        named = {"name": op.output.name, "nodes": as_json(op.location.nodes)}
        layers.append({**named, **counts, "positions": height * width, "array_reads": reads})
    totals = {key: sum(layer[key] for layer in layers) for key in SUMMED}
    return {
        "model": request.model.name,
        "target": target.name,
        "epitome": request.epitome,
        "weight_bits": request.weight_bits,
        "activation_bits": request.activation_bits,
        "input_slices": slices,
        **totals,
        "compression": ratio(totals["baseline_crossbars"], totals["crossbars"]),
        "mnsim_compression": ratio(totals["mnsim_baseline_crossbars"], totals["mnsim_crossbars"]),
        "layers": layers,
    }


def layer_counts(
    layer: Layer, epitome: plan.Shape, patches: plan.Plan, bits: int, geometry: Geometry
) -> dict[str, Any]:
    """Counts of one layer that do not depend on its position in the network."""
    whole, small = (matrix_of(shape, layer.groups) for shape in (layer.weights, epitome))
    _, _, kh, kw = layer.weights
    rounds = plan.rounds(patches, epitome, (kh, kw), layer.groups)
    return {
        "groups": layer.groups,
        "weights_shape": list(layer.weights),
        "epitome_shape": list(epitome),
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
