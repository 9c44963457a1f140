"""Importers of the operators with weights, and what is folded into them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from epimc.frontend.broadcast import per_channel
from epimc.frontend.nodes import Context, Node, UnsupportedError, importer
from epimc.frontend.windows import window_of
from epimc.ir.core.attributes import Ref
from epimc.ir.core.module import Value
from epimc.ir.dialects import nn


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
