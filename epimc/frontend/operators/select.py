"""Importers of the operators that take some elements of a value, or take them several times."""

from __future__ import annotations

from epimc.frontend.core.broadcast import expanded
from epimc.frontend.core.emitter import Emitter
from epimc.frontend.core.moving import reshaped, selected
from epimc.frontend.core.node import UnsupportedError
from epimc.frontend.core.operator import operator
from epimc.ir.core.op import Value
from epimc.ir.semantics.layouts import Runs, runs_of


def _dim(axis: int) -> int:
    """An axis of the samples as a dim of one sample."""
    if axis == 0:
        raise UnsupportedError("choosing samples is not supported")
    return axis - 1


def _stated_dim(node: Emitter, rank: int) -> int:
    """The axis of a node as a dim of one sample."""
    (axis,) = node.axes([node.integer("axis", 0)], rank)
    return _dim(axis)


@operator("Slice", folds=True)
def slice_(node: Emitter) -> Value:
    """Along any axes but the samples', with constant bounds and steps."""
    x = node.activation()
    starts, ends = node.list_of("starts", 1), node.list_of("ends", 2)
    if starts is None or ends is None:
        raise UnsupportedError("it has no starts or no ends")
    shape = (node.batch, *x.type.shape)
    axes = node.axes(node.list_of("axes", 3) or range(len(starts)), len(shape))
    steps = (node.list_of("steps", 4) if node.has_input(4) else None) or (1,) * len(starts)
    if not len(starts) == len(ends) == len(axes) == len(steps) or 0 in steps:
        raise UnsupportedError("bounds, axes and steps that do not fit together are not supported")
    runs: list[Runs] = [()] * len(x.type.shape)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        size = shape[axis]
        taken = _places(start, end, step, size)
        if taken == range(size):
            continue
        if not taken:
            raise UnsupportedError("an empty slice is not supported")
        runs[_dim(axis)] = runs_of(taken)
    return selected(node, x, runs)


def _places(start: int, end: int, step: int, size: int) -> range:
    """The indices of a slice, its bounds clamped as ONNX has it, and not as Python."""
    low, high = (0, size) if step > 0 else (-1, size - 1)
    first, last = (bound + size if bound < 0 else bound for bound in (start, end))
    return range(min(max(first, 0), high), min(max(last, low), high), step)


@operator("Split", folds=True, all_results=True)
def split(node: Emitter) -> list[Value]:
    """Along any axis but the samples'."""
    x = node.activation()
    rank, names = len(x.type.shape) + 1, node.proto.output
    dim = _stated_dim(node, rank)
    size, count = x.type.shape[dim], len(names)
    share = -(-size // count)
    sizes = node.list_of("split", 1) or (*(share,) * (count - 1), size - share * (count - 1))
    if len(sizes) != count or sum(sizes) != size or min(sizes) < 1:
        raise UnsupportedError(f"parts of {list(sizes)} of {size} are not supported")
    values: list[Value] = []
    for number, part in enumerate(sizes):
        runs: list[Runs] = [()] * (rank - 1)
        if part < size:
            first = sum(sizes[:number])
            runs[dim] = runs_of(range(first, first + part))
        values.append(selected(node.output(number), x, runs))
    return values


@operator("Gather", folds=True)
def gather(node: Emitter) -> Value:
    """Along any axis but the samples', with constant indices."""
    x, indices = node.activation(), node.constant(1)
    rank = len(x.type.shape) + 1
    dim = _stated_dim(node, rank)
    if indices.ndim > 1:
        raise UnsupportedError(f"indices of shape {list(indices.shape)} are not supported")
    if indices.ndim == 0 and rank == 2:
        raise UnsupportedError("choosing one element of a vector is not supported")
    size = x.type.shape[dim]
    numbers = [int(number) for number in indices.ravel()]
    if not numbers or not all(-size <= number < size for number in numbers):
        raise UnsupportedError(f"indices of {numbers[:4]} of {size} are not supported")
    runs: list[Runs] = [()] * (rank - 1)
    taken = [number % size for number in numbers]
    if taken != list(range(size)):
        runs[dim] = runs_of(taken)
    if indices.ndim:
        return selected(node, x, runs)
    one = selected(node.part("kept"), x, runs)
    shape = tuple(s for axis, s in enumerate(one.type.shape) if axis != dim)
    return reshaped(node, one, shape)


@operator("Expand", since=8, folds=True)
def expand(node: Emitter) -> Value:
    """Along dims of size 1, to a constant shape."""
    x, shape = node.activation(), node.result_shape
    if shape is None or shape[0] != node.batch:
        raise UnsupportedError("a shape that is not constant, or of more samples, is not supported")
    return expanded(node, x, shape[1:])


@operator("Tile", folds=True)
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
