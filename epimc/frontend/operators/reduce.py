"""Importers of the reductions."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from epimc.frontend.core.bindings import MoreDims
from epimc.frontend.core.emitter import Emitter
from epimc.frontend.core.functions import function_of
from epimc.frontend.core.node import UnsupportedError
from epimc.frontend.core.operator import operator
from epimc.frontend.core.views import axes_of, bound, required, row_major, view_of, with_axes
from epimc.ir.core.op import Op, Value
from epimc.ir.core.types import as_map
from epimc.ir.dialects import elementwise, nn
from epimc.ir.semantics.layouts import factors
from epimc.support.limits import LARGEST_WINDOW

# Ops to do one after the other, with their attributes.
Steps = list[tuple[type[Op], dict[str, Any]]]
# The sum of so many activations of 8 bits has no more than 32.
MOST_REDUCED = 2**22

# Rows and channels change places.
TURN = (1, 0, 2)


class Around(NamedTuple):
    """What a reduction does with each element before it sums, and with each sum.

    Attributes:
        before: The ONNX operator, of one number or of one and 2; empty for nothing.
        behind: The same.
    """

    before: str = ""
    behind: str = ""


AROUND: Mapping[str, Around] = {
    "ReduceL1": Around("Abs"),
    "ReduceL2": Around("Pow", "Sqrt"),
    "ReduceLogSum": Around("", "Log"),
    "ReduceSumSquare": Around("Pow"),
}


@operator(
    "ReduceMean",
    "ReduceMax",
    "ReduceMin",
    "ReduceSum",
    folds=True,
    doc="Over any axes but that of several samples",
    more_dims=True,
    parameters=(1,),
)
@operator(
    *AROUND,
    doc="Over any axes but that of several samples, with tables around the sum",
    more_dims=True,
    parameters=(1,),
)
def reduce(node: Emitter) -> Value | MoreDims:
    """Means, sums, maxima and minima over any dims of the sample, as pools."""
    view = view_of(node)
    full, axes = view.full_shape(node.batch), node.list_of("axes", 1)
    around = AROUND.get(node.op_type, Around())
    # No axes mean all of them, unless the node says that they mean none.
    if not axes and node.integer("noop_with_empty_axes", 0):
        if any(around):
            raise UnsupportedError("a reduction over no axes is not supported")
        return bound(node, view)
    over = {*node.axes(axes or range(len(full)), len(full))}
    if 0 in over and node.batch != 1:
        raise UnsupportedError(f"reduction over axes {sorted(over)} is not supported")
    shape = tuple(1 if axis in over else size for axis, size in enumerate(full))
    if not node.integer("keepdims", 1):
        shape = tuple(size for axis, size in enumerate(full) if axis not in over)
    x = node.inputs[0]
    largest = max((full[axis] for axis in over), default=1)
    if isinstance(x, Value) and 0 not in over and len(shape) > 1 and largest <= LARGEST_WINDOW:
        return _of_value(node, x, over, shape[1:])
    return _of_view(node, view, over, shape)


def _of_value(node: Emitter, x: Value, over: set[int], shape: tuple[int, ...]) -> Value:
    """Over dims of a value.

    Args:
        node: Of the reduction.
        x: What is reduced.
        over: The axes in ONNX.
        shape: Of the result's samples.
    """
    around = AROUND.get(node.op_type, Around())
    rank, source = len(x.type.shape) + 1, as_map(x.type.shape)
    steps = _steps(node, x, sorted(over))
    # A step's result is a map, and the last one's may have other dims.
    kept = tuple(1 if axis in _map_axes(over, rank) else s for axis, s in enumerate(source))
    if x.type.shape != source:
        steps.insert(0, (nn.Rearrange, _reshape(x.type.shape, source)))
    if around.before:
        steps.insert(0, _table(node, around.before))
    if around.behind:
        steps.append(_table(node, around.behind))
    if shape != kept:
        steps.append((nn.Rearrange, _reshape(kept, shape)))
    for number, (kind, attributes) in enumerate(steps, 1):
        step = node if number == len(steps) else node.part("step", number)
        x = step.emit(kind, [x], **attributes)
    return x


def _of_view(
    node: Emitter, view: MoreDims, over: set[int], shape: tuple[int, ...]
) -> Value | MoreDims:
    """Over axes of any tensor: what is reduced becomes the rows and columns of a map.

    Args:
        node: Of the reduction.
        view: What is reduced.
        over: The axes in ONNX.
        shape: Of the result in ONNX.
    """
    view, dims = axes_of(node, view)
    sizes = [*view.full_shape(node.batch)]
    if view.samples_first:
        # One of them: what is computed is a sample.
        sizes[0] = 1
    kept = [axis for axis in range(len(sizes)) if axis not in over]
    rows, columns = _sides(math.prod(sizes[axis] for axis in over))
    channels = math.prod(sizes[axis] for axis in kept)
    order = tuple(factor for axis in (*kept, *sorted(over)) for factor in dims[axis])
    operand = replace(view, dims=order, samples_first=True, shape=(channels, rows, columns))
    x = required(node.part("operand"), operand, operand.shape)
    means = _of_value(node.part("means"), x, {2, 3}, (channels, 1, 1))
    behind = factors(tuple(sizes[axis] for axis in kept), tuple(range(len(kept))))
    fresh = replace(row_major(means, node), samples_first=view.samples_first)
    return bound(node, with_axes(node, fresh, [behind], shape))


def _sides(elements: int) -> tuple[int, int]:
    """Rows and columns of a window of so many elements.

    Raises:
        UnsupportedError: There is none.
    """
    columns = max(size for size in range(1, LARGEST_WINDOW + 1) if elements % size == 0)
    rows = elements // columns
    if rows > LARGEST_WINDOW or elements > MOST_REDUCED:
        raise UnsupportedError(f"a reduction over {elements} elements is not supported")
    return (columns, 1) if rows == 1 else (rows, columns)


def _table(node: Emitter, op_type: str) -> tuple[type[Op], dict[str, Any]]:
    """A function of each element."""
    return elementwise.Function, {
        "model": node.store_bytes(function_of(op_type), role=op_type.lower())
    }


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
    if node.op_type == "ReduceSum" or node.op_type in AROUND:
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
