"""Functions of each element: on integers they are clipped sums or tables."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx
from onnx import numpy_helper

from epimc.backends import forms
from epimc.backends.forms import Claim
from epimc.backends.onnx.float_graph import FloatGraph
from epimc.backends.onnx.graph import channelwise
from epimc.backends.onnx.ops.tables import Quantized, float_form, integer_form
from epimc.ir.core.traits import StatesModel
from epimc.ir.dialects import elementwise, epi, nn
from epimc.ir.semantics.functions import FUNCTIONS


@float_form(nn.Relu)
def float_relu(op: nn.Relu, graph: FloatGraph) -> None:
    """ONNX's Relu, without attributes."""
    graph.node("Relu", [graph.input_of(op)], graph.names[op.output])


@float_form(elementwise.Clip)
def float_clip(op: elementwise.Clip, graph: FloatGraph) -> None:
    """Clip; a bound that is left out is an empty name."""
    name = graph.names[op.output]
    bounds = [
        "" if value is None else graph.constant(f"{name}/{key}", np.float32(value))
        for key, value in (("low", op.low), ("high", op.high))
    ]
    graph.node("Clip", [graph.input_of(op), *bounds], name)


@float_form(elementwise.Activation)
def float_activation(op: elementwise.Activation, graph: FloatGraph) -> None:
    """The function's own operator, or that of two operands, with a number a channel."""
    name, source = graph.names[op.output], graph.input_of(op)
    function = FUNCTIONS[op.function]
    if op.alphas is not None or function.onnx == function.binary:
        alpha = function.parameters[0][1] if op.alpha is None else op.alpha
        second = np.full(1, alpha, np.float32)
        if op.alphas is not None:
            second = channelwise(graph.module.tensor(op.alphas), len(op.output.type.shape))[0]
        graph.node(function.binary, [source, graph.constant(f"{name}/second", second)], name)
        return
    parameters = {
        key: default if (value := op.attributes[parameter]) is None else value
        for key, (parameter, default) in function.onnx_parameters.items()
    }
    graph.node(function.onnx, [source], name, **parameters, **dict(function.settings))


@float_form(StatesModel)
def float_function(op: StatesModel, graph: FloatGraph) -> None:
    """The nodes of the model, over tensors that are named after the result."""
    name = graph.names[op.output]
    model = onnx.load_model_from_string(graph.module.tensor(op.model).tobytes())
    names = {"x": graph.input_of(op), "y": name}
    for tensor in model.graph.initializer:
        names[tensor.name] = graph.constant(f"{name}/{tensor.name}", numpy_helper.to_array(tensor))
    for opset in model.opset_import:
        graph.require(opset.domain, opset.version)
    for number, node in enumerate(model.graph.node):
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        copy.name = f"{name}/{node.op_type}{number}"
        for result in node.output:
            names.setdefault(result, f"{name}/{result}")
        copy.input[:] = [names.get(each, "") for each in node.input]
        copy.output[:] = [names.get(each, "") for each in node.output]
        graph.nodes.append(copy)


@integer_form(epi.LookUp)
def integer_lookup(op: epi.LookUp, quantized: Quantized) -> Iterator[Claim]:
    """A table of all values."""
    rows = quantized.module.tensor(op.table)
    return forms.look_up(op.output.name, op.x.name, rows, op.output.type.bits)
