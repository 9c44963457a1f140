"""Quantization and dequantization, at the border of a model or of a fragment."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from epimc.backends import forms
from epimc.backends.forms import Claim
from epimc.backends.onnx.float_graph import FloatGraph
from epimc.backends.onnx.ops.tables import Quantized, float_form, integer_form
from epimc.ir.core.types import as_map
from epimc.ir.dialects import epi


@float_form(epi.Quantize)
def float_quantize(op: epi.Quantize, graph: FloatGraph) -> None:
    """QuantizeLinear, clipped where there are fewer than 8 bits."""
    kind, name = op.output.type, graph.names[op.output]
    scale = graph.constant(f"{name}/scale", np.float32(kind.step))
    zero = graph.constant(f"{name}/zero_point", np.uint8(kind.zero_point))
    result = name if kind.bits == 8 else f"{name}/rounded"
    graph.node("QuantizeLinear", [graph.input_of(op), scale, zero], result)
    if result != name:
        low = graph.constant(f"{name}/low", np.uint8(0))
        high = graph.constant(f"{name}/high", np.uint8(2**kind.bits - 1))
        graph.node("Clip", [result, low, high], name)


@integer_form(epi.Quantize)
def integer_quantize(op: epi.Quantize, quantized: Quantized) -> Iterator[Claim]:
    """An input of the model."""
    kind = op.output.type
    return forms.quantized_input(
        quantized.ports[op.x], op.output.name, kind.bits, as_map(kind.shape)
    )


@float_form(epi.Dequantize)
def float_dequantize(op: epi.Dequantize, graph: FloatGraph) -> None:
    """DequantizeLinear with the scale and the zero point of the operand."""
    kind, source = op.x.type, graph.input_of(op)
    scale = graph.constant(f"{source}/scale", np.float32(kind.step))
    zero = graph.constant(f"{source}/zero_point", np.uint8(kind.zero_point))
    graph.node("DequantizeLinear", [source, scale, zero], graph.names[op.output])


@integer_form(epi.Dequantize)
def integer_dequantize(op: epi.Dequantize, quantized: Quantized) -> Iterator[Claim]:
    """An output of the model."""
    return forms.dequantized_output(quantized.ports[op.output], op.x.name, op.x.type.shape)
