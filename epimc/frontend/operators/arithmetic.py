"""Importers of arithmetic: activations with each other and with constants, broadcast."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from epimc.frontend.core.broadcast import (
    Wide,
    along_channels,
    channel_axis,
    common_shape,
    constant_value,
    expanded,
    of_sample,
    reduced,
)
from epimc.frontend.core.elements import by_element
from epimc.frontend.core.emitter import Emitter
from epimc.frontend.core.node import UnsupportedError
from epimc.frontend.core.operator import operator
from epimc.ir.core.op import Op, Value
from epimc.ir.dialects import elementwise, nn

# Beyond, the numbers of a mask stand for infinity: attention has them from -10^4 on.
INFINITE = 1e4


@dataclass(frozen=True)
class WithConstant:
    """An operator of an activation and a constant.

    Attributes:
        x: The activation.
        values: The constant for one sample, of the activation's rank, reduced.
        index: The number of the input that is the constant.
    """

    x: Value
    values: Wide
    index: int


def _with_constant(node: Emitter) -> WithConstant | None:
    """The operands of a binary operator, if one of them is constant."""
    # Not both: a node of constants alone is folded before it comes here.
    index = 0 if node.is_constant(0) else 1
    if not node.is_constant(index):
        return None
    x = node.activation(1 - index)
    values = reduced(of_sample(node.weights(index), x.type.shape, node.batch), x.type.shape)
    return WithConstant(x, values, index)


def _affine(
    node: Emitter, operands: WithConstant, scale: Wide | None, offset: Wide | None
) -> Value | None:
    """x * scale + offset where the constant differs along one dim at most, else None."""
    axis = channel_axis(operands.values, operands.x.type.shape)
    if axis is None:
        return None
    channels = operands.x.type.shape[axis]
    refs = {
        key: node.store(
            np.array(np.broadcast_to(values.ravel(), (channels,))),
            of=operands.index,
            # Beside an offset, which is the constant itself, a scale is its sign alone.
            role="" if key == "offset" or offset is None else "sign",
        )
        for key, values in (("offset", offset), ("scale", scale))
        if values is not None
    }
    return along_channels(node, operands.x, axis, nn.Affine, **refs)


def _two(node: Emitter, kind: type[Op], operands: list[Value]) -> Value:
    """An op of two values, broadcast to their common shape."""
    shape = common_shape(operands)
    alike = [expanded(node.part("expanded", k), value, shape) for k, value in enumerate(operands)]
    return node.emit(kind, alike)


def _in_order(node: Emitter, operands: WithConstant) -> list[Value]:
    """The activation and the constant as a value, in the order of the node's inputs."""
    x, values = operands.x, operands.values
    full = np.broadcast_to(values, np.broadcast_shapes(values.shape, x.type.shape))
    constant = constant_value(node, np.array(full), operands.index)
    return [constant, x] if operands.index == 0 else [x, constant]


@operator("Add", folds=True, more_dims=True)
@by_element
def add(node: Emitter) -> Value:
    """Two activations, or one and a constant, broadcast."""
    operands = _with_constant(node)
    if operands is None:
        return _two(node, nn.Add, [node.activation(0), node.activation(1)])
    added = _affine(node, operands, None, operands.values)
    if added is None:
        refuse_infinities(operands.values)
    return added or _two(node, nn.Add, _in_order(node, operands))


@operator("Sub", folds=True, more_dims=True)
@by_element
def subtract(node: Emitter) -> Value:
    """Two activations, or one and a constant, broadcast."""
    operands = _with_constant(node)
    if operands is None:
        return _two(node, elementwise.Sub, [node.activation(0), node.activation(1)])
    if operands.index == 0:
        result = _affine(node, operands, np.array([-1.0]), operands.values)
    else:
        result = _affine(node, operands, None, -operands.values)
    return result or _two(node, elementwise.Sub, _in_order(node, operands))


@operator("Mul", folds=True, more_dims=True)
@by_element
def multiply(node: Emitter) -> Value:
    """Two activations, or one and a constant, broadcast."""
    operands = _with_constant(node)
    if operands is None:
        return _product(node, [node.activation(0), node.activation(1)])
    scaled = _affine(node, operands, operands.values, None)
    return scaled or _product(node, _in_order(node, operands))


def _product(node: Emitter, operands: list[Value]) -> Value:
    """A product, the smaller operand second: it may be [C, 1, 1] as it is."""
    # A product does not care for the order; the op takes a factor a channel as its second.
    a, b = sorted(operands, key=lambda value: -value.type.size)
    shape = common_shape([a, b])
    if len(shape) == 3 and a.type.shape == shape and b.type.shape == (shape[0], 1, 1):
        return node.emit(elementwise.Multiply, [a, b])
    return _two(node, elementwise.Multiply, [a, b])


@operator("Div", folds=True, more_dims=True)
@by_element
def divide(node: Emitter) -> Value:
    """An activation divided by a constant, broadcast."""
    operands = _with_constant(node)
    if operands is None or operands.index == 0:
        raise UnsupportedError("dividing by an activation is not supported")
    if not operands.values.all():
        raise UnsupportedError("dividing by 0 is not supported")
    # In float64: it is rounded once, when it is stored.
    inverse = WithConstant(operands.x, 1 / operands.values, operands.index)
    scaled = _affine(node, inverse, inverse.values, None)
    return scaled or _product(node, _in_order(node, inverse))


@operator("Neg", folds=True, more_dims=True)
@by_element
def negate(node: Emitter) -> Value:
    """An activation times -1."""
    x = node.activation()
    minus = node.store(np.full(x.type.shape[0], -1.0), role="sign")
    return node.emit(nn.Affine, [x], scale=minus)


