"""Importers of functions of each element."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import NamedTuple

import numpy as np

from epimc.frontend.core.broadcast import along_channels, channel_axis, of_sample, reduced
from epimc.frontend.core.elements import by_element
from epimc.frontend.core.emitter import Emitter
from epimc.frontend.core.jumps import has_jumps, refuse_jumps_of_floats
from epimc.frontend.core.node import UnsupportedError
from epimc.frontend.core.operator import operator
from epimc.frontend.model.standard import OLDEST_OPSET
from epimc.ir.core.op import Value
from epimc.ir.dialects import elementwise, nn
from epimc.ir.semantics.functions import FUNCTIONS


class OperatorFunction(NamedTuple):
    """The IR's function for an ONNX operator.

    Attributes:
        name: In the IR.
        keys: What ONNX calls its parameters; the defaults agree.
        since: As in the operator's record.
        folds: Whether it is evaluated where all inputs are constant.
    """

    name: str
    keys: tuple[str, ...] = ()
    since: int = OLDEST_OPSET
    folds: bool = False


OPERATORS: Mapping[str, OperatorFunction] = {
    "Abs": OperatorFunction("abs", folds=True),
    "Celu": OperatorFunction("celu", ("alpha",), since=12),
    "Elu": OperatorFunction("elu", ("alpha",)),
    "Erf": OperatorFunction("erf", since=9),
    "Exp": OperatorFunction("exp", folds=True),
    "HardSigmoid": OperatorFunction("hard_sigmoid", ("alpha", "beta")),
    "HardSwish": OperatorFunction("hard_swish", since=14),
    "LeakyRelu": OperatorFunction("leaky_relu", ("alpha",)),
    "Mish": OperatorFunction("mish", since=18),
    "Selu": OperatorFunction("selu", ("alpha", "gamma")),
    "Sigmoid": OperatorFunction("sigmoid"),
    "Softplus": OperatorFunction("softplus"),
    "Softsign": OperatorFunction("softsign"),
    "Tanh": OperatorFunction("tanh"),
    "ThresholdedRelu": OperatorFunction("thresholded_relu", ("alpha",), since=10),
}


@operator("Relu", folds=True, more_dims=True)
@by_element
def relu(node: Emitter) -> Value:
    """max(x, 0)."""
    return node.emit(nn.Relu, [node.activation()])


def activation(node: Emitter) -> Value:
    """A function of each element, with all its parameters."""
    function = OPERATORS[node.op_type]
    parameters = {
        name: value
        for key, (name, default) in zip(
            function.keys, FUNCTIONS[function.name].parameters, strict=True
        )
        if (value := node.number(key, default)) != default
    }
    x = node.activation()
    refuse_jumps_of_floats(node, x, lambda: _has_jumps(function.name, *parameters.items()))
    return node.emit(elementwise.Activation, [x], function=function.name, **parameters)


@cache
def _has_jumps(name: str, *stated: tuple[str, float]) -> bool:
    """Whether a function of the IR jumps, with some of its parameters stated."""
    function = FUNCTIONS[name]
    values = {**dict(function.parameters), **dict(stated)}
    numbers = [values[key] for key, _ in function.parameters]
    return has_jumps(lambda x: function.compute(x, *numbers))


for _op_type, _function in OPERATORS.items():
    _declared = operator(_op_type, since=_function.since, folds=_function.folds, more_dims=True)
    _declared(by_element(activation))


@operator("Gelu", since=20, more_dims=True)
@by_element
def gelu(node: Emitter) -> Value:
    """Exact, or approximated by tanh."""
    mode = node.text("approximate", "none")
    if mode not in ("none", "tanh"):
        raise UnsupportedError(f"approximate = {mode} is not supported")
    function = "gelu" if mode == "none" else "gelu_tanh"
    return node.emit(elementwise.Activation, [node.activation()], function=function)


@operator("PRelu", more_dims=True, parameters=(1,))
@by_element
def prelu(node: Emitter) -> Value:
    """A constant slope, or one for each index along one axis."""
    x = node.activation()
    shape = x.type.shape
    slopes = reduced(of_sample(node.weights(1), shape, node.batch), shape)
    axis = channel_axis(slopes, shape)
    if axis is None:
        raise UnsupportedError("slopes that differ along several axes are not supported")
    alphas = node.store(np.array(np.broadcast_to(slopes.ravel(), (shape[axis],))), of=1)
    kind = elementwise.Activation
    return along_channels(node, x, axis, kind, function="leaky_relu", alphas=alphas)


@operator("Clip", folds=True, more_dims=True, parameters=(1, 2))
@by_element
def clip(node: Emitter) -> Value:
    """Constant bounds, which may be left out."""
    low, high = _bound(node, "min", 1), _bound(node, "max", 2)
    if low is not None and high is not None:
        low = min(low, high)
    return node.emit(elementwise.Clip, [node.activation()], low=low, high=high)


def _bound(node: Emitter, key: str, index: int) -> float | None:
    """A bound, None where it is absent or beyond all numbers of float32."""
    limit = float(np.finfo(np.float32).max)
    if node.has_input(index):
        bound = node.constant(index)
        if bound.size != 1:
            raise UnsupportedError(f"{key} of shape {list(bound.shape)} is not supported")
        value = float(bound.ravel()[0])
    else:
        value = node.number(key, limit)
    if np.isnan(value):
        raise UnsupportedError(f"{key} = nan is not supported")
    return value if abs(value) < limit else None
