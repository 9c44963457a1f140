"""What the host runs, inside the exported graphs.

A fragment is a model of its own in the bundle.  The integer reference has the same nodes under
other names, so that both compute the same by the same operators; so has the epitomized float model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from epimc.backends.forms import HOST, Claim, HostValue, Tensor, shaped_operand
from epimc.backends.onnx.graph import IntegerGraph
from epimc.ir.core.module import Module
from epimc.ir.core.traits import CallsHost
from epimc.support.diagnostics import error

Opsets = dict[str, int]
"""Version of the operators by domain, that of ONNX itself being empty."""


@dataclass(frozen=True)
class Inlined:
    """What a host call is in the integer reference.

    Attributes:
        claims: The operands from the chip, as the fragment takes them.
        nodes: Those of the fragment.
        constants: Those of the fragment.
        opsets: Those of the fragment.
    """

    claims: list[Claim]
    nodes: list[onnx.NodeProto]
    constants: dict[Tensor, onnx.TensorProto]
    opsets: Opsets


def fragments_of(module: Module) -> dict[str, bytes]:
    """The ONNX models that the host runs, by the names under which programs call them."""
    return {
        op.output.name: module.tensor(op.fragment).tobytes()
        for op in module.ops
        if isinstance(op, CallsHost)
    }


def read_fragment(data: bytes, call: str) -> onnx.ModelProto:
    """The model of a host call.

    Raises:
        EpimcError: It is no ONNX model, or one with parts that no fragment has.
    """
    try:
        model = onnx.load_model_from_string(data)
    except DecodeError:
        raise error(f"The fragment for '{call}' is no ONNX model.") from None
    if model.functions or model.graph.sparse_initializer:
        raise error(f"The fragment for '{call}' has functions or sparse tensors.")
    names = {initializer.name for initializer in model.graph.initializer}
    if len(names) < len(model.graph.initializer):
        raise error(f"The fragment for '{call}' has two tensors of one name.")
    return model


def opsets_of(model: onnx.ModelProto) -> Opsets:
    """The versions of the operators that a model imports."""
    return {entry.domain: entry.version for entry in model.opset_import}


def fixed_shape(entry: onnx.ValueInfoProto) -> list[int]:
    """The sizes of an input of a fragment; 0 for what is not fixed."""
    return [dim.dim_value for dim in entry.type.tensor_type.shape.dim]


def inlined(
    fragment: bytes, call: str, operands: Sequence[str | HostValue], prefix: str
) -> Inlined:
    """A fragment over values of the integer reference.

    Args:
        fragment: The serialized model.
        call: The name of the call.
        operands: What stands for its inputs, in order: an activation, by name, or a value of the
            host.
        prefix: Of the names of the reference.

    Raises:
        EpimcError: It is no ONNX model, or has another number of inputs.
    """
    model = read_fragment(fragment, call)
    graph = model.graph
    if len(graph.input) != len(operands):
        raise error(f"The fragment for '{call}' has other inputs than its call.")
    names: dict[str, str] = {}
    claims: list[Claim] = []
    for k, (entry, operand) in enumerate(zip(graph.input, operands, strict=True)):
        source = Tensor(call, "x", k)
        if isinstance(operand, HostValue):
            source = operand.tensor
        else:
            claims += shaped_operand(call, k, fixed_shape(entry))
        names[entry.name] = source.name(prefix)
    for k, output in enumerate(graph.output):
        names[output.name] = HostValue(call, k).tensor.name(prefix)

    def renamed(name: str) -> str:
        # ONNX names an operand that is left out by nothing.
        return names.get(name) or (Tensor(call, HOST, name).name(prefix) if name else "")

    nodes = [renamed_node(node, renamed) for node in graph.node]
    constants = {}
    for initializer in graph.initializer:
        tensor, constant = Tensor(call, HOST, initializer.name), onnx.TensorProto()
        constant.CopyFrom(initializer)
        constant.name = tensor.name(prefix)
        constants[tensor] = constant
    return Inlined(claims, nodes, constants, opsets_of(model))


def renamed_node(node: onnx.NodeProto, renamed: Callable[[str], str]) -> onnx.NodeProto:
    """A copy of a node in which every tensor has another name, in its graphs too."""
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    pending = [copy]
    while pending:
        each = pending.pop()
        each.name = renamed(each.name)
        each.input[:], each.output[:] = map(renamed, each.input), map(renamed, each.output)
        for graph in graphs_in(each):
            for entry in (*graph.input, *graph.output, *graph.initializer, *graph.value_info):
                entry.name = renamed(entry.name)
            pending += graph.node
    return copy


def graphs_in(node: onnx.NodeProto) -> Iterable[onnx.GraphProto]:
    """The graphs that a node has as attributes."""
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def write_inlined(graph: IntegerGraph, part: Inlined) -> None:
    """Add a host call to the integer reference."""
    graph.write(part.claims)
    graph.nodes += part.nodes
    graph.opsets |= part.opsets
    for tensor, constant in part.constants.items():
        graph.roles[constant.name] = tensor
        graph.constants[constant.name] = constant
