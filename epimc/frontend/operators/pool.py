"""Importers of the pools."""

from __future__ import annotations

import math

from epimc.frontend.core.emitter import Emitter
from epimc.frontend.core.operator import operator
from epimc.frontend.core.windows import rounded_up, window_of
from epimc.ir.core.op import Op, Value
from epimc.ir.dialects import nn
from epimc.ir.semantics.windows import Sides, Window, window_counts


@operator("MaxPool")
def max_pool(node: Emitter) -> Value:
    """Without the indices; sizes are rounded up or down."""
    x = node.map()
    node.only("storage_order", 0, 0)
    window = _window(node, x)
    if node.integer("ceil_mode", 0):
        window = rounded_up(x, window)
    return _emit(node, nn.MaxPool, x, window)


@operator("AveragePool")
def average_pool(node: Emitter) -> Value:
    """Padding is counted or not; sizes are rounded up or down."""
    x = node.map()
    stated = window = _window(node, x)
    if node.integer("ceil_mode", 0):
        window = rounded_up(x, stated)
    counted = stated.pads if node.integer("count_include_pad", 0) else (0, 0, 0, 0)
    node.require_room(window.output_size(size, axis) for axis, size in enumerate(x.type.shape[1:]))
    counts = window_counts(window, counted, x.type.shape[1:])
    # Where every window counts all its places, nothing need be said of the pads.
    even = (counts == math.prod(window.kernel)).all()
    return _emit(node, nn.AveragePool, x, window, None if even else counted)


@operator("GlobalMaxPool", "GlobalAveragePool")
def global_pool(node: Emitter) -> Value:
    """One window as large as the map."""
    x = node.map()
    _, height, width = x.type.shape
    kind = nn.MaxPool if node.op_type == "GlobalMaxPool" else nn.AveragePool
    return _emit(node, kind, x, Window((height, width)))


def _window(node: Emitter, x: Value) -> Window:
    height, width = node.integers("kernel_shape", (0, 0))
    return window_of(node, x, (height, width))


def _emit(
    node: Emitter, kind: type[Op], x: Value, window: Window, counted: Sides | None = None
) -> Value:
    return node.emit(
        kind,
        [x],
        counted=counted,
        kernel=window.kernel,
        strides=window.strides,
        pads=window.pads,
        dilations=window.dilations,
    )
