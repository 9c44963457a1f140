"""Weights to integers: the scales of an epitome's columns, and the epitome in steps of them."""

from __future__ import annotations

import networkx as nx
import numpy as np

from epimc.ir.core.op import Array
from epimc.ir.dialects import epi
from epimc.ir.epitome.plan import used
from epimc.ir.semantics import integers

# A channel whose weights are this much smaller than the layer's largest shares the scale of that
# floor: its weights count for nothing, and its multiplier would leave the 31 bits.
SMALLEST_RELATIVE_SCALE = 2.0**-20

# Below this, far above the end of float32, values are nearly always 0: any scale will do.
SMALLEST_STEP = 2.0**-100


def used_elements(epitome: Array, op: epi.Conv) -> Array:
    """The epitome with 0 wherever no patch uses it: that must not widen a scale."""
    eo, ei, eh, ew = epitome.shape
    mask = used(op.plan, (eo, ei, eh, ew), op.window.kernel)
    return epitome if mask.all() else np.where(mask, epitome, np.float32(0))


def column_scales(epitome: Array, op: epi.Conv, bits: int) -> tuple[Array, Array]:
    """Scales of the epitome's columns [Eo] and of the output channels [Cout], float32.

    Columns that feed a common output channel share a scale.
    """
    rows = epitome.reshape(len(epitome), -1)
    largest = np.maximum(rows.max(axis=1), -rows.min(axis=1)).astype(np.float64)
    graph: nx.Graph[tuple[str, int]] = nx.Graph()
    for patch in op.plan:
        for k in range(patch.on):
            graph.add_edge(("column", patch.eo + k), ("output", patch.o0 + k))
    outputs = np.zeros(op.shape[0])
    for component in nx.connected_components(graph):
        columns = [index for side, index in component if side == "column"]
        top = largest[columns].max()
        largest[columns] = top
        outputs[[index for side, index in component if side == "output"]] = top
    top = largest.max(initial=0)
    floor = top * SMALLEST_RELATIVE_SCALE if top >= SMALLEST_STEP else 1.0
    limit = integers.weight_limit(bits)
    scales = [np.maximum(tops, floor).astype(np.float32) / np.float32(limit)
              for tops in (largest, outputs)]  # fmt: skip
    return scales[0], scales[1]


def whole_steps(epitome: Array, scales: Array, bits: int) -> Array:
    """The epitome in steps of its columns, rounded half to even, int8.

    Args:
        epitome: float32 [Eo, Ei, Eh, Ew].
        scales: float32 [Eo].
        bits: Of a weight, at most 8.
    """
    limit = integers.weight_limit(bits)
    whole = np.empty(epitome.shape, np.int8)
    for part in integers.pieces(len(epitome), epitome[0].size):
        steps = epitome[part].astype(np.float64) / scales[part].reshape(-1, 1, 1, 1)
        whole[part] = np.clip(np.rint(steps), -limit, limit)
    return whole
