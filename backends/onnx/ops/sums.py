"""Sums and products, and the requantization that ends them on integers."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from epimc.backends import forms
from epimc.backends.forms import Claim
from epimc.backends.onnx.float_graph import FloatGraph
from epimc.backends.onnx.graph import channelwise
from epimc.backends.onnx.ops.tables import Quantized, float_form, integer_form, term_of
from epimc.ir.dialects import elementwise, epi, nn


@float_form(nn.Add)
def float_add(op: nn.Add, graph: FloatGraph) -> None:
    """ONNX's Add of two equal shapes."""
    graph.node("Add", [graph.input_of(op, 0), graph.input_of(op, 1)], graph.names[op.output])


@float_form(elementwise.Sub)
def float_sub(op: elementwise.Sub, graph: FloatGraph) -> None:
    """ONNX's Sub of two equal shapes."""
    graph.node("Sub", [graph.input_of(op, 0), graph.input_of(op, 1)], graph.names[op.output])


@float_form(nn.Affine)
def float_affine(op: nn.Affine, graph: FloatGraph) -> None:
    """Mul and Add of one number a channel."""
    name, rank = graph.names[op.output], len(op.output.type.shape)
    scale, offset = (
        channelwise(values.astype(np.float32), rank) for values in op.as_affine(graph.module.tensor)
    )
    factor = graph.constant(f"{name}/scale", scale)
    scaled = graph.node("Mul", [graph.input_of(op), factor], f"{name}/scaled")
    graph.node("Add", [scaled, graph.constant(f"{name}/offset", offset)], name)


@float_form(elementwise.Multiply)
def float_multiply(op: elementwise.Multiply, graph: FloatGraph) -> None:
    """Mul, which broadcasts as `nn.multiply` does."""
    graph.node("Mul", [graph.input_of(op, 0), graph.input_of(op, 1)], graph.names[op.output])


@integer_form(epi.Multiply)
def integer_multiply(op: epi.Multiply, quantized: Quantized) -> Iterator[Claim]:
    """A product of two maps."""
    return forms.product(op.output.name, list(map(term_of, op.operands)))


@integer_form(epi.Requantize)
def integer_requantize(op: epi.Requantize, quantized: Quantized) -> Iterator[Claim]:
    """All terms times their multipliers, added, shifted once, and clipped to the bounds."""
    tensor = quantized.module.tensor
    to = forms.Rescaling(
        multipliers=tensor(op.multipliers),
        shifts=tensor(op.shifts),
        offsets=op.added(tensor),
        bits=op.output.type.bits,
        zero_point=op.output.type.zero_point,
        low=op.low,
        high=op.high,
    )
    return forms.requantization(op.output.name, list(map(term_of, op.operands)), to)
