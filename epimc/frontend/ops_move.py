"""Importers of the operators that compute nothing."""

from __future__ import annotations

from epimc.frontend.nodes import Context, Node, UnsupportedError, importer
from epimc.ir.core import Value
from epimc.ir.dialects import nn


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


@importer("Flatten", "Reshape", "Squeeze")
def flatten(node: Node, context: Context) -> Value:
    """Feature maps to vectors; other changes of shape are not supported."""
    x, shape = node.activation(), node.result_shape
    if shape is None:
        raise UnsupportedError("a shape that is not constant is not supported")
    if shape == (context.batch, *x.type.shape):
        return x
    if shape != (context.batch, x.type.size):
        found = [context.batch, *x.type.shape]
        raise UnsupportedError(f"changing the shape {found} to {list(shape)} is not supported")
    return context.emit(nn.Flatten, node, [x])
