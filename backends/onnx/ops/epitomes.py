"""Layers by epitomes: calls of functions on reals, convolutions of rebuilt weights on integers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from epimc.backends import forms
from epimc.backends.forms import Claim
from epimc.backends.onnx.float_graph import DOMAIN, FloatGraph
from epimc.backends.onnx.ops.tables import Quantized, activation_of, float_form, integer_form
from epimc.backends.onnx.rebuilding import WINDOW, Rebuilding, described
from epimc.ir.dialects import epi
from epimc.ir.epitome import plan
from epimc.ir.text.printer import refused


@float_form(epi.Conv)
def float_conv(op: epi.Conv, graph: FloatGraph) -> None:
    """A call of the function that rebuilds the weights and convolves, or multiplies a vector."""
    name, vector = graph.names[op.output], len(op.output.type.shape) == 1
    inputs = [graph.input_of(op), graph.tensor(op, "epitome", op.epitome)]
    formal = ["x", "epitome"]
    if op.bias is not None:
        inputs.append(graph.tensor(op, "bias", op.bias))
        formal.append("bias")
    eo, ei, eh, ew = graph.module.tensors[op.epitome.name].type.shape
    body = Rebuilding((eo, ei, eh, ew), op.window.kernel)
    weights = body.block(op.plan)
    operands = ["x", weights, *formal[2:]]
    last = body.matmul(operands) if vector else body.convolution(operands)
    kind = "EpitomeMatMul" if vector else "EpitomeConv"
    function = graph.function(kind, formal, [*body.nodes, last])
    attributes: dict[str, Any] = {}
    if not vector:
        attributes = {key: list(op.attributes[key]) for key in WINDOW} | {"group": op.groups}
    said = described(op.plan, op.weights_shape, (eo, ei, eh, ew))
    graph.node(function, inputs, name, domain=DOMAIN, doc_string=said, **attributes)
    identity = plan.identity(op.weights_shape)
    graph.has_identity_plans &= op.plan == identity and op.weights_shape == (eo, ei, eh, ew)


@integer_form(epi.Conv)
def integer_conv(op: epi.Conv, quantized: Quantized) -> Iterator[Claim]:
    """Over the rebuilt weights."""
    tensor = quantized.module.tensor
    weights = op.weights(tensor)
    if op.groups > 1 and not forms.is_one_sum(weights, op.x.type.bits):
        raise refused(op, "A group has more inputs than the integer reference can sum up.")
    bias = np.zeros(op.shape[0], np.int64) if op.bias is None else tensor(op.bias)
    x = activation_of(op.x)
    return forms.convolution(op.output.name, x, weights, bias, op.window, op.groups)
