"""Importers of the operators that compute nothing."""

from __future__ import annotations

import math

from epimc.frontend.core.bindings import MoreDims
from epimc.frontend.core.elements import by_element
from epimc.frontend.core.emitter import Emitter
from epimc.frontend.core.moving import rearranged
from epimc.frontend.core.node import UnsupportedError
from epimc.frontend.core.operator import operator
from epimc.frontend.core.views import axes_of, bound, view_of, with_axes
from epimc.ir.core.op import Value
from epimc.ir.dialects import nn


@operator("Identity", folds=True, more_dims=True)
@by_element
def identity(node: Emitter) -> Value:
    """Computes nothing."""
    return node.activation()


@operator("Dropout", more_dims=True)
@by_element
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
    """Other shapes of the same elements, sample by sample; a batch of 1 is a dim like others."""
    x, shape = view_of(node), node.result_shape
    if shape is None:
        raise UnsupportedError("a shape that is not constant is not supported")
    return bound(node, with_axes(node, x, [x.dims], shape))


@operator("Transpose", folds=True, more_dims=True)
def transpose(node: Emitter) -> Value | MoreDims:
    """Any order of axes that keeps the samples' first, or any at all of a batch of 1."""
    x = view_of(node)
    full = x.full_shape(node.batch)
    axes = range(len(full))
    perm = node.integers("perm", tuple(reversed(axes)))
    if sorted(perm) != list(axes):
        raise UnsupportedError(f"perm = {list(perm)} is not supported")
    if node.batch != 1 and perm[:1] != (0,):
        raise UnsupportedError(f"perm = {list(perm)} is not supported: it moves the samples' axis")
    shape = tuple(full[axis] for axis in perm)
    # A value has at most three dims: one op does any order of them.
    if not isinstance(node.inputs[0], MoreDims) and perm[0] == 0:
        return rearranged(node, x.source, tuple(axis - 1 for axis in perm[1:]), shape[1:])
    x, dims = axes_of(node, x)
    return bound(node, with_axes(node, x, [dims[axis] for axis in perm], shape))


@operator("Softmax")
def softmax(node: Emitter) -> Value:
    """On the host, along any axis but the samples'.

    Before opset 13 it is over all axes from one on.
    """
    x = node.activation()
    rank, old = len(x.type.shape) + 1, node.opset < 13
    axis = node.integer("axis", 1 if old else -1)
    axis += rank if axis < 0 else 0
    if not 0 < axis < rank:
        raise UnsupportedError("a softmax over the samples is not supported")
    shape = x.type.shape
    # Dims of size 1 change no sum: often one dim is left, and nothing has to be moved.
    over = [k for k in range(axis - 1, len(shape)) if shape[k] > 1] if old else []
    if len(over) < 2:
        return node.emit(nn.Softmax, [x], axis=over[0] if over else axis - 1)
    outer, inner = math.prod(shape[: axis - 1]), math.prod(shape[axis - 1 :])
    flat = rearranged(node, x, tuple(range(len(shape))), (outer, inner))
    result = node.emit(nn.Softmax, [flat], axis=1)
    return rearranged(node, result, (0, 1), shape)
