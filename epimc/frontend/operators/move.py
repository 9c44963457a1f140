"""Importers of the operators that compute nothing."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from epimc.frontend.moving import rearranged
from epimc.frontend.nodes import Context, Node, UnsupportedError, importer
from epimc.frontend.shapes import Folded
from epimc.ir.core.module import ANY_RANK, Value
from epimc.ir.dialects import moves, nn
from epimc.ir.semantics.layouts import cut, expressed, factors, joined, runs_of


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


# The operators that take and make tensors of more than three dims a sample.
TAKING_MORE_DIMS = ("Flatten", "Reshape", "Squeeze", "Transpose", "Unsqueeze")


@importer("Flatten", "Reshape", "Squeeze", "Unsqueeze")
def reshape(node: Node, context: Context) -> Value | Folded:
    """Other shapes of the same elements, sample by sample."""
    x, shape = _folded(node), node.result_shape
    if shape is None:
        raise UnsupportedError("a shape that is not constant is not supported")
    whole = shape[:1] == (context.batch,)
    if whole and len(shape) - 1 > max(ANY_RANK):
        return replace(x, shape=shape[1:])
    found = settled(node, context, x, shape[1:]) if whole and len(shape) > 1 else None
    if found is None:
        before = [context.batch, *x.shape]
        raise UnsupportedError(f"changing the shape {before} to {list(shape)} is not supported")
    return found


def _folded(node: Node) -> Folded:
    """The operand, a value as well, as elements in an order; with the node among its nodes."""
    x = node.inputs[0]
    if isinstance(x, Folded):
        return replace(x, location=x.location + node.location)
    value = node.activation()
    shape = value.type.shape
    return Folded(value, factors(shape, tuple(range(len(shape)))), shape, node.location)


def settled(node: Node, context: Context, x: Folded, shape: tuple[int, ...]) -> Value | None:
    """The value of a shape of at most three dims: rearranged, or its channels chosen anew.

    None where it takes more than one of them.
    """
    source = x.source
    move = expressed(joined(x.dims), source.type.shape, shape)
    if move is not None:
        result = rearranged(node, context, source, move.perm, shape)
    else:
        channels = _channels(x, shape)
        if channels is None:
            return None
        result = context.emit(moves.Select, node, [source], channels=runs_of(channels))
    if result is not source:
        context.module.ops[-1].location = x.location
    return result


def _channels(x: Folded, shape: tuple[int, ...]) -> list[int] | None:
    """The channels of the source that a map consists of, where rows and columns stay as they are.

    It is how channels are shuffled.
    """
    own, dims = x.source.type.shape, cut(x.dims, shape)
    if dims is None or len(own) != 3 or own[1:] != shape[1:]:
        return None
    places = factors(own, (0, 1, 2))
    if joined((*dims[1], *dims[2])) != joined(places[1:]):
        return None
    numbers = np.zeros(1, np.int64)
    for size, stride in dims[0]:
        numbers = np.add.outer(numbers, np.arange(size) * (stride // places[0][1])).ravel()
    return [int(number) for number in numbers]


@importer("Transpose")
def transpose(node: Node, context: Context) -> Value | Folded:
    """Any order of dims that keeps the samples' first."""
    x = _folded(node)
    axes = range(len(x.shape) + 1)
    perm = node.integers("perm", tuple(reversed(axes)))
    if perm[0] != 0 or sorted(perm) != list(axes):
        raise UnsupportedError(f"perm = {list(perm)} is not supported: it moves the samples' axis")
    order = tuple(axis - 1 for axis in perm[1:])
    shape = tuple(x.shape[axis] for axis in order)
    if not isinstance(node.inputs[0], Folded):
        return rearranged(node, context, x.source, order, shape)
    dims = cut(x.dims, x.shape)
    if dims is None:
        raise UnsupportedError(f"perm = {list(perm)} on {list(x.shape)} is not supported")
    return replace(x, dims=tuple(dim for axis in order for dim in dims[axis]), shape=shape)


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
