"""Pools: maxima, which move, and means, which on integers are sums until they are rounded."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from epimc.backends import forms
from epimc.backends.forms import Claim, window_attributes
from epimc.backends.onnx.float_graph import FloatGraph
from epimc.backends.onnx.ops.tables import Quantized, activation_of, float_form, integer_form
from epimc.ir.core.types import as_map
from epimc.ir.dialects import epi, nn
from epimc.ir.semantics import windows


@float_form(nn.MaxPool)
def float_max_pool(op: nn.MaxPool, graph: FloatGraph) -> None:
    """ONNX's MaxPool with the op's window."""
    attributes = window_attributes(op.window)
    graph.node("MaxPool", [graph.input_of(op)], graph.names[op.output], **attributes)


@integer_form(nn.MaxPool)
def integer_max_pool(op: nn.MaxPool, quantized: Quantized) -> Iterator[Claim]:
    """Maxima of windows."""
    return forms.maximum(op.output.name, activation_of(op.x), op.window)


@float_form(nn.AveragePool)
def float_average_pool(op: nn.AveragePool, graph: FloatGraph) -> None:
    """AveragePool; where ONNX has none for it, sums by a convolution, times 1 / their counts.

    ONNX had dilations late, and has no way to count a part of the padding.
    """
    name, attributes = graph.names[op.output], window_attributes(op.window)
    source = graph.input_of(op)
    if op.dilations == (1, 1) and op.counted is None:
        del attributes["dilations"]
        graph.node("AveragePool", [source], name, count_include_pad=1, **attributes)
        return
    (channels, height, width), size = op.x.type.shape, op.kernel
    weights = graph.constant(f"{name}/weights", np.ones((channels, 1, *size), np.float32))
    counted = op.pads if op.counted is None else op.counted
    counts = windows.window_counts(op.window, counted, (height, width))
    share = graph.constant(f"{name}/share", (1 / counts).astype(np.float32)[None, None])
    total = graph.node("Conv", [source, weights], f"{name}/sum", group=channels, **attributes)
    graph.node("Mul", [total, share], name)


@integer_form(epi.SumPool)
def integer_sum_pool(op: epi.SumPool, quantized: Quantized) -> Iterator[Claim]:
    """int64 sums over windows of what is above the zero point, times the shares if any."""
    dims = as_map(op.x.type.shape)
    return forms.sums(op.output.name, activation_of(op.x), dims, op.window, op.counted)
