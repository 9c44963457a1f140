"""Importers of the pools."""

from __future__ import annotations

from epimc.frontend.nodes import Context, Node, UnsupportedError, importer
from epimc.frontend.windows import remainders, rounded_up, window_of
from epimc.ir.core import Op, Value
from epimc.ir.dialects import nn
from epimc.ir.integers import Window


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
    """Means over windows, padding counted or absent."""
    x = node.map()
    window = _window(node, x)
    if node.integer("ceil_mode", 0) and any(remainders(x, window)):
        raise UnsupportedError("ceil_mode = 1 is not supported where it makes the result larger")
    if any(window.pads) and not node.integer("count_include_pad", 0):
        raise UnsupportedError("padding with count_include_pad = 0 is not supported")
    return _emit(nn.AveragePool, node, context, x, window)


@importer("GlobalMaxPool", "GlobalAveragePool")
def global_pool(node: Node, context: Context) -> Value:
    """One window over the whole map."""
    x = node.map()
    _, height, width = x.type.shape
    kind = nn.MaxPool if node.op_type == "GlobalMaxPool" else nn.AveragePool
    return _emit(kind, node, context, x, Window((height, width)))


@importer("ReduceMean", "ReduceMax")
def reduce(node: Node, context: Context) -> Value:
    """Means and maxima over rows and columns."""
    x = node.map()
    axes = node.list_of("axes", 1)
    if axes == () and node.integer("noop_with_empty_axes", 0):
        return x
    over = {axis % 4 for axis in axes or range(4)}
    if not over <= {2, 3}:
        raise UnsupportedError(f"reduction over axes {sorted(over)} is not supported")
    keeps = node.integer("keepdims", 1)
    if not keeps and over != {2, 3}:
        raise UnsupportedError("keepdims = 0 is supported with axes [2, 3] only")
    _, height, width = x.type.shape
    window = Window((height if 2 in over else 1, width if 3 in over else 1))
    kind = nn.MaxPool if node.op_type == "ReduceMax" else nn.AveragePool
    if keeps:
        return _emit(kind, node, context, x, window)
    reduced = context.emit(kind, node, [x], ".kept", kernel=window.kernel)
    return context.emit(nn.Rearrange, node, [reduced], perm=(0, 1, 2), shape=x.type.shape[:1])


def _window(node: Node, x: Value) -> Window:
    height, width = node.integers("kernel_shape", (0, 0))
    return window_of(node, x, (height, width))


def _emit(kind: type[Op], node: Node, context: Context, x: Value, window: Window) -> Value:
    return context.emit(
        kind,
        node,
        [x],
        kernel=window.kernel,
        strides=window.strides,
        pads=window.pads,
        dilations=window.dilations,
    )
