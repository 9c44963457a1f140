"""Importers of the operators that compute nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx

from epimc.frontend.core.bindings import MoreDims, Padded, element_of
from epimc.frontend.core.emitter import Emitter
from epimc.frontend.core.moving import rearranged
from epimc.frontend.core.node import UnsupportedError
from epimc.frontend.core.operator import operator
from epimc.ir.core.op import ANY_RANK, Value
from epimc.ir.dialects import moves, nn
from epimc.ir.semantics.layouts import cut, expressed, factors, joined, runs_of


@operator("Identity", folds=True)
def identity(node: Emitter) -> Value:
    """Computes nothing."""
    return node.activation()


@operator("Cast", folds=True)
def cast(node: Emitter) -> Value:
    """To the type that the tensor has; of constants to any type."""
    return _cast(node, node.integer("to", 0))


@operator("CastLike", since=15, folds=True)
def cast_like(node: Emitter) -> Value:
    """To the type that the tensor has; of constants to any type."""
    other = node.inputs[1]
    if not isinstance(other, np.ndarray):
        # Values are float32.
        return node.activation()
    return _cast(node, element_of(other))


def _cast(node: Emitter, element: int) -> Value:
    if element != onnx.TensorProto.FLOAT:
        name = onnx.TensorProto.DataType.Name(element).lower()
        raise UnsupportedError(f"a computed tensor as {name} is not supported")
    return node.activation()


@operator("Dropout")
def dropout(node: Emitter) -> Value:
    """In inference, where it drops nothing."""
    training = node.inputs[2] if node.is_constant(2) else False
    if training or (node.has_input(2) and not node.is_constant(2)):
        raise UnsupportedError("training_mode is not supported")
    return node.activation()


@operator(
    "Flatten",
    "Reshape",
    "Squeeze",
    "Unsqueeze",
    folds=True,
    more_dims=True,
    doc="Of samples of one to three dims, also by way of more",
)
def reshape(node: Emitter) -> Value | MoreDims:
    """Other shapes of the same elements, sample by sample."""
    x, shape = _with_more_dims(node), node.result_shape
    if shape is None:
        raise UnsupportedError("a shape that is not constant is not supported")
    keeps_samples = shape[:1] == (node.batch,)
    if keeps_samples and len(shape) - 1 > max(ANY_RANK):
        return replace(x, shape=shape[1:])
    result = settled(node, x, shape[1:]) if keeps_samples and len(shape) > 1 else None
    if result is None:
        before = [node.batch, *x.shape]
        raise UnsupportedError(f"changing the shape {before} to {list(shape)} is not supported")
    return result


def _with_more_dims(node: Emitter) -> MoreDims:
    """The operand, a value as well, as elements in an order; with the node among its nodes."""
    x = node.inputs[0]
    if isinstance(x, MoreDims) and not isinstance(x, Padded):
        return replace(x, location=x.location + node.location)
    value = node.activation()
    shape = value.type.shape
    return MoreDims(value, factors(shape, tuple(range(len(shape)))), shape, node.location)


def settled(node: Emitter, x: MoreDims, shape: tuple[int, ...]) -> Value | None:
    """The value of a shape of at most three dims: rearranged, or its channels chosen anew.

    None where it takes more than one of them.
    """
    source, emitter = x.source, node.standing_for(x.location)
    move = expressed(joined(x.dims), source.type.shape, shape)
    if move is not None:
        return rearranged(emitter, source, move.perm, shape)
    channels = _channels(x, shape)
    if channels is None:
        return None
    return emitter.emit(moves.Select, [source], channels=runs_of(channels))


def _channels(x: MoreDims, shape: tuple[int, ...]) -> list[int] | None:
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


@operator("Transpose", folds=True, more_dims=True)
def transpose(node: Emitter) -> Value | MoreDims:
    """Any order of axes that keeps the samples' first."""
    x = _with_more_dims(node)
    axes = range(len(x.shape) + 1)
    perm = node.integers("perm", tuple(reversed(axes)))
    if perm[0] != 0 or sorted(perm) != list(axes):
        raise UnsupportedError(f"perm = {list(perm)} is not supported: it moves the samples' axis")
    order = tuple(axis - 1 for axis in perm[1:])
    shape = tuple(x.shape[axis] for axis in order)
    # A value has at most three dims: one op does any order of them.
    if not isinstance(node.inputs[0], MoreDims):
        return rearranged(node, x.source, order, shape)
    dims = cut(x.dims, x.shape)
    if dims is None:
        raise UnsupportedError(f"perm = {list(perm)} on {list(x.shape)} is not supported")
    return replace(x, dims=tuple(dim for axis in order for dim in dims[axis]), shape=shape)
