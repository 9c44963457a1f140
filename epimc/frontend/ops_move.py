"""Importers of the operators that compute nothing."""

from __future__ import annotations

import math

from epimc.frontend.nodes import Context, Node, UnsupportedError, importer
from epimc.ir.core import ANY_RANK, Value
from epimc.ir.dialects import nn
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