@operator("Sum", "Mean", doc="Any number of activations, broadcast", more_dims=True)
@by_element
def total(node: Emitter) -> Value:
    """The sum of any number of activations; a mean is divided by how many they are."""
    values = [node.activation(index) for index in range(len(node.inputs))]
    # A mean of one value is that value.
    if node.op_type == "Sum" or len(values) == 1:
        return _added(node, node, values)
    result = _added(node, node.part("total"), values)
    share = np.full(result.type.shape[0], 1 / len(values))
    return node.emit(nn.Affine, [result], scale=node.store(share, role="share"))


def _added(node: Emitter, last: Emitter, values: list[Value]) -> Value:
    """The sum of values, one after the other; `last` emits the last of the additions."""
    result = values[0]
    for number, value in enumerate(values[1:], 1):
        step = last if number == len(values) - 1 else node.part("part", number)
        result = _two(step, nn.Add, [result, value])
    return result


@operator("Max", "Min", folds=True, doc="Of activations and constants, broadcast", more_dims=True)
@by_element
def extremum(node: Emitter) -> Value:
    """Of activations and constants, broadcast."""
    values = [item for item in node.inputs if isinstance(item, Value)]
    constants = [k for k in range(len(node.inputs)) if node.is_constant(k)]
    several = [k for k in constants if node.weights(k).size > 1]
    bounds = [float(node.weights(k).ravel()[0]) for k in constants if k not in several]
    result = values[0]
    steps = [(value, 0) for value in values[1:]] + [(None, k) for k in several]
    for number, (value, index) in enumerate(steps, 1):
        last = number == len(steps) and not bounds
        step = node if last else node.part("part", number)
        result = _bounded(step, result, index) if value is None else _larger(step, result, value)
    # A single value without bounds still needs an op, which then clips nothing.
    if steps and not bounds:
        return result
    pick: Callable[[list[float]], float] = max if node.op_type == "Max" else min
    key = "low" if node.op_type == "Max" else "high"
    limits = {key: pick(bounds)} if bounds else {}
    return node.emit(elementwise.Clip, [result], **limits)


def _bounded(node: Emitter, x: Value, index: int) -> Value:
    """The larger, or smaller, of a value and a constant of several numbers."""
    shape = x.type.shape
    values = reduced(of_sample(node.weights(index), shape, node.batch), shape)
    axis = channel_axis(values, shape)
    if axis is None:
        return _larger(node, x, _in_order(node, WithConstant(x, values, index))[index > 0])
    # By a table for each channel, however far the numbers lie from the value's.
    alphas = node.store(np.array(np.broadcast_to(values.ravel(), (shape[axis],))), of=index)
    function = "larger" if node.op_type == "Max" else "smaller"
    return along_channels(node, x, axis, elementwise.Activation, function=function, alphas=alphas)


def _larger(node: Emitter, a: Value, b: Value) -> Value:
    """The larger of two values, b + max(a - b, 0); the smaller, b - max(b - a, 0), for a Min."""
    smaller = node.op_type == "Min"
    pair = [b, a] if smaller else [a, b]
    more = _two(node.part("difference"), elementwise.Sub, pair)
    excess = node.part("excess").emit(nn.Relu, [more])
    return _two(node, elementwise.Sub if smaller else nn.Add, [b, excess])


@operator("Pow", folds=True, more_dims=True)
@by_element
def power(node: Emitter) -> Value:
    """With the exponent 2."""
    exponent = node.constant(1)
    if exponent.size != 1 or float(exponent.ravel()[0]) != 2.0:
        raise UnsupportedError("only the exponent 2 is supported")
    return node.emit(elementwise.Multiply, [node.activation(), node.activation()])


@operator("Where", since=9, folds=True, more_dims=True)
@by_element
def where(node: Emitter) -> Value:
    """By a constant condition, of activations and constants, broadcast."""
    if not node.is_constant(0):
        raise UnsupportedError("a condition that is computed is not supported")
    operands = [k for k in (1, 2) if not node.is_constant(k)]
    # Before anything is appended.
    fills = {k: _fill(node, k) for k in (1, 2) if k not in operands}
    shape = common_shape([node.activation(k) for k in operands])
    condition = of_sample(node.constant(0), shape, node.batch)
    shares = {1: condition, 2: 1 - condition}
    terms: list[Value] = []
    for k in operands:
        step = node if len(operands) == 1 and not fills[3 - k].any() else node.part("choice", k)
        terms.append(_times(step, node.activation(k), reduced(shares[k], shape)))
    if len(terms) == 2:
        return _two(node, nn.Add, terms)
    (k,) = operands
    filled = np.array(shares[3 - k] * fills[3 - k])
    if not fills[3 - k].any():
        return terms[0]
    offset = WithConstant(terms[0], reduced(filled, terms[0].type.shape), 3 - k)
    added = _affine(node, offset, None, offset.values)
    return added or _two(node, nn.Add, _in_order(node, offset))


def _fill(node: Emitter, index: int) -> Wide:
    """A constant of a Where, for one sample.

    Raises:
        UnsupportedError: It stands for infinity, or does not fit.
    """
    shape = node.activation(3 - index).type.shape
    values = of_sample(node.constant(index), shape, node.batch)
    refuse_infinities(values)
    return values


def _times(node: Emitter, x: Value, values: Wide) -> Value:
    """A value times a constant, whose numbers come from the node's first input."""
    factor = WithConstant(x, values, 0)
    return _affine(node, factor, values, None) or _product(node, _in_order(node, factor))


def refuse_infinities(values: Wide) -> None:
    """Leave masks to the host: beside numbers that stand for infinity nothing else has a step.

    Raises:
        UnsupportedError: There are such numbers.
    """
    if not np.all(np.abs(values) < INFINITE):
        raise UnsupportedError("a constant with numbers that stand for infinity is not supported")
