"""Importers of convolutions, and of what is folded into them."""

from __future__ import annotations

import numpy as np

from epimc.frontend.core.emitter import Emitter
from epimc.frontend.core.node import UnsupportedError
from epimc.frontend.core.operator import operator
from epimc.frontend.core.windows import slide, spatial, window_of
from epimc.ir.core.attributes import Ref
from epimc.ir.core.op import Value
from epimc.ir.core.types import as_map
from epimc.ir.dialects import nn


@operator("Conv", parameters=(1, 2))
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


@operator("BatchNormalization", parameters=(1, 2, 3, 4))
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
