"""Importers of the operators that compute nothing."""

from __future__ import annotations

import math

from epimc.frontend.nodes import Context, Node, UnsupportedError, importer
from epimc.ir.core import ANY_RANK, Value
from epimc.ir.dialects import moves, nn
from epimc.layouts import Rearrangement


@importer("Identity")
def identity(node: Node, context: Context) -> Value:
    """Nothing."""
    return node.activation()


@importer("Dropout")
def dropout(node: Node, context: Context) -> Value:
    """Nothing: in inference it drops nothing."""
    training = node.inputs[2] if node.is_constant(2) else False
    if training or (node.has_input(2) and not node.is_constant(2)):
        raise UnsupportedError("training_mode is not supported")
    return node.activation()


@importer("Flatten", "Reshape", "Squeeze", "Unsqueeze")
def reshape(node: Node, context: Context) -> Value:
    """Other shapes of the same elements, sample by sample."""
    x, shape = node.activation(), node.result_shape
    if shape is None:
        raise UnsupportedError("a shape that is not constant is not supported")
    if shape[:1] != (context.batch,) or len(shape) - 1 not in ANY_RANK:
        found = [context.batch, *x.type.shape]
        raise UnsupportedError(f"changing the shape {found} to {list(shape)} is not supported")
    return rearranged(node, context, x, tuple(range(len(x.type.shape))), shape[1:])


@importer("Transpose")
def transpose(node: Node, context: Context) -> Value:
    """Any order of dims that keeps the samples' first."""
    x = node.activation()
    axes = range(len(x.type.shape) + 1)
    perm = node.integers("perm", tuple(reversed(axes)))
    if perm[0] != 0 or sorted(perm) != list(axes):
        raise UnsupportedError(f"perm = {list(perm)} is not supported: it moves the samples' axis")
    order = tuple(axis - 1 for axis in perm[1:])
    return rearranged(node, context, x, order, tuple(x.type.shape[axis] for axis in order))


def rearranged(
    node: Node, context: Context, x: Value, perm: tuple[int, ...], shape: tuple[int, ...]
) -> Value:
    """The rearranged value; x itself where nothing changes."""
    if Rearrangement(x.type.shape, perm, shape).is_identity:
        return x
    return context.emit(nn.Rearrange, node, [x], perm=perm, shape=shape)


@importer("Concat")
def concat(node: Node, context: Context) -> Value:
    """Along the channels, or vectors; constants must be 0 and become padding."""
    values = [item for item in node.inputs if isinstance(item, Value)]
    rank = len(values[0].type.shape) + 1
    axis = node.integer("axis", 0) % rank
    if axis != 1:
        raise UnsupportedError(f"concatenation along axis {axis} is not supported")
    zeros = 0
    parts: list[tuple[Value, int, int]] = []
    for index, item in enumerate(node.inputs):
        if isinstance(item, Value):
            parts.append((item, zeros if not parts else 0, 0))
            continue
        if node.weights(index).any():
            raise UnsupportedError("concatenation with a constant that is not 0 is not supported")
        size = node.constant(index).shape[1]
        if parts:
            parts[-1] = (*parts[-1][:2], parts[-1][2] + size)
        else:
            zeros += size
    alone = len(parts) == 1
    padded = [
        _padded(node, context, value, (before, after), "" if alone else f".part{number}")
        for number, (value, before, after) in enumerate(parts)
    ]
    return padded[0] if alone else context.emit(moves.Concat, node, padded)


def _padded(
    node: Node, context: Context, x: Value, channels: tuple[int, int], suffix: str
) -> Value:
    if channels == (0, 0):
        return x
    if len(x.type.shape) != 3:
        raise UnsupportedError("concatenation of vectors with constants is not supported")
    return context.emit(moves.Pad, node, [x], suffix, channels=channels)


@importer("Pad")
def pad(node: Node, context: Context) -> Value:
    """Zeros around a feature map."""
    x, mode = node.map(), node.text("mode", "constant")
    if mode != "constant":
        raise UnsupportedError(f"mode = {mode} is not supported")
    value = node.weights(2).ravel()[0] if node.has_input(2) else node.number("value", 0.0)
    if value != 0:
        raise UnsupportedError(f"padding with {value:g} is not supported")
    widths = _pad_widths(node)
    if min(widths) < 0:
        raise UnsupportedError(f"pads = {list(widths)} is not supported")
    first, before, top, left, last, after, bottom, right = widths
    if first or last:
        raise UnsupportedError("padding the batch is not supported")
    pads = top, left, bottom, right
    if not any(widths):
        return x
    return context.emit(moves.Pad, node, [x], channels=(before, after), pads=pads)


def _pad_widths(node: Node) -> tuple[int, ...]:
    """How much is added before each of the four axes, then behind each."""
    given = node.list_of("pads", 1)
    axes = node.list_of("axes", 3)
    places = range(4) if axes is None else [axis % 4 for axis in axes]
    if given is None or len(given) != 2 * len(places) or len({*places}) < len(places):
        raise UnsupportedError("pads that do not fit the axes are not supported")
    widths = [0] * 8
    for index, axis in enumerate(places):
        widths[axis], widths[axis + 4] = given[index], given[index + len(places)]
    return tuple(widths)


@importer("Softmax")
def softmax(node: Node, context: Context) -> Value:
    """Along any dim of the sample; before opset 13, over all dims from one on."""
    x = node.activation()
    rank, old = len(x.type.shape) + 1, context.opset < 13
    axis = node.integer("axis", 1 if old else -1)
    axis += rank if axis < 0 else 0
    if not 0 < axis < rank:
        raise UnsupportedError("a softmax over the samples is not supported")
    shape = x.type.shape
    over = [k for k in range(axis - 1, len(shape)) if shape[k] > 1] if old else []
    if len(over) < 2:
        return context.emit(nn.Softmax, node, [x], axis=over[0] if over else axis - 1)
    outer, inner = math.prod(shape[: axis - 1]), math.prod(shape[axis - 1 :])
    flat = rearranged(node, context, x, tuple(range(len(shape))), (outer, inner))
    result = context.emit(nn.Softmax, node, [flat], axis=1)
    return rearranged(node, context, result, (0, 1), shape)
