"""Weights to integers: the scales of an epitome's columns, and the epitome in steps of them."""

from __future__ import annotations

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from epimc.ir.core.op import Array, Stored
from epimc.ir.epitome.epitomized import Epitomized
from epimc.ir.epitome.plan import Plan, needs_zero, used
from epimc.ir.semantics import arrays, quantization
from epimc.quantization.rounding.options import WeightGranularity

Doubles = NDArray[np.float64]

# A channel whose weights are this much smaller than the layer's largest shares the scale of that
# floor: its weights count for nothing, and its multiplier would leave the 31 bits.
SMALLEST_RELATIVE_SCALE = 2.0**-20

# Below this, far above the end of float32, values are nearly always 0: any scale will do.
SMALLEST_STEP = 2.0**-100


def used_elements(epitome: Array, op: Epitomized) -> Array:
    """The epitome with 0 wherever no patch uses it: that must not widen a scale."""
    eo, ei, eh, ew = epitome.shape
    mask = used(op.plan, (eo, ei, eh, ew), op.window.kernel)
    return epitome if mask.all() else np.where(mask, epitome, np.float32(0))


def bits_of(op: Epitomized, default: int, tensors: Stored) -> int:
    """The bits of a layer's weights: what it states, else the default; 2 where it needs a 0."""
    eo, ei, eh, ew = tensors(op.epitome).shape
    zero = needs_zero(op.plan, (eo, ei, eh, ew), op.window.kernel, op.groups)
    return quantization.bits_with_zero(op.weight_bits or default, zero)


def column_scales(
    epitome: Array, op: Epitomized, bits: int, granularity: WeightGranularity = "column"
) -> tuple[Array, Array]:
    """Scales of the epitome's columns [Eo] and of the output channels [Cout], float32.

    Columns that feed a common output channel share a scale.

    Args:
        epitome: float32 [Eo, Ei, Eh, Ew].
        op: The layer.
        bits: Of a weight.
        granularity: Whether all columns share one.
    """
    rows = epitome.reshape(len(epitome), -1)
    if bits == 1:
        # Of -1 and 1 alone the best step is the mean magnitude: the largest would be far too wide.
        largest = np.abs(rows).mean(axis=1, dtype=np.float64)
    else:
        largest = np.maximum(rows.max(axis=1), -rows.min(axis=1)).astype(np.float64)
    if granularity == "tensor":
        largest = np.full(len(largest), largest.mean() if bits == 1 else largest.max())
    of_columns, of_channels = shared_maxima(op.plan, largest, op.shape[0])
    top = of_columns.max(initial=0)
    floor = top * SMALLEST_RELATIVE_SCALE if top >= SMALLEST_STEP else 1.0
    limit = np.float32(quantization.weight_limit(bits))
    return (
        np.maximum(of_columns, floor).astype(np.float32) / limit,
        np.maximum(of_channels, floor).astype(np.float32) / limit,
    )


def shared_maxima(plan: Plan, largest: Doubles, outputs: int) -> tuple[Doubles, Doubles]:
    """The largest number of all columns and output channels that the plan joins, for each of them.

    Args:
        plan: A column and a channel are joined where a patch takes one into the other, and with
            all that either is joined with.
        largest: A number for each column, [Eo].
        outputs: How many output channels there are.

    Returns:
        For each column [Eo], and for each output channel [Cout].
    """
    graph: nx.Graph[tuple[str, int]] = nx.Graph()
    # Patches that differ in their input channels alone join the same columns and channels.
    for column, output, count in {(patch.eo, patch.o0, patch.on) for patch in plan}:
        graph.add_edges_from((("column", column + k), ("output", output + k)) for k in range(count))
    of_columns, of_channels = largest.copy(), np.zeros(outputs)
    for component in nx.connected_components(graph):
        # An output channel adds up what its columns give: they need one step to be added without
        # rounding.
        columns = [index for side, index in component if side == "column"]
        top = largest[columns].max()
        of_columns[columns] = top
        of_channels[[index for side, index in component if side == "output"]] = top
    return of_columns, of_channels


def integer_steps(epitome: Array, scales: Array, bits: int) -> Array:
    """The epitome in steps of its columns, rounded half to even, int8 or, above 8 bits, int16.

    Args:
        epitome: float32 [Eo, Ei, Eh, Ew].
        scales: float32 [Eo].
        bits: Of a weight, at most 16.
    """
    result = np.empty(epitome.shape, np.int8 if bits <= 8 else np.int16)
    for part in arrays.pieces(len(epitome), epitome[0].size):
        # Piece by piece: in float64 all weights at once would take eight times the memory of the
        # result.
        steps = epitome[part].astype(np.float64) / scales[part].reshape(-1, 1, 1, 1)
        result[part] = quantization.nearest_weights(steps, bits)
    return result
