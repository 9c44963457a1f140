"""Importers of the operators with weights, and of arithmetic with constants."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from epimc.frontend.nodes import Context, Node, UnsupportedError, importer
from epimc.frontend.windows import window_of
from epimc.ir.attributes import Ref
from epimc.ir.core import Op, Value
from epimc.ir.dialects import elementwise, nn

Wide = NDArray[np.float64]


@importer("Conv")
def conv(node: Node, context: Context) -> Value:
    """2-D convolutions with constant weights, in any number of groups."""
    x, weights = node.map(), node.weights(1)
    if weights.ndim != 4:
        raise UnsupportedError(f"weights of shape {list(weights.shape)} are not supported")
    kernel = weights.shape[2], weights.shape[3]
    if node.integers("kernel_shape", kernel) != kernel:
        raise UnsupportedError(f"kernel_shape is not that of the weights, {list(kernel)}")
    window = window_of(node, x, kernel)
    return context.emit(
        nn.Conv,
        node,
        [x],
        weight=context.store(node.input_name(1), weights),
        bias=_bias(node, context, 2),
        strides=window.strides,
        pads=window.pads,
        dilations=window.dilations,
        groups=node.integer("group", 1),
    )


def _bias(node: Node, context: Context, index: int) -> Ref | None:
    if not node.has_input(index):
        return None
    return context.store(node.input_name(index), node.weights(index))


@importer("Gemm")
def gemm(node: Node, context: Context) -> Value:
    """alpha * x @ B + beta * C with constant B and C."""
    x, matrix = node.vector(), _matrix(node)
    node.only("transA", 0, 0)
    rows = matrix if node.integer("transB", 0) else matrix.T
    weight = context.store(node.input_name(1), _scaled(rows, node.number("alpha", 1.0)))
    bias = None
    if node.has_input(2):
        offset = per_channel(node.weights(2), (len(rows),), context.batch)
        scaled = _scaled(offset, node.number("beta", 1.0))
        bias = context.store(node.input_name(2), scaled)
    return context.emit(nn.Gemm, node, [x], weight=weight, bias=bias)


def _scaled(array: NDArray[Any], factor: float) -> NDArray[Any]:
    """The array times the factor; rounded to float32 only once, when it is stored."""
    return array if factor == 1 else array.astype(np.float64) * factor


@importer("MatMul")
def matmul(node: Node, context: Context) -> Value:
    """x @ W with constant W."""
    x, matrix = node.vector(), _matrix(node)
    weight = context.store(node.input_name(1), matrix.T)
    return context.emit(nn.Gemm, node, [x], weight=weight)


def _matrix(node: Node) -> NDArray[np.float32]:
    matrix = node.weights(1)
    if matrix.ndim != 2:
        raise UnsupportedError(f"a constant of shape {list(matrix.shape)} is not supported")
    return matrix


def _has_constant(node: Node) -> bool:
    return node.is_constant(0) or node.is_constant(1)


@importer("Add")
def add(node: Node, context: Context) -> Value:
    """Two activations of one shape, or an activation plus a constant per channel."""
    if not _has_constant(node):
        return _of_two(nn.Add, "adding", node, context)
    x, constant, name, _ = _operands(node, context)
    return context.emit(nn.Affine, node, [x], offset=context.store(name, constant))


def _of_two(kind: type[Op], verb: str, node: Node, context: Context) -> Value:
    a, b = node.activation(0), node.activation(1)
    if a.type.shape != b.type.shape:
        shapes = f"{list(a.type.shape)} and {list(b.type.shape)}"
        raise UnsupportedError(f"{verb} activations of shapes {shapes} is not supported")
    return context.emit(kind, node, [a, b])


@importer("Sub")
def subtract(node: Node, context: Context) -> Value:
    """Two activations of one shape, or an activation and a constant per channel."""
    if not _has_constant(node):
        return _of_two(elementwise.Sub, "subtracting", node, context)
    x, constant, name, constant_first = _operands(node, context)
    if not constant_first:
        return context.emit(nn.Affine, node, [x], offset=context.store(name, -constant))
    minus = context.store(f"{name}.sign", np.full(x.type.shape[0], -1.0))
    offset = context.store(name, constant)
    return context.emit(nn.Affine, node, [x], scale=minus, offset=offset)


@importer("Mul")
def multiply(node: Node, context: Context) -> Value:
    """Two activations, one perhaps [C, 1, 1], or an activation times a constant per channel."""
    if not _has_constant(node):
        a, b = node.activation(0), node.activation(1)
        # The smaller comes second.
        operands = [b, a] if a.type.size < b.type.size else [a, b]
        return context.emit(elementwise.Multiply, node, operands)
    x, constant, name, _ = _operands(node, context)
    return context.emit(nn.Affine, node, [x], scale=context.store(name, constant))


@importer("Div")
def divide(node: Node, context: Context) -> Value:
    """An activation divided by a constant per channel."""
    x, constant, name, constant_first = _operands(node, context)
    if constant_first:
        raise UnsupportedError("dividing by an activation is not supported")
    if not constant.all():
        raise UnsupportedError("dividing by 0 is not supported")
    return context.emit(nn.Affine, node, [x], scale=context.store(name, 1 / constant))


@importer("Neg")
def negate(node: Node, context: Context) -> Value:
    """An activation times -1."""
    x = node.activation()
    minus = context.store(f"{node.proto.output[0]}.sign", np.full(x.type.shape[0], -1.0))
    return context.emit(nn.Affine, node, [x], scale=minus)


def _operands(node: Node, context: Context) -> tuple[Value, Wide, str, bool]:
    """(activation, constant [C], its name, whether the constant comes first)."""
    first = node.is_constant(0)
    index = 0 if first else 1
    if not node.is_constant(index):
        raise UnsupportedError("only a constant as one of the two inputs is supported")
    x = node.activation(1 - index)
    constant = per_channel(node.weights(index), x.type.shape, context.batch)
    return x, constant, node.input_name(index), first


def per_channel(constant: NDArray[Any], shape: tuple[int, ...], batch: int) -> Wide:
    """The values [C] by which a constant acts on an activation [C, …] when it is broadcast.

    Raises:
        UnsupportedError: It makes the result larger, or differs within a channel.
    """
    full = (batch, *shape)
    sizes = (1,) * (len(full) - constant.ndim) + constant.shape
    if len(sizes) > len(full) or any(s not in (1, f) for s, f in zip(sizes, full, strict=True)):
        raise UnsupportedError(
            f"a constant of shape {list(constant.shape)} on an activation of shape {list(full)} "
            "is not supported"
        )
    values = constant.reshape(sizes).astype(np.float64)
    for axis in (0, *range(2, len(full))):
        first = values.take([0], axis)
        if not (values == first).all():
            raise UnsupportedError("a constant that differs within a channel is not supported")
        values = first
    return np.array(np.broadcast_to(values.ravel(), shape[:1]))


@importer("BatchNormalization")
def batch_normalization(node: Node, context: Context) -> Value:
    """Inference with constant statistics per channel."""
    x = node.activation()
    node.only("training_mode", 0, 0)
    node.only("spatial", 1, 1)
    # Before opset 14 naming these outputs is what asks for training.
    if any(node.proto.output[1:]):
        raise UnsupportedError("training (more than one output) is not supported")
    epsilon = node.number("epsilon", 1e-5)
    if (node.weights(4).astype(np.float64) + epsilon <= 0).any():
        raise UnsupportedError("a variance plus epsilon that is not positive is not supported")
    keys = ("scale", "offset", "mean", "variance")
    stored = {
        key: context.store(node.input_name(index), node.weights(index))
        for index, key in enumerate(keys, 1)
    }
    return context.emit(nn.BatchNorm, node, [x], epsilon=epsilon, **stored)


@importer("Relu")
def relu(node: Node, context: Context) -> Value:
    """max(x, 0)."""
    return context.emit(nn.Relu, node, [node.activation()])
