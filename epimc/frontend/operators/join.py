"""Importers of what puts maps together, and something around them: concatenations and pads."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import onnx

from epimc.frontend.core.bindings import Binding, MoreDims, Padded
from epimc.frontend.core.broadcast import constant_value
from epimc.frontend.core.emitter import Emitter
from epimc.frontend.core.moving import reshaped, selected
from epimc.frontend.core.node import UnsupportedError
from epimc.frontend.core.operator import operator
from epimc.frontend.core.views import bound, required, row_major, view_of, with_axes
from epimc.ir.core.op import Value
from epimc.ir.dialects import moves, nn
from epimc.ir.semantics.layouts import Runs, runs_of

# Where a place outside lies inside, by ONNX's name of the mode: (place, size).
MODES: Mapping[str, Callable[[int, int], int]] = {
    "reflect": lambda place, size: size - 1 - abs(size - 1 - abs(place)),
    "edge": lambda place, size: min(max(place, 0), size - 1),
    "wrap": lambda place, size: place % size,
}
# The least float16, which often stands for -inf, and all below.
LEAST_PAD = -65504.0
# Larger numbers stand for infinity, and leave no steps for what is padded.
LARGEST_PAD = 1e30


@operator("Concat", folds=True, more_dims=True)
def concat(node: Emitter) -> Value | MoreDims:
    """Along any axis but the samples', also with constants.

    Constants of zeros beside the channels of maps are padding; those without elements add nothing.
    """
    node = _without_empty(node)
    if any(isinstance(item, MoreDims) for item in node.inputs):
        return _of_views(node)
    values = [item for item in node.inputs if isinstance(item, Value)]
    rank = len(values[0].type.shape) + 1
    (axis,) = node.axes([node.integer("axis", 0)], rank)
    if axis == 0:
        raise UnsupportedError("concatenation of samples is not supported")
    zeros = [
        not isinstance(item, Value) and _is_zero(node, k) for k, item in enumerate(node.inputs)
    ]
    if axis == 1 and rank == 4 and len(values) + sum(zeros) == len(node.inputs):
        return _joined(node, values, zeros)
    parts = [
        item if isinstance(item, Value) else _constant(node, index)
        for index, item in enumerate(node.inputs)
    ]
    alone = len(parts) == 1
    return parts[0] if alone else node.emit(moves.Concat, parts, axis=axis - 1)


def _without_empty(node: Emitter) -> Emitter:
    """The node without inputs that have no elements."""
    kept = [k for k, item in enumerate(node.inputs) if not _is_empty(item)]
    proto = onnx.NodeProto()
    proto.CopyFrom(node.proto)
    proto.input[:] = [node.proto.input[k] for k in kept]
    return replace(node, proto=proto, inputs=tuple(node.inputs[k] for k in kept))


def _is_empty(item: Binding | None) -> bool:
    return isinstance(item, np.ndarray) and not item.size


def _of_views(node: Emitter) -> Value | MoreDims:
    """Of tensors of any rank: as matrices of what stands before and behind the axis."""
    views = [view_of(node, index) for index in range(len(node.inputs))]
    shapes = [view.full_shape(node.batch) for view in views]
    (axis,) = node.axes([node.integer("axis", 0)], len(shapes[0]))
    if axis == 0 and views[0].samples_first and node.batch != 1:
        raise UnsupportedError("concatenation of samples is not supported")
    full = (*shapes[0][:axis], sum(shape[axis] for shape in shapes), *shapes[0][axis + 1 :])
    parts: list[Value] = []
    for number, (view, shape) in enumerate(zip(views, shapes, strict=True)):
        before = math.prod(shape[:axis]) // (node.batch if view.samples_first else 1)
        around = before, shape[axis], math.prod(shape[axis + 1 :])
        parts.append(required(node.part("part", number), view, around))
    joined = row_major(node.emit(moves.Concat, parts, axis=1), node)
    return bound(node, with_axes(node, joined, [joined.dims], full))


def _is_zero(node: Emitter, index: int) -> bool:
    return not node.weights(index).any()


def _constant(node: Emitter, index: int) -> Value:
    """A constant of the concatenation as a value."""
    array = node.weights(index)
    if array.shape[0] != node.batch or not (array == array[:1]).all():
        raise UnsupportedError("a constant that differs from sample to sample is not supported")
    return constant_value(node, array[0].astype(np.float64), index)


def _joined(node: Emitter, values: list[Value], zeros: list[bool]) -> Value:
    """The maps, those beside zeros padded with as many channels."""
    sizes = [node.constant(k).shape[1] if zero else 0 for k, zero in enumerate(zeros)]
    places = [k for k, zero in enumerate(zeros) if not zero]
    parts: list[Value] = []
    for number, (value, place) in enumerate(zip(values, places, strict=True)):
        # Zeros belong to the value before them, those at the beginning to the first.
        end = places[number + 1] if number + 1 < len(places) else len(zeros)
        before = sum(sizes[:place]) if number == 0 else 0
        channels = before, sum(sizes[place:end])
        padded = node if len(values) == 1 else node.part("part", number)
        if any(channels):
            value = padded.emit(moves.Pad, [value], channels=channels)
        parts.append(value)
    return parts[0] if len(parts) == 1 else node.emit(moves.Concat, parts)


@operator("Pad", folds=True, parameters=(1, 2, 3))
def pad(node: Emitter) -> Value | Padded:
    """With a number, by reflection, with the edges or round about.

    What is padded negatively is cut off.  With -inf, or what stands for it, only before a MaxPool.
    """
    x, mode = node.activation(), node.text("mode", "constant")
    rank = len(x.type.shape) + 1
    widths = _pad_widths(node, rank)
    before, behind = widths[1:rank], widths[rank + 1 :]
    if widths[0] or widths[rank]:
        raise UnsupportedError("padding the batch is not supported")
    if any(b + e <= -size for b, e, size in zip(before, behind, x.type.shape, strict=True)):
        raise UnsupportedError(f"pads = {list(widths)} is not supported: nothing would be left")
    if not any(widths):
        return x
    node.require_room(s + b + e for s, b, e in zip(x.type.shape, before, behind, strict=True))
    if mode != "constant":
        return _mirrored(node, x, mode, before, behind)
    value = _number(node)
    if value <= LEAST_PAD:
        return _below_all(node, x, list(zip(before, behind, strict=True)), value)
    if not abs(value) < LARGEST_PAD:
        raise UnsupportedError(f"padding with {value:g} is not supported")
    sides = list(zip(before, behind, strict=True))
    grows = max(widths) > 0
    if min(widths) < 0:
        cut = [(max(-b, 0), max(-e, 0)) for b, e in sides]
        runs: list[Runs] = [
            runs_of(range(b, size - e)) if b or e else ()
            for (b, e), size in zip(cut, x.type.shape, strict=True)
        ]
        x = selected(node.part("cut") if grows else node, x, runs)
    around = [(max(b, 0), max(e, 0)) for b, e in sides]
    return _around(node, x, around, value) if grows else x


def _below_all(node: Emitter, x: Value, sides: list[tuple[int, int]], value: float) -> Padded:
    """Less than all elements around x."""
    shape = x.type.shape
    if len(shape) == 1 or sides[0] != (0, 0) or min(map(min, sides)) < 0:
        raise UnsupportedError(f"padding with {value:g} is supported around maps only")
    rows, columns = (*[(0, 0)] * (3 - len(shape)), *sides[1:])
    around = rows[0], columns[0], rows[1], columns[1]
    return Padded(x, around, value, node.location)


def _number(node: Emitter) -> float:
    """What is put around a value."""
    if not node.has_input(2):
        return node.number("value", 0.0)
    constant = node.constant(2)
    if constant.size != 1:
        raise UnsupportedError(
            f"padding with a value of shape {list(constant.shape)} is not supported"
        )
    return float(constant.ravel()[0])


def _around(node: Emitter, x: Value, sides: list[tuple[int, int]], value: float) -> Value:
    """A number around x: around x less the number, zeros."""
    shape = x.type.shape
    if len(shape) == 3:
        return _around_map(node, node, x, sides, value)
    # As a map whose dims behind the value's own are 1.
    x = reshaped(node.part("as_map"), x, (*shape, *(1,) * (3 - len(shape))))
    result = _around_map(node, node.part("padded"), x, [*sides, (0, 0), (0, 0)][:3], value)
    larger = tuple(size + b + e for size, (b, e) in zip(shape, sides, strict=True))
    return reshaped(node, result, larger)


def _around_map(
    node: Emitter, last: Emitter, x: Value, sides: list[tuple[int, int]], value: float
) -> Value:
    """A number around a map; `last` emits the map that results."""
    channels, rows, columns = sides
    pads = {"channels": channels, "pads": (rows[0], columns[0], rows[1], columns[1])}
    if value == 0:
        return last.emit(moves.Pad, [x], **pads)
    less = node.store(np.full(x.type.shape[0], -value), of=2, role="less")
    # Pads are zeros on the chip: shifted by the number, they are what is wanted.
    moved = node.part("less").emit(nn.Affine, [x], offset=less)
    padded = node.part("around").emit(moves.Pad, [moved], **pads)
    more = node.store(np.full(padded.type.shape[0], value), of=2, role="more")
    return last.emit(nn.Affine, [padded], offset=more)


def _mirrored(
    node: Emitter,
    x: Value,
    mode: str,
    before: tuple[int, ...],
    behind: tuple[int, ...],
) -> Value:
    """Elements of x around x."""
    if mode not in MODES:
        raise UnsupportedError(f"mode = {mode} is not supported")
    if min(*before, *behind) < 0:
        raise UnsupportedError(f"negative pads with mode = {mode} are not supported")
    runs: list[Runs] = []
    for first, last, size in zip(before, behind, x.type.shape, strict=True):
        if mode == "reflect" and max(first, last) >= size:
            raise UnsupportedError("a reflection of more than there is is not supported")
        numbers = [MODES[mode](place, size) for place in range(-first, size + last)]
        runs.append(runs_of(numbers) if first or last else ())
    return selected(node, x, runs)


def _pad_widths(node: Emitter, rank: int) -> tuple[int, ...]:
    """How much is added before each axis, then behind each."""
    pads = node.list_of("pads", 1)
    axes = node.list_of("axes", 3)
    places = node.axes(range(rank) if axes is None else axes, rank)
    if pads is None or len(pads) != 2 * len(places):
        raise UnsupportedError("pads that do not fit the axes are not supported")
    widths = [0] * 2 * rank
    for index, axis in enumerate(places):
        widths[axis], widths[axis + rank] = pads[index], pads[index + len(places)]
    return tuple(widths)
