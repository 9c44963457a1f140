"""What layers take on crossbars, counted from their shapes alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from epimc.backends.base import PlannedLayer, PlanSummary
from epimc.backends.crossbar.lower import counting
from epimc.backends.crossbar.lower.counting import Geometry, Matrix, geometry_of, matrix_of
from epimc.backends.crossbar.target.schema import Target
from epimc.ir.epitome import plan
from epimc.ir.semantics.quantization import bits_with_zero
from epimc.support.diagnostics import counted
from epimc.support.origins import place_of
from epimc.support.results import OnnxNode, first_name, onnx_nodes
from epimc.support.tables import Block, Lines, dims, number, table

# What the field compares with: 32-bit weights and no epitome.
BASELINE_BITS = 32


@dataclass(frozen=True)
class LayerCounts:
    """What one layer takes.

    Attributes:
        name: Of its result.
        nodes: The ONNX nodes that it stands for.
        groups: Of the convolution; 1 for a matmul.
        weights_shape: Of its weights: outputs, inputs of a group, height and width.
        epitome_shape: Of its epitome, the same.
        weights: Numbers in its weights.
        epitome_weights: Numbers in its epitome.
        rounds: Activation rounds of one output position.
        reads_per_position: Arrays read for one output position and one slice of the inputs.
        baseline_crossbars: Arrays for 32-bit weights without an epitome, by the rule packed.
        crossbars: Arrays, by the rule packed.
        mnsim_baseline_crossbars: Arrays for 32-bit weights without an epitome, by MNSIM's rule.
        mnsim_crossbars: Arrays, by MNSIM's rule.
        mapped_crossbars: Arrays that the compiler's mapping takes.
        positions: Output positions of one sample.
        array_reads: Arrays read for one sample.
        weight_bits: Bits of a weight.
    """

    name: str
    nodes: tuple[OnnxNode, ...]
    groups: int
    weights_shape: tuple[int, ...]
    epitome_shape: tuple[int, ...]
    weights: int
    epitome_weights: int
    rounds: int
    reads_per_position: int
    baseline_crossbars: int
    crossbars: int
    mnsim_baseline_crossbars: int
    mnsim_crossbars: int
    mapped_crossbars: int
    positions: int
    array_reads: int
    weight_bits: int


@dataclass(frozen=True)
class CrossbarCounts(PlanSummary):
    """What all layers take on crossbars.

    Attributes:
        input_slices: Slices of an activation, each as wide as the DAC.
        baseline_crossbars: Sum over the layers, as all counts below.
        crossbars: Arrays, by the rule packed.
        mnsim_baseline_crossbars: Arrays for 32-bit weights without epitomes, by MNSIM's rule.
        mnsim_crossbars: Arrays, by MNSIM's rule.
        mapped_crossbars: Arrays that the compiler's mapping takes.
        weights: Numbers in the weights.
        epitome_weights: Numbers in the epitomes.
        rounds: Activation rounds of one output position of each layer.
        array_reads: Arrays read for one sample.
        compression: How many times fewer arrays than in 32 bits without epitomes, by the rule
            packed; null for a model without layers.
        mnsim_compression: The same by MNSIM's rule.
        layers: Every layer with weights.
    """

    input_slices: int
    baseline_crossbars: int
    crossbars: int
    mnsim_baseline_crossbars: int
    mnsim_crossbars: int
    mapped_crossbars: int
    weights: int
    epitome_weights: int
    rounds: int
    array_reads: int
    compression: float | None
    mnsim_compression: float | None
    layers: tuple[LayerCounts, ...]

    def blocks(self) -> Iterator[Block]:
        """The layers, what the columns mean, and the totals by both rules."""
        if not self.layers:
            yield Lines(("  no layer has constant weights: it takes no crossbars",))
            return
        # Where all layers have the same bits, the totals say how many.
        mixed = len({layer.weight_bits for layer in self.layers}) > 1
        names = ("layer", "weights", "epitome", *["bits"] * mixed, "rounds")
        titles = (*names, "FP32", "crossbars", "arrays", "reads")
        rows = (
            (
                first_name(layer.name, layer.nodes),
                dims(layer.weights_shape),
                dims(layer.epitome_shape),
                *[str(layer.weight_bits)] * mixed,
                str(layer.rounds),
                str(layer.baseline_crossbars),
                str(layer.crossbars),
                str(layer.mapped_crossbars),
                str(layer.reads_per_position),
            )
            for layer in self.layers
        )
        yield table(titles, rows)
        meaning = "FP32, crossbars: rule packed; arrays: those that the mapping takes; "
        yield Lines((f"{meaning}reads: arrays read a position",))
        packed = (self.baseline_crossbars, self.crossbars, self.compression)
        mnsim = (self.mnsim_baseline_crossbars, self.mnsim_crossbars, self.mnsim_compression)
        yield Lines((f"  rule packed: {fewer(*packed)}", f"  rule mnsim: {fewer(*mnsim)}"))


def fewer(before: int, after: int, times: float | None) -> str:
    """What the compression is."""
    return f"{counted(before, 'crossbar')} in FP32, {after} now: {number(times, 2)}x fewer"


def count_layers(
    layers: Sequence[PlannedLayer], target: Target, weight_bits: int, activation_bits: int
) -> CrossbarCounts:
    """Counts of all layers and their sums."""
    slices = -(-activation_bits // target.converters.dac_bits)
    geometry = geometry_of(target.crossbar)
    at_once = target.converters.rows_per_read
    counts = tuple(
        layer_counts(layer, layer.weight_bits or weight_bits, slices, geometry, at_once)
        for layer in layers
    )
    baseline = sum(layer.baseline_crossbars for layer in counts)
    crossbars = sum(layer.crossbars for layer in counts)
    mnsim_baseline = sum(layer.mnsim_baseline_crossbars for layer in counts)
    mnsim_crossbars = sum(layer.mnsim_crossbars for layer in counts)
    return CrossbarCounts(
        input_slices=slices,
        baseline_crossbars=baseline,
        crossbars=crossbars,
        mnsim_baseline_crossbars=mnsim_baseline,
        mnsim_crossbars=mnsim_crossbars,
        mapped_crossbars=sum(layer.mapped_crossbars for layer in counts),
        weights=sum(layer.weights for layer in counts),
        epitome_weights=sum(layer.epitome_weights for layer in counts),
        rounds=sum(layer.rounds for layer in counts),
        array_reads=sum(layer.array_reads for layer in counts),
        compression=ratio(baseline, crossbars),
        mnsim_compression=ratio(mnsim_baseline, mnsim_crossbars),
        layers=counts,
    )


def layer_counts(
    layer: PlannedLayer, bits: int, slices: int, geometry: Geometry, rows_per_read: int
) -> LayerCounts:
    """Counts of one layer.

    Args:
        layer: From the model and the plan.
        bits: Of a weight; of one bit, a layer that needs a 0 takes 2.
        slices: Of an activation.
        geometry: Of an array.
        rows_per_read: The most word lines that are driven at a time; 0 for all.
    """
    full, small = (matrix_of(shape, layer.groups) for shape in (layer.weights, layer.epitome))
    _, _, kh, kw = layer.weights
    zero = plan.needs_zero(layer.patches, layer.epitome, (kh, kw), layer.groups)
    bits = bits_with_zero(bits, zero)
    counting.refuse_mapping(geometry.mapping, bits, place_of(layer.nodes))
    rounds = plan.rounds(layer.patches, layer.epitome, (kh, kw), layer.groups)
    reads = reads_per_position(rounds, small, bits, geometry, rows_per_read)
    return LayerCounts(
        name=layer.name,
        nodes=onnx_nodes(layer.nodes),
        groups=layer.groups,
        weights_shape=layer.weights,
        epitome_shape=layer.epitome,
        weights=full.cells,
        epitome_weights=small.cells,
        rounds=len(rounds),
        reads_per_position=reads,
        baseline_crossbars=counting.packed(full, BASELINE_BITS, geometry),
        crossbars=counting.packed(small, bits, geometry),
        mnsim_baseline_crossbars=counting.mnsim(full, BASELINE_BITS, geometry),
        mnsim_crossbars=counting.mnsim(small, bits, geometry),
        mapped_crossbars=counting.mapped(small, bits, geometry),
        positions=layer.positions,
        array_reads=reads * layer.positions * slices,
        weight_bits=bits,
    )


def ratio(before: int, after: int) -> float | None:
    """How many times fewer; None for a model without layers."""
    return before / after if after else None


def reads_per_position(
    rounds: tuple[plan.Round, ...],
    matrix: Matrix,
    bits: int,
    geometry: Geometry,
    rows_per_read: int,
) -> int:
    """Array reads for one output position and one input slice: all rounds, driven arrays only."""
    block, blocks = counting.block_rows(matrix, geometry), counting.row_blocks(matrix, geometry)
    pack_rows = counting.pack_groups(matrix, bits, geometry) * matrix.rows
    across = counting.arrays_across(matrix, bits, geometry)
    driven = 0
    for round_ in rounds:
        rows = plan.from_ranges(round_.ifrt)
        # Numbers of row blocks, over all packs: an array is read if any of its word lines is
        # driven.
        _, lines = np.unique(
            rows // pack_rows * blocks + rows % pack_rows // block, return_counts=True
        )
        driven += int((-(-lines // rows_per_read)).sum()) if rows_per_read else len(lines)
    return driven * across
