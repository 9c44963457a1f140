"""Importers of the pools."""

from __future__ import annotations

import math

from epimc.frontend.nodes import Context, Node, importer
from epimc.frontend.windows import rounded_up, window_of
from epimc.ir.core.module import Op, Value
from epimc.ir.dialects import nn
from epimc.ir.semantics.integers import Sides, Window, window_counts


@importer("MaxPool")
def max_pool(node: Node, context: Context) -> Value:
    """Maxima without their indices; a rounded-up output is one with more padding."""
    x = node.map()
    node.only("storage_order", 0, 0)
    window = _window(node, x)
    if node.integer("ceil_mode", 0):
        window = rounded_up(x, window)
    return _emit(nn.MaxPool, node, context, x, window)


@importer("AveragePool")
def average_pool(node: Node, context: Context) -> Value:
    """Means over windows, of which padding is a part or not; what is rounded up never is."""
    x = node.map()
    given = window = _window(node, x)
    if node.integer("ceil_mode", 0):
        window = rounded_up(x, given)
    counted = given.pads if node.integer("count_include_pad", 0) else (0, 0, 0, 0)
    size = x.type.shape[1:]
    whole = (window_counts(window, counted, size) == math.prod(window.kernel)).all()
    return _emit(nn.AveragePool, node, context, x, window, None if whole else counted)


@importer("GlobalMaxPool", "GlobalAveragePool")
def global_pool(node: Node, context: Context) -> Value:
    """One window over the whole map."""
    x = node.map()
    _, height, width = x.type.shape
    kind = nn.MaxPool if node.op_type == "GlobalMaxPool" else nn.AveragePool
    return _emit(kind, node, context, x, Window((height, width)))


def _window(node: Node, x: Value) -> Window:
    height, width = node.integers("kernel_shape", (0, 0))
    return window_of(node, x, (height, width))


def _emit(
    kind: type[Op],
    node: Node,
    context: Context,
    x: Value,
    window: Window,
    counted: Sides | None = None,
) -> Value:
    given = {} if counted is None else {"counted": counted}
    return context.emit(
        kind,
        node,
        [x],
        **given,
        kernel=window.kernel,
        strides=window.strides,
        pads=window.pads,
        dilations=window.dilations,
    )
