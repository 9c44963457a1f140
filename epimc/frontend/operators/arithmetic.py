"""Importers of arithmetic: activations with each other and with constants, broadcast."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from epimc.frontend.broadcast import (
    Wide,
    channel_axis,
    common_shape,
    constant_value,
    expanded,
    of_sample,
    reduced,
    turned,
    turned_back,
)
from epimc.frontend.nodes import Context, Node, UnsupportedError, importer
from epimc.ir.core.module import Op, Value
from epimc.ir.dialects import elementwise, nn


@dataclass(frozen=True)
class WithConstant:
    """An operator of an activation and a constant.

    Attributes:
        x: The activation.
        values: The constant for one sample, of the activation's rank, reduced.
        name: Of the constant.
        first: Whether the constant is the first operand.
    """

    x: Value
    values: Wide
    name: str
    first: bool


def _with_constant(node: Node, context: Context) -> WithConstant | None:
    """The operands of a binary operator, if one of them is constant."""
    first = node.is_constant(0)
    index = 0 if first else 1
    if not node.is_constant(index):
        return None
    x = node.activation(1 - index)
    values = reduced(of_sample(node.weights(index), x.type.shape, context.batch), x.type.shape)
    return WithConstant(x, values, node.input_name(index), first)


def _affine(
    node: Node, context: Context, given: WithConstant, scale: Wide | None, offset: Wide | None
) -> Value | None:
    """x * scale + offset where the constant differs along one dim at most, else None."""
    axis = channel_axis(given.values, given.x.type.shape)
    if axis is None:
        return None
    channels = given.x.type.shape[axis]
    refs = {
        key: context.store(
            given.name + ("" if key == "offset" or offset is None else ".sign"),
            np.array(np.broadcast_to(values.ravel(), (channels,))),
        )
        for key, values in (("offset", offset), ("scale", scale))
        if values is not None
    }
    x = turned(node, context, given.x, axis)
    suffix = ".turned" if axis else ""
    result = context.emit(nn.Affine, node, [x], suffix, **refs)
    return turned_back(node, context, result, axis)


def _two(
    kind: type[Op], node: Node, context: Context, operands: list[Value], suffix: str = ""
) -> Value:
    """An op of two values, broadcast to their common shape."""
    shape = common_shape(operands)
    whole = [
        expanded(node, context, value, shape, f"{suffix}.expanded{k}")
        for k, value in enumerate(operands)
    ]
    return context.emit(kind, node, whole, suffix)


def _in_order(node: Node, context: Context, given: WithConstant) -> list[Value]:
    """The activation and the constant as a value, in the order of the node's inputs."""
    whole = np.broadcast_to(
        given.values, np.broadcast_shapes(given.values.shape, given.x.type.shape)
    )
    constant = constant_value(node, context, given.name, np.array(whole))
    return [constant, given.x] if given.first else [given.x, constant]


@importer("Add")
def add(node: Node, context: Context) -> Value:
    """Two activations, or an activation plus a constant."""
    given = _with_constant(node, context)
    if given is None:
        return _two(nn.Add, node, context, [node.activation(0), node.activation(1)])
    added = _affine(node, context, given, None, given.values)
    return added or _two(nn.Add, node, context, _in_order(node, context, given))


@importer("Sub")
def subtract(node: Node, context: Context) -> Value:
    """Two activations, or an activation and a constant."""
    given = _with_constant(node, context)
    if given is None:
        return _two(elementwise.Sub, node, context, [node.activation(0), node.activation(1)])
    if given.first:
        found = _affine(node, context, given, np.array([-1.0]), given.values)
    else:
        found = _affine(node, context, given, None, -given.values)
    return found or _two(elementwise.Sub, node, context, _in_order(node, context, given))


@importer("Mul")
def multiply(node: Node, context: Context) -> Value:
    """Two activations, one perhaps [C, 1, 1], or an activation times a constant."""
    given = _with_constant(node, context)
    if given is None:
        return _product(node, context, [node.activation(0), node.activation(1)])
    scaled = _affine(node, context, given, given.values, None)
    return scaled or _product(node, context, _in_order(node, context, given))


