"""What the host runs, inside the integer reference: the nodes of a fragment repeated in a graph.

A fragment is a model of its own in the bundle.  The integer reference has the same nodes under
other names, so that both compute the same by the same operators.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import ModelProto

from epimc.backends.crossbar.instructions.host import host_tables
from epimc.backends.crossbar.program import Program
from epimc.diagnostics import error


@dataclass(frozen=True)
class Inlined:
    """The nodes and constants of a fragment under the names of another graph."""

    nodes: list[onnx.NodeProto]
    constants: list[onnx.TensorProto]


def inlined(fragment: bytes, inputs: Sequence[str], output: str) -> Inlined:
    """A fragment over the named tensors of a graph; all its other names get a prefix.

    Args:
        fragment: The serialized model.
        inputs: What stands for its inputs, in order.
        output: What stands for its one output; the prefix of all other names.

    Raises:
        EpimcError: It is no ONNX model, or has other inputs or outputs.
    """
    try:
        graph = onnx.load_model_from_string(fragment).graph
    except DecodeError:
        raise error(f"The fragment for '{output}' is no ONNX model.") from None
    if len(graph.input) != len(inputs) or len(graph.output) != 1:
        raise error(f"The fragment for '{output}' has other inputs and outputs than its call.")
    given = {entry.name: name for entry, name in zip(graph.input, inputs, strict=True)}
    given |= {graph.output[0].name: output, "": ""}

    def renamed(name: str) -> str:
        return given.get(name, f"{output}.host/{name}")

    nodes, constants = [], []
    for node in graph.node:
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        copy.name = renamed(node.name)
        copy.input[:], copy.output[:] = map(renamed, node.input), map(renamed, node.output)
        nodes.append(copy)
    for tensor in graph.initializer:
        constant = onnx.TensorProto()
        constant.CopyFrom(tensor)
        constant.name = renamed(tensor.name)
        constants.append(constant)
    return Inlined(nodes, constants)


def missing(model: ModelProto, part: Inlined) -> int:
    """How many nodes and constants of an inlined fragment a model does not have just so."""
    nodes = {node.SerializeToString(deterministic=True) for node in model.graph.node}
    constants = {c.SerializeToString(deterministic=True) for c in model.graph.initializer}
    count = sum(n.SerializeToString(deterministic=True) not in nodes for n in part.nodes)
    return count + sum(
        c.SerializeToString(deterministic=True) not in constants for c in part.constants
    )


def fragment_mismatches(
    program: Program, fragments: Mapping[str, bytes], model: ModelProto, prefix: str
) -> dict[str, int]:
    """What the integer reference does not have of the host calls: counts by host call.

    Args:
        program: Whose host calls are compared.
        fragments: The models that they name.
        model: The integer reference.
        prefix: What its names of integer tensors begin with.

    Raises:
        EpimcError: A fragment is no ONNX model, or does not fit its call.
    """
    found: dict[str, int] = {}
    for table in host_tables(program):
        inputs = [prefix + program.maps[source].name for source in table.sources]
        output = prefix + program.maps[table.destination].name
        part = inlined(fragments[table.fragment], inputs, output)
        found[f"{output}.host"] = missing(model, part)
    return {name: count for name, count in found.items() if count}
