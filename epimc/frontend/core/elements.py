"""Operators of each element on tensors that are no values: done on the values that these are of."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import wraps
from typing import TypeAlias

import numpy as np

from epimc.frontend.core.bindings import Array, Binding, MoreDims
from epimc.frontend.core.emitter import Emitter
from epimc.frontend.core.node import UnsupportedError
from epimc.frontend.core.views import bound, required, row_major, view_of, with_axes
from epimc.ir.core.op import ANY_RANK, Value
from epimc.ir.core.types import LARGEST_RANK

Shape = tuple[int, ...]
OfValues: TypeAlias = Callable[[Emitter], Value]
OfTensors: TypeAlias = Callable[[Emitter], "Value | MoreDims"]


def by_element(importer: OfValues) -> OfTensors:
    """Let an importer of values take tensors of more axes, or without one of the samples.

    Its operator must compute each element by itself, of inputs that are broadcast.
    """

    @wraps(importer)
    def of_tensors(node: Emitter) -> Value | MoreDims:
        views = [item for item in node.inputs if isinstance(item, MoreDims)]
        if not views:
            return importer(node)
        others = [item for item in node.inputs if not isinstance(item, MoreDims)]
        rank = len(views[0].full_shape(node.batch))
        same = {(view.source.type.shape, view.dims, view.full_shape(node.batch)) for view in views}
        if len(same) == 1 and all(_is_number(item, rank) for item in others):
            # Where an element stands does not matter, as long as all stand alike.
            inputs = tuple(_alike(item) for item in node.inputs)
            return replace(views[0], source=importer(replace(node, inputs=inputs)))
        return _of_groups(importer, node)

    return of_tensors


def _is_number(item: Binding | None, rank: int) -> bool:
    """Whether an operand is none, or one number that adds no axes to a rank."""
    return item is None or (isinstance(item, np.ndarray) and item.size == 1 and item.ndim <= rank)


def _alike(item: Binding | None) -> Binding | None:
    """What is computed for the elements of a tensor's value."""
    if isinstance(item, MoreDims):
        return item.source
    return item.reshape(()) if isinstance(item, np.ndarray) else item


def _of_groups(importer: OfValues, node: Emitter) -> Value | MoreDims:
    """The operator on values of which a dim is as many axes as are broadcast alike."""
    numbers = range(len(node.inputs))
    operands: list[Array | MoreDims | None] = []
    for k in numbers:
        item = node.inputs[k]
        operands.append(item if item is None or isinstance(item, np.ndarray) else view_of(node, k))
    shapes = [
        item.full_shape(node.batch) if isinstance(item, MoreDims) else item.shape
        for item in operands
        if item is not None
    ]
    if max(map(len, shapes)) > LARGEST_RANK:
        raise UnsupportedError(f"a tensor of more than {LARGEST_RANK} axes is not supported")
    full = np.broadcast_shapes(*shapes)
    # A batch of 1 may be no axis: then one stands before the others.
    common = full if full[:1] == (node.batch,) else (1, *full)
    groups = _groups([_aligned(shape, common) for shape in shapes], common)
    if len(groups) not in ANY_RANK:
        raise UnsupportedError(f"broadcasting to {[*full]} is not supported")
    inputs = tuple(_grouped(node, k, operands[k], common, groups) for k in numbers)
    result = importer(replace(node, inputs=inputs))
    fresh = row_major(result, node)
    return bound(node, with_axes(node, fresh, [fresh.dims], full))


def _aligned(shape: Sequence[int], common: Shape) -> Shape:
    return (*(1,) * (len(common) - len(shape)), *shape)


def _groups(shapes: list[Shape], common: Shape) -> list[range]:
    """Axes behind the samples' that are broadcast in the same operands, next to each other."""
    groups: list[range] = []
    last: list[bool] | None = None
    for axis in range(1, len(common)):
        repeated = [shape[axis] == 1 for shape in shapes]
        # An axis of one index belongs to any group.
        if groups and (common[axis] == 1 or repeated == last):
            groups[-1] = range(groups[-1].start, axis + 1)
        else:
            groups.append(range(axis, axis + 1))
        if common[axis] > 1:
            last = repeated
    return _spread(groups)


def _spread(groups: list[range]) -> list[range]:
    """As many groups as a value has dims at most: maps are streamed by rows, vectors are not."""
    long = next((k for k, group in enumerate(groups) if len(group) > 1), None)
    if long is None or len(groups) >= max(ANY_RANK):
        return groups
    first, *rest = groups[long], *groups[long + 1 :]
    return _spread([*groups[:long], first[:1], first[1:], *rest])


def _grouped(
    node: Emitter, index: int, item: Array | MoreDims | None, common: Shape, groups: list[range]
) -> Value | Array | None:
    """An operand with a dim for each group."""
    if item is None:
        return None
    own = item.full_shape(node.batch) if isinstance(item, MoreDims) else item.shape
    aligned = _aligned(own, common)
    shape = tuple(math.prod(aligned[axis] for axis in group) for group in groups)
    if isinstance(item, MoreDims):
        return required(node.part("operand", index), item, shape)
    return item.reshape(aligned[0], *shape)
