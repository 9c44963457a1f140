"""Importers of the reductions."""

from __future__ import annotations

from typing import Any

import numpy as np

from epimc.frontend.core.emitter import Emitter
from epimc.frontend.core.node import UnsupportedError
from epimc.frontend.core.operator import operator
from epimc.ir.core.op import Op, Value
from epimc.ir.core.types import as_map
from epimc.ir.dialects import nn

# Ops to do one after the other, with their attributes.
Steps = list[tuple[type[Op], dict[str, Any]]]
# Rows and channels change places.
TURN = (1, 0, 2)


@operator(
    "ReduceMean",
    "ReduceMax",
    "ReduceMin",
    "ReduceSum",
    folds=True,
    doc="Over any axes but the samples'",
)
def reduce(node: Emitter) -> Value:
    """Means, sums, maxima and minima over any dims of the sample, as pools."""
    x = node.activation()
    rank, axes = len(x.type.shape) + 1, node.list_of("axes", 1)
    # No axes mean all of them, unless the node says that they mean none.
    if not axes and node.integer("noop_with_empty_axes", 0):
        return x
    over = {*node.axes(axes or range(rank), rank)}
    if 0 in over:
        raise UnsupportedError(f"reduction over axes {sorted(over)} is not supported")
    shape = tuple(1 if axis in over else size for axis, size in enumerate(x.type.shape, 1))
    if not node.integer("keepdims", 1):
        shape = tuple(size for axis, size in enumerate(shape, 1) if axis not in over)
    if not shape:
        raise UnsupportedError("keepdims = 0 with all axes is not supported")
    steps = _steps(node, x, sorted(over))
    # A step's result is a map, and the last one's may have other dims.
    source = as_map(x.type.shape)
    kept = tuple(1 if axis in _map_axes(over, rank) else s for axis, s in enumerate(source))
    if x.type.shape != source:
        steps.insert(0, (nn.Rearrange, _reshape(x.type.shape, source)))
    if shape != kept:
        steps.append((nn.Rearrange, _reshape(kept, shape)))
    for number, (kind, attributes) in enumerate(steps, 1):
        step = node if number == len(steps) else node.part("step", number)
        x = step.emit(kind, [x], **attributes)
    return x


def _map_axes(over: set[int], rank: int) -> set[int]:
    """Axes of the samples as dims of their maps."""
    return {2 if rank == 3 and axis == 2 else axis - 1 for axis in over}


def _reshape(source: tuple[int, ...], shape: tuple[int, ...]) -> dict[str, Any]:
    return {"perm": tuple(range(len(source))), "shape": shape}


def _steps(node: Emitter, x: Value, over: list[int]) -> Steps:
    """What is done with x as a map."""
    channels, height, width = as_map(x.type.shape)
    axes = _map_axes({*over}, len(x.type.shape) + 1)
    maximum = node.op_type in ("ReduceMax", "ReduceMin")
    pool = nn.MaxPool if maximum else nn.AveragePool
    steps: Steps = []
    kernel = (height if 1 in axes else 1, width if 2 in axes else 1)
    if axes & {1, 2}:
        steps.append((pool, {"kernel": kernel}))
    if 0 in axes:
        rows, columns = height // kernel[0], width // kernel[1]
        # Pools reduce rows and columns; channels take the place of rows for it.
        steps.append((nn.Rearrange, {"perm": TURN, "shape": (rows, channels, columns)}))
        steps.append((pool, {"kernel": (channels, 1)}))
        steps.append((nn.Rearrange, {"perm": TURN, "shape": (1, rows, columns)}))
    if node.op_type == "ReduceSum":
        count = kernel[0] * kernel[1] * (channels if 0 in axes else 1)
        # Behind the pool: the last step that is no rearrangement.
        place = len(steps) - (1 if 0 in axes else 0)
        outputs = rows if 0 in axes else channels
        steps.insert(place, _scaled(node, outputs, count, "count"))
    if node.op_type == "ReduceMin":
        outputs = 1 if 0 in axes else channels
        # A minimum is the maximum of the negative values, negated.
        steps.insert(0, _scaled(node, channels, -1, "minus"))
        steps.append(_scaled(node, outputs, -1, "minus"))
    return steps


def _scaled(
    node: Emitter, channels: int, factor: float, name: str
) -> tuple[type[Op], dict[str, Any]]:
    """A map times a number."""
    return nn.Affine, {"scale": node.store(np.full(channels, float(factor)), role=name)}
