"""Importers of the operators that compute nothing."""

from __future__ import annotations

import numpy as np
import onnx

from epimc.frontend.core.bindings import MoreDims, element_of
from epimc.frontend.core.elements import by_element
from epimc.frontend.core.emitter import Emitter
from epimc.frontend.core.moving import rearranged
from epimc.frontend.core.node import UnsupportedError
from epimc.frontend.core.operator import operator
from epimc.frontend.core.steps import REALS
from epimc.frontend.core.views import axes_of, bound, view_of, with_axes
from epimc.ir.core.op import Value


@operator("Identity", folds=True, more_dims=True)
@by_element
def identity(node: Emitter) -> Value:
    """Computes nothing."""
    return node.activation()


@operator("Cast", folds=True, more_dims=True)
@by_element
def cast(node: Emitter) -> Value:
    """From floats to floats, of constants to any type."""
    return _cast(node, node.integer("to", 0))


@operator("CastLike", since=15, folds=True)
def cast_like(node: Emitter) -> Value:
    """From floats to floats, of constants to any type."""
    other = node.inputs[1]
    if not isinstance(other, np.ndarray):
        # What the chip takes are floats.
        return node.activation()
    return _cast(node, element_of(other))


def _cast(node: Emitter, element: int) -> Value:
    if element not in REALS:
        name = onnx.TensorProto.DataType.Name(element).lower()
        raise UnsupportedError(f"a computed tensor as {name} is not supported")
    return node.activation()


@operator("Dropout", more_dims=True, parameters=(1, 2))
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
    parameters=(1,),
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
