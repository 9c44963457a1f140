"""Importers of the operators with weights, and what is folded into them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from epimc.frontend.core.broadcast import per_channel
from epimc.frontend.core.emitter import Emitter
from epimc.frontend.core.node import UnsupportedError
from epimc.frontend.core.operator import operator
from epimc.frontend.core.windows import slide, spatial, window_of
from epimc.ir.core.attributes import Ref
from epimc.ir.core.op import Value
from epimc.ir.core.types import as_map
from epimc.ir.dialects import nn


@operator("Conv")
def conv(node: Emitter) -> Value:
    """1-D and 2-D, constant weights, any number of groups, depthwise too."""
    x, weights = spatial(node), node.weights(1)
    shape = x.type.shape
    if weights.ndim != len(shape) + 1:
        raise UnsupportedError(f"weights of shape {list(weights.shape)} are not supported")
    kernel = weights.shape[2:]
    if node.integers("kernel_shape", kernel) != kernel:
        raise UnsupportedError(f"kernel_shape is not that of the weights, {list(kernel)}")
    window = window_of(node, as_map(shape), kernel)
    over_map = weights.reshape(*weights.shape[:2], *window.kernel)
    return slide(
        node,
        nn.Conv,
        x,
        window,
        weight=node.store(over_map, of=1),
        bias=_bias(node, 2),
        groups=node.integer("group", 1),
    )


def _bias(node: Emitter, index: int) -> Ref | None:
    if not node.has_input(index):
        return None
    return node.store(node.weights(index), of=index)


@operator("Gemm")
def gemm(node: Emitter) -> Value:
    """alpha * x @ B + beta * C, B and C constant."""
    x, matrix = node.vector(), _matrix(node)
    node.only("transA", 0, 0)
    # The IR has weights [N, K], ONNX [K, N] unless it is transposed.
    rows = matrix if node.integer("transB", 0) else matrix.T
    weight = node.store(_scaled(rows, node.number("alpha", 1.0)), of=1)
    bias = None
    if node.has_input(2):
        offset = per_channel(node.weights(2), (len(rows),), node.batch)
        scaled = _scaled(offset, node.number("beta", 1.0))
        bias = node.store(scaled, of=2)
    return node.emit(nn.Gemm, [x], weight=weight, bias=bias)


def _scaled(array: NDArray[Any], factor: float) -> NDArray[Any]:
    """The array times the factor; rounded to float32 only once, when it is stored."""
    return array if factor == 1 else array.astype(np.float64) * factor


@operator("MatMul", folds=True)
def matmul(node: Emitter) -> Value:
    """x @ W, W constant."""
    x, matrix = node.vector(), _matrix(node)
    weight = node.store(matrix.T, of=1)
    return node.emit(nn.Gemm, [x], weight=weight)


def _matrix(node: Emitter) -> NDArray[np.float32]:
    matrix = node.weights(1)
    if matrix.ndim != 2:
        raise UnsupportedError(f"a constant of shape {list(matrix.shape)} is not supported")
    return matrix


@operator("BatchNormalization")
def batch_normalization(node: Emitter) -> Value:
    """In inference, with constant statistics per channel."""
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
    stored = {key: node.store(node.weights(index), of=index) for index, key in enumerate(keys, 1)}
    return node.emit(nn.BatchNorm, [x], epsilon=epsilon, **stored)
