"""Models that onnxruntime must not be asked about: it trusts what it is given.

Bundles come from anyone, and with them the models of fragments and references.
"""

from __future__ import annotations

from collections.abc import Iterator

import onnx
from google.protobuf.message import DecodeError, Message  # type: ignore[import-untyped]

from epimc.backends.onnx.fragments import graphs_in
from epimc.backends.onnx.large import LargeModel
from epimc.support.diagnostics import error
from epimc.support.origins import place_of

REPEATING = ("Loop", "Scan", "SequenceMap")
"""Operators that run a graph as often as a model, or its data, says."""


def refuse_unsafe(model: bytes | LargeModel, what: str) -> None:
    """Raise EpimcError for a model that would read other files, or end the process.

    Args:
        model: The serialized model, or one with its large tensors; what is none, onnxruntime
            refuses.
        what: Names it in errors.
    """
    subject = what[0].upper() + what[1:]
    parsed = parse(model)
    # By identity: a tensor within a node may have the name of one that lies beside the model.
    own = {id(tensor): tensor for tensor in parsed.proto.graph.initializer if parsed.has(tensor)}
    for message in messages(parsed.proto):
        if id(message) in own:
            continue
        if isinstance(message, onnx.TensorProto) and is_external(message):
            raise error(
                f"{subject} has the tensor '{message.name}' in another file.",
                hint="A bundle's models hold all of their tensors: compile the model again.",
            )
        if isinstance(message, onnx.NodeProto) and (complaint := unsafe_node(message)):
            raise error(
                f"{subject} {complaint}.", where=place_of(((message.op_type, name_of(message)),))
            )


def repeats(model: bytes | LargeModel) -> bool:
    """Whether a model has an operator that may run for ever, as `Loop` does."""
    proto = parse(model).proto
    nodes = (message for message in messages(proto) if isinstance(message, onnx.NodeProto))
    return any(node.op_type in REPEATING for node in nodes)


def parse(model: bytes | LargeModel) -> LargeModel:
    """A model that may be serialized; an empty one where it is none."""
    if isinstance(model, LargeModel):
        return model
    try:
        return LargeModel(onnx.load_model_from_string(model), {})
    except DecodeError:
        return LargeModel(onnx.ModelProto(), {})


def without_unread(model: LargeModel) -> LargeModel:
    """The model without large tensors that nothing reads, which onnxruntime drops, then misses."""
    names = names_read(model.proto.graph)
    unread = model.tensors.keys() - names
    if not unread:
        return model
    proto = onnx.ModelProto()
    proto.CopyFrom(model.proto)
    kept = [tensor for tensor in model.proto.graph.initializer if tensor.name not in unread]
    del proto.graph.initializer[:]
    proto.graph.initializer.extend(kept)
    return model.with_proto(proto)


def names_read(graph: onnx.GraphProto) -> set[str]:
    """The tensors that the nodes of a graph read, those in its nodes too, and its outputs."""
    names = {output.name for output in graph.output}
    for node in graph.node:
        names.update(node.input)
        for inner in graphs_in(node):
            names |= names_read(inner) - names_made(inner)
    return names


def names_made(graph: onnx.GraphProto) -> set[str]:
    """The tensors that a graph has by itself."""
    names = {entry.name for entry in (*graph.input, *graph.initializer)}
    names.update(sparse.values.name for sparse in graph.sparse_initializer)
    return names.union(*(node.output for node in graph.node))


def messages(model: Message) -> Iterator[Message]:
    """All tensors and nodes in a message, wherever they are nested; protobuf bounds the depth."""
    waiting = [model]
    while waiting:
        message = waiting.pop()
        yield message
        if isinstance(message, onnx.TensorProto):
            continue
        for field, value in message.ListFields():
            if field.message_type is not None:
                waiting.extend([value] if isinstance(value, Message) else value)


def is_external(tensor: onnx.TensorProto) -> bool:
    """Whether the contents of a tensor lie in another file."""
    return tensor.data_location == onnx.TensorProto.EXTERNAL or bool(tensor.external_data)


def unsafe_node(node: onnx.NodeProto) -> str:
    """Why onnxruntime must not see a node: what it has or does, as a verb and an object."""
    stated = {item.name: item for item in node.attribute}
    # onnxruntime ends the process where these differ.
    if node.op_type == "Split" and "num_outputs" in stated:
        parts = stated["num_outputs"].i
        if parts != len(node.output):
            return f"splits into {parts} parts and has {len(node.output)} outputs"
    return ""


def name_of(node: onnx.NodeProto) -> str:
    """What a node is called; nodes may have no name of their own."""
    return node.name or next(iter(node.output), "")
