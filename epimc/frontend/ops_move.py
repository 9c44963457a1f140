"""Importers of the operators that compute nothing."""

from __future__ import annotations

from epimc.frontend.nodes import Context, Node, UnsupportedError, importer
from epimc.ir.core import Value
from epimc.ir.dialects import moves, nn


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
def flatten(node: Node, context: Context) -> Value:
    """Feature maps to vectors or to [K, 1, 1], and vectors to that; nothing else."""
    x, shape = node.activation(), node.result_shape
    if shape is None:
        raise UnsupportedError("a shape that is not constant is not supported")
    if shape == (context.batch, *x.type.shape):
        return x
    size = context.batch, x.type.size
    if shape not in (size, (*size, 1, 1)):
        found = [context.batch, *x.type.shape]
        raise UnsupportedError(f"changing the shape {found} to {list(shape)} is not supported")
    return context.emit(nn.Flatten, node, [x], rank=len(shape) - 1)


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