def _product(node: Node, context: Context, operands: list[Value]) -> Value:
    """A product, the smaller operand second: it may be [C, 1, 1] as it is."""
    a, b = sorted(operands, key=lambda value: -value.type.size)
    shape = common_shape([a, b])
    if len(shape) == 3 and a.type.shape == shape and b.type.shape == (shape[0], 1, 1):
        return context.emit(elementwise.Multiply, node, [a, b])
    return _two(elementwise.Multiply, node, context, [a, b])


@importer("Div")
def divide(node: Node, context: Context) -> Value:
    """An activation divided by a constant."""
    given = _with_constant(node, context)
    if given is None or given.first:
        raise UnsupportedError("dividing by an activation is not supported")
    if not given.values.all():
        raise UnsupportedError("dividing by 0 is not supported")
    inverse = WithConstant(given.x, 1 / given.values, given.name, first=False)
    scaled = _affine(node, context, inverse, inverse.values, None)
    return scaled or _product(node, context, _in_order(node, context, inverse))


@importer("Neg")
def negate(node: Node, context: Context) -> Value:
    """An activation times -1."""
    return _negated(node, context, node.activation())


def _negated(node: Node, context: Context, x: Value, suffix: str = "") -> Value:
    minus = context.store(f"{node.proto.output[0]}.sign", np.full(x.type.shape[0], -1.0))
    return context.emit(nn.Affine, node, [x], suffix, scale=minus)


@importer("Sum", "Mean")
def total(node: Node, context: Context) -> Value:
    """Any number of activations, broadcast; a mean is divided by how many they are."""
    values = [node.activation(index) for index in range(len(node.inputs))]
    mean = node.op_type == "Mean" and len(values) > 1
    result = _folded(nn.Add, node, context, values, last=".total" if mean else "")
    if not mean:
        return result
    share = np.full(result.type.shape[0], 1 / len(values))
    scale = context.store(f"{node.proto.output[0]}.share", share)
    return context.emit(nn.Affine, node, [result], scale=scale)


def _folded(kind: type[Op], node: Node, context: Context, values: list[Value], last: str) -> Value:
    """The first value, and each other by an op with all before it; `last` ends the last's name."""
    result = values[0]
    for number, value in enumerate(values[1:], 1):
        suffix = last if number == len(values) - 1 else f".part{number}"
        result = _two(kind, node, context, [result, value], suffix)
    return result


@importer("Max", "Min")
def extremum(node: Node, context: Context) -> Value:
    """Of activations, and of constants that are single numbers."""
    bounds: list[float] = []
    values: list[Value] = []
    for index, item in enumerate(node.inputs):
        if isinstance(item, Value):
            values.append(item)
        elif (constant := node.weights(index)).size == 1:
            bounds.append(float(constant.ravel()[0]))
        else:
            raise UnsupportedError("a constant of several numbers is not supported")
    pick: Callable[[list[float]], float] = max if node.op_type == "Max" else min
    key = "low" if node.op_type == "Max" else "high"
    result = values[0]
    for number, value in enumerate(values[1:], 1):
        last = number == len(values) - 1 and not bounds
        result = _larger(node, context, result, value, "" if last else f".part{number}")
    if not bounds and len(values) > 1:
        return result
    given = {key: pick(bounds)} if bounds else {}
    return context.emit(elementwise.Clip, node, [result], **given)


def _larger(node: Node, context: Context, a: Value, b: Value, suffix: str) -> Value:
    """The larger of two values, b + max(a - b, 0); the smaller, b - max(b - a, 0), for a Min."""
    smaller = node.op_type == "Min"
    pair = [b, a] if smaller else [a, b]
    more = _two(elementwise.Sub, node, context, pair, f"{suffix}.difference")
    excess = context.emit(nn.Relu, node, [more], f"{suffix}.excess")
    return _two(elementwise.Sub if smaller else nn.Add, node, context, [b, excess], suffix)


@importer("Pow")
def power(node: Node, context: Context) -> Value:
    """The square of an activation."""
    exponent = node.constant(1)
    if exponent.size != 1 or float(exponent.ravel()[0]) != 2.0:
        raise UnsupportedError("only the exponent 2 is supported")
    return context.emit(elementwise.Multiply, node, [node.activation(), node.activation()])
