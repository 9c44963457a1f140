"""What the host runs, inside the integer reference.

A fragment is a model of its own in the bundle.  The integer reference has the same nodes under
other names, so that both compute the same by the same operators.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from epimc.backends.forms import Claim, Dims, Tensor, host_inputs, host_output
from epimc.backends.onnx.graph import IntegerGraph
from epimc.support.diagnostics import error

HOST = "host"
"""The role of what belongs to a fragment; its key is the name that it has there."""


@dataclass(frozen=True)
class Inlined:
    """What a host call is in the integer reference.

    Attributes:
        claims: What is around the fragment.
        nodes: Those of the fragment.
        constants: Those of the fragment.
    """

    claims: list[Claim]
    nodes: list[onnx.NodeProto]
    constants: dict[Tensor, onnx.TensorProto]


def inlined(
    fragment: bytes, sources: Sequence[str], value: str, dims: Dims, prefix: str
) -> Inlined:
    """A fragment over values of the integer reference.

    Args:
        fragment: The serialized model.
        sources: The values that stand for its inputs, in order.
        value: What stands for its one output.
        dims: Of that as a map.
        prefix: Of the names of the reference.

    Raises:
        EpimcError: It is no ONNX model, or has other inputs or outputs.
    """
    try:
        graph = onnx.load_model_from_string(fragment).graph
    except DecodeError:
        raise error(f"The fragment for '{value}' is no ONNX model.") from None
    if len(graph.input) != len(sources) or len(graph.output) != 1:
        raise error(f"The fragment for '{value}' has other inputs and outputs than its call.")
    shapes = [[d.dim_value for d in x.type.tensor_type.shape.dim][1:] for x in graph.input]
    names = {entry.name: Tensor(value, "x", k) for k, entry in enumerate(graph.input)}
    names[graph.output[0].name] = Tensor(value, "y")

    def renamed(name: str) -> str:
        # ONNX names an operand that is left out by nothing.
        return names.get(name, Tensor(value, HOST, name)).name(prefix) if name else ""

    nodes, constants = [], {}
    for node in graph.node:
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        copy.name = Tensor(value, HOST, node.name).name(prefix)
        copy.input[:], copy.output[:] = map(renamed, node.input), map(renamed, node.output)
        nodes.append(copy)
    for initializer in graph.initializer:
        tensor, constant = Tensor(value, HOST, initializer.name), onnx.TensorProto()
        constant.CopyFrom(initializer)
        constant.name = tensor.name(prefix)
        constants[tensor] = constant
    claims = [*host_inputs(value, sources, shapes), *host_output(value, dims)]
    return Inlined(claims, nodes, constants)


def write_inlined(graph: IntegerGraph, part: Inlined) -> None:
    """Add a host call to the integer reference."""
    # ONNX wants the nodes in an order in which they can be computed: the last one makes the map.
    graph.write(part.claims[:-1])
    graph.nodes += part.nodes
    graph.write(part.claims[-1:])
    for tensor, constant in part.constants.items():
        graph.roles[constant.name] = tensor
        graph.constants[constant.name] = constant
