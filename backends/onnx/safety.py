"""Models that onnxruntime must not be asked about: it trusts what it is given.

Bundles come from anyone, and with them the models of fragments and references.
"""

from __future__ import annotations

from collections.abc import Iterator

import onnx
from google.protobuf.message import DecodeError, Message  # type: ignore[import-untyped]

from epimc.support.diagnostics import error
from epimc.support.origins import place_of

REPEATING = ("Loop", "Scan", "SequenceMap")
"""Operators that run a graph as often as a model, or its data, says."""


def refuse_unsafe(data: bytes, what: str) -> None:
    """Raise EpimcError for a model that would read other files, or end the process.

    Args:
        data: The serialized model; what is none, onnxruntime refuses.
        what: Names it in errors.
    """
    try:
        model = onnx.load_model_from_string(data)
    except DecodeError:
        return
    subject = what[0].upper() + what[1:]
    for message in messages(model):
        if isinstance(message, onnx.TensorProto) and is_external(message):
            raise error(
                f"{subject} has the tensor '{message.name}' in another file.",
                hint="A bundle's models hold all of their tensors: compile the model again.",
            )
        if isinstance(message, onnx.NodeProto) and (complaint := unsafe_node(message)):
            raise error(
                f"{subject} {complaint}.", where=place_of(((message.op_type, name_of(message)),))
            )


def repeats(data: bytes) -> bool:
    """Whether a model has an operator that may run for ever, as `Loop` does."""
    try:
        model = onnx.load_model_from_string(data)
    except DecodeError:
        return False
    nodes = (message for message in messages(model) if isinstance(message, onnx.NodeProto))
    return any(node.op_type in REPEATING for node in nodes)


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
