"""Importers of the pools."""

from __future__ import annotations

import math
from dataclasses import replace

from epimc.frontend.core.emitter import Emitter
from epimc.frontend.core.operator import operator
from epimc.frontend.core.windows import Map, rounded_up, slide, spatial, spatial_maxima, window_of
from epimc.ir.core.op import Value
from epimc.ir.core.types import as_map
from epimc.ir.dialects import nn
from epimc.ir.semantics.windows import Window, window_counts


@operator("MaxPool")
def max_pool(node: Emitter) -> Value:
    """1-D and 2-D, without the indices; sizes are rounded up or down; also behind a Pad of -inf."""
    node, x, around = spatial_maxima(node)
    node.only("storage_order", 0, 0)
    channels, height, width = as_map(x.type.shape)
    top, left, bottom, right = around
    shape = channels, height + top + bottom, width + left + right
    window = _window(node, shape, len(x.type.shape) - 1)
    if node.integer("ceil_mode", 0):
        window = rounded_up(shape, window)
    top, left, bottom, right = (a + b for a, b in zip(window.pads, around, strict=True))
    return slide(
        node,
        nn.MaxPool,
        x,
        replace(window, pads=(top, left, bottom, right)),
        kernel=window.kernel,
    )


@operator("AveragePool")
def average_pool(node: Emitter) -> Value:
    """1-D and 2-D; padding is counted or not; sizes are rounded up or down."""
    x = spatial(node)
    shape = as_map(x.type.shape)
    stated = window = _window(node, shape, len(x.type.shape) - 1)
    if node.integer("ceil_mode", 0):
        window = rounded_up(shape, stated)
    counted = stated.pads if node.integer("count_include_pad", 0) else (0, 0, 0, 0)
    node.require_room(window.output_size(size, axis) for axis, size in enumerate(shape[1:]))
    counts = window_counts(window, counted, shape[1:])
    # Where every window counts all its places, nothing need be said of the pads.
    even = (counts == math.prod(window.kernel)).all()
    return slide(
        node, nn.AveragePool, x, window, counted=None if even else counted, kernel=window.kernel
    )


@operator("GlobalMaxPool", "GlobalAveragePool")
def global_pool(node: Emitter) -> Value:
    """One window as large as the map, 1-D and 2-D."""
    x = spatial(node)
    _, height, width = as_map(x.type.shape)
    kind = nn.MaxPool if node.op_type == "GlobalMaxPool" else nn.AveragePool
    return slide(node, kind, x, Window((height, width)), kernel=(height, width))


def _window(node: Emitter, shape: Map, axes: int) -> Window:
    return window_of(node, shape, node.integers("kernel_shape", (0,) * axes))
