"""What the host runs: nodes as the user has them, in every exported graph."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from epimc.backends import forms
from epimc.backends.forms import Claim
from epimc.backends.host_values import host_operands
from epimc.backends.onnx.float_graph import FloatGraph
from epimc.backends.onnx.fragments import (
    Inlined,
    fixed_shape,
    inlined,
    opsets_of,
    renamed_node,
)
from epimc.backends.onnx.ops.tables import Quantized, float_form, integer_form
from epimc.ir.dialects import host


@float_form(host.Call)
def float_call(op: host.Call, graph: FloatGraph) -> None:
    """The nodes of the fragment."""
    call, model = graph.names[op.output], graph.fragments[op.output.name]
    names: dict[str, str] = {}
    for k, (entry, operand) in enumerate(zip(model.graph.input, op.operands, strict=True)):
        source = graph.names[operand]
        if not operand.type.is_host:
            sizes = graph.constant(f"{call}/x_shape/{k}", np.array(fixed_shape(entry)))
            source = graph.node("Reshape", [source, sizes], f"{call}/x/{k}")
        names[entry.name] = source
    for k, output in enumerate(model.graph.output):
        names[output.name] = f"{call}/result/{k}"

    def renamed(name: str) -> str:
        return names.get(name) or (f"{call}/host/{name}" if name else "")

    graph.nodes += [renamed_node(node, renamed) for node in model.graph.node]
    for entry in opsets_of(model).items():
        graph.require(*entry)
    for initializer in model.graph.initializer:
        copy = type(initializer)()
        copy.CopyFrom(initializer)
        copy.name = renamed(initializer.name)
        graph.constants[copy.name] = copy


@float_form(host.ResultOf)
def float_result(op: host.ResultOf, graph: FloatGraph) -> None:
    """The tensor of the call that it is."""
    graph.names[op.output] = f"{graph.names[op.call]}/result/{op.index}"


@float_form(host.Real)
def float_real(op: host.Real, graph: FloatGraph) -> None:
    """Cut as the chip has it."""
    name = graph.names[op.output]
    shape = graph.constant(f"{name}/shape", np.array([-1, *op.shape]))
    graph.node("Reshape", [graph.input_of(op), shape], name)


@integer_form(host.Call)
def integer_call(op: host.Call, quantized: Quantized) -> Iterator[Claim | Inlined]:
    """The nodes of the fragment, behind what is dequantized for it."""
    call = op.output.name
    operands = host_operands(op, quantized.makers, quantized.ports)
    for k, (operand, value) in enumerate(zip(operands, op.operands, strict=True)):
        if isinstance(operand, str):
            # What leaves the chip is dequantized: the integers are before that.
            kept = quantized.makers[value].operands[0]
            yield from forms.leaving(call, k, operand, kept.type.bits)
    fragment = quantized.module.tensor(op.fragment).tobytes()
    yield inlined(fragment, call, operands, quantized.prefix)


@integer_form(host.Real)
def integer_real(op: host.Real, quantized: Quantized) -> Iterator[Claim]:
    """Whoever quantizes it names the tensor of the call."""
    del op, quantized
    return iter(())


@integer_form(host.ResultOf)
def integer_result(op: host.ResultOf, quantized: Quantized) -> Iterator[Claim]:
    """Whoever reads it names the tensor of the call."""
    del op, quantized
    return iter(())
