"""Importers of the operators that take some elements of a value, or take them several times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from epimc.frontend.core.bindings import MoreDims
from epimc.frontend.core.broadcast import expanded
from epimc.frontend.core.emitter import Emitter
from epimc.frontend.core.moving import reshaped, selected
from epimc.frontend.core.node import UnsupportedError
from epimc.frontend.core.operator import operator
from epimc.frontend.core.views import bound, taken, view_of, with_axes
from epimc.ir.core.op import Value
from epimc.ir.semantics.layouts import Runs, runs_of


def _dim(axis: int) -> int:
    """An axis of the samples as a dim of one sample."""
    if axis == 0:
        raise UnsupportedError("choosing samples is not supported")
    return axis - 1


@operator("Slice", folds=True, more_dims=True, parameters=(1, 2, 3, 4))
def slice_(node: Emitter) -> Value | MoreDims:
    """Along any axes but the samples', with constant bounds and steps."""
    x = view_of(node)
    starts, ends = node.list_of("starts", 1), node.list_of("ends", 2)
    if starts is None or ends is None:
        raise UnsupportedError("it has no starts or no ends")
    shape = x.full_shape(node.batch)
    axes = node.axes(node.list_of("axes", 3) or range(len(starts)), len(shape))
    steps = (node.list_of("steps", 4) if node.has_input(4) else None) or (1,) * len(starts)
    if not len(starts) == len(ends) == len(axes) == len(steps) or 0 in steps:
        raise UnsupportedError("bounds, axes and steps that do not fit together are not supported")
    places: dict[int, Sequence[int]] = {}
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        size = shape[axis]
        numbers = _places(start, end, step, size)
        if numbers == range(size):
            continue
        if not numbers:
            raise UnsupportedError("an empty slice is not supported")
        places[axis] = numbers
    return _chosen(node, x, places)


def _chosen(node: Emitter, x: MoreDims, places: Mapping[int, Sequence[int]]) -> Value | MoreDims:
    """The indices of some axes; x itself for all."""
    if isinstance(node.inputs[0], MoreDims):
        return bound(node, taken(node, x, places))
    return _of_value(node, x, places)


def _of_value(node: Emitter, x: MoreDims, places: Mapping[int, Sequence[int]]) -> Value:
    """The same of a value."""
    runs: list[Runs] = [()] * len(x.shape)
    for axis, numbers in places.items():
        runs[_dim(axis)] = runs_of(numbers)
    return selected(node, x.source, runs)


def _places(start: int, end: int, step: int, size: int) -> range:
    """The indices of a slice, its bounds clamped as ONNX has it, and not as Python."""
    low, high = (0, size) if step > 0 else (-1, size - 1)
    first, last = (bound + size if bound < 0 else bound for bound in (start, end))
    return range(min(max(first, 0), high), min(max(last, low), high), step)


@operator("Split", folds=True, all_results=True, more_dims=True, parameters=(1,))
def split(node: Emitter) -> list[Value | MoreDims]:
    """Along any axis but the samples'."""
    x = view_of(node)
    shape, names = x.full_shape(node.batch), node.proto.output
    axis = _stated_axis(node, x)
    size, count = shape[axis], len(names)
    share = -(-size // count)
    sizes = node.list_of("split", 1) or (*(share,) * (count - 1), size - share * (count - 1))
    if len(sizes) != count or sum(sizes) != size or min(sizes) < 1:
        raise UnsupportedError(f"parts of {list(sizes)} of {size} are not supported")
    values: list[Value | MoreDims] = []
    for number, part in enumerate(sizes):
        first = sum(sizes[:number])
        places = {axis: range(first, first + part)} if part < size else {}
        values.append(_chosen(node.output(number), x, places))
    return values


def _stated_axis(node: Emitter, x: MoreDims) -> int:
    """The axis of a node.

    Raises:
        UnsupportedError: It is that of the samples.
    """
    (axis,) = node.axes([node.integer("axis", 0)], len(x.full_shape(node.batch)))
    if axis == 0 and node.batch != 1:
        raise UnsupportedError("choosing samples is not supported")
    return axis


@operator("Gather", folds=True, more_dims=True)
def gather(node: Emitter) -> Value | MoreDims:
    """Along any axis but the samples', with constant indices."""
    x, indices = view_of(node), node.constant(1)
    full = x.full_shape(node.batch)
    axis = _stated_axis(node, x)
    size = full[axis]
    numbers = [int(number) for number in indices.ravel()]
    if not numbers or not all(-size <= number < size for number in numbers):
        raise UnsupportedError(f"indices of {numbers[:4]} of {size} are not supported")
    chosen = [number % size for number in numbers]
    places = {} if chosen == list(range(size)) else {axis: chosen}
    if indices.ndim == 1 and axis > 0:
        return _chosen(node, x, places)
    shape = (*full[:axis], *indices.shape, *full[axis + 1 :])
    if isinstance(node.inputs[0], MoreDims) or axis == 0 or not 2 <= len(shape) <= 4:
        result = taken(node, x, places)
        return bound(node, with_axes(node, result, [result.dims], shape))
    one = _of_value(node.part("kept"), x, places)
    return reshaped(node, one, shape[1:])


@operator("Expand", since=8, folds=True, parameters=(1,))
def expand(node: Emitter) -> Value:
    """Along dims of size 1, to a constant shape."""
    x, shape = node.activation(), node.result_shape
    if shape is None or shape[0] != node.batch:
        raise UnsupportedError("a shape that is not constant, or of more samples, is not supported")
    return expanded(node, x, shape[1:])


@operator("Tile", folds=True, parameters=(1,))
def tile(node: Emitter) -> Value:
    """Along any axes but the samples'."""
    x = node.activation()
    repeats = [int(number) for number in node.constant(1).ravel()]
    if len(repeats) != len(x.type.shape) + 1 or repeats[0] != 1 or min(repeats) < 1:
        raise UnsupportedError(f"repeats = {repeats} is not supported")
    node.require_room(size * count for size, count in zip(x.type.shape, repeats[1:], strict=True))
    runs: list[Runs] = [
        runs_of(range(size)) * count if count > 1 else ()
        for size, count in zip(x.type.shape, repeats[1:], strict=True)
    ]
    return selected(node, x, runs)
