"""Importers of functions of each element."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from epimc.frontend.broadcast import channel_axis, of_sample, reduced, turned, turned_back
from epimc.frontend.nodes import Context, Node, UnsupportedError, importer
from epimc.ir.core.module import Value
from epimc.ir.dialects import elementwise
from epimc.ir.semantics.functions import FUNCTIONS

# The function of each ONNX operator, and what ONNX calls its parameters; the defaults agree.
OPERATORS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "Abs": ("abs", ()),
    "Celu": ("celu", ("alpha",)),
    "Elu": ("elu", ("alpha",)),
    "Erf": ("erf", ()),
    "Exp": ("exp", ()),
    "HardSigmoid": ("hard_sigmoid", ("alpha", "beta")),
    "HardSwish": ("hard_swish", ()),
    "LeakyRelu": ("leaky_relu", ("alpha",)),
    "Mish": ("mish", ()),
    "Selu": ("selu", ("alpha", "gamma")),
    "Sigmoid": ("sigmoid", ()),
    "Softplus": ("softplus", ()),
    "Softsign": ("softsign", ()),
    "Tanh": ("tanh", ()),
    "ThresholdedRelu": ("thresholded_relu", ("alpha",)),
}


@importer(*OPERATORS)
def activation(node: Node, context: Context) -> Value:
    """A function with parameters that are attributes."""
    function, keys = OPERATORS[node.op_type]
    given = {
        name: value
        for key, (name, default) in zip(keys, FUNCTIONS[function].parameters, strict=True)
        if (value := node.number(key, default)) != default
    }
    x = node.activation()
    return context.emit(elementwise.Activation, node, [x], function=function, **given)


@importer("Gelu")
def gelu(node: Node, context: Context) -> Value:
    """Exact, or approximated by tanh."""
    mode = node.text("approximate", "none")
    if mode not in ("none", "tanh"):
        raise UnsupportedError(f"approximate = {mode} is not supported")
    function = "gelu" if mode == "none" else "gelu_tanh"
    return context.emit(elementwise.Activation, node, [node.activation()], function=function)


@importer("PRelu")
def prelu(node: Node, context: Context) -> Value:
    """A leaky relu with a constant slope, or with one for each index along one dim."""
    x = node.activation()
    shape = x.type.shape
    slopes = reduced(of_sample(node.weights(1), shape, context.batch), shape)
    axis = channel_axis(slopes, shape)
    if axis is None:
        raise UnsupportedError("slopes that differ along several axes are not supported")
    whole = np.array(np.broadcast_to(slopes.ravel(), (shape[axis],)))
    alphas = context.store(node.input_name(1), whole)
    given = {"function": "leaky_relu", "alphas": alphas}
    suffix = ".turned" if axis else ""
    turned_x = turned(node, context, x, axis)
    result = context.emit(elementwise.Activation, node, [turned_x], suffix, **given)
    return turned_back(node, context, result, axis)


@importer("Clip")
def clip(node: Node, context: Context) -> Value:
    """Constant bounds, which may be left out."""
    low, high = _bound(node, "min", 1), _bound(node, "max", 2)
    if low is not None and high is not None:
        low = min(low, high)
    return context.emit(elementwise.Clip, node, [node.activation()], low=low, high=high)


def _bound(node: Node, key: str, index: int) -> float | None:
    """A bound, None where it is absent or beyond all numbers of float32."""
    limit = float(np.finfo(np.float32).max)
    if node.has_input(index):
        given = node.constant(index)
        if given.size != 1:
            raise UnsupportedError(f"{key} of shape {list(given.shape)} is not supported")
        value = float(given.ravel()[0])
    else:
        value = node.number(key, limit)
    if np.isnan(value):
        raise UnsupportedError(f"{key} = nan is not supported")
    return value if abs(value) < limit else None
