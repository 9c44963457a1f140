"""What the verification reads from an exported graph, and that it is one.

Nothing is inferred from names: what an initializer is, the model's metadata say; what a node
computes is compared as a whole.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError, Message  # type: ignore[import-untyped]
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper

from epimc.backends.forms import HOST, Tensor, element_of
from epimc.backends.onnx.graph import PREFIX_KEY, ROLES_KEY
from epimc.backends.onnx.large import LargeModel
from epimc.support.diagnostics import error

Array = NDArray[Any]

PREFIX = re.compile("%+")

ELEMENTS: Mapping[int, str] = {
    TensorProto.FLOAT: "<f4",
    TensorProto.UINT8: "<u1",
    TensorProto.UINT16: "<u2",
    TensorProto.INT8: "<i1",
    TensorProto.INT64: "<i8",
}
"""How the element types of initializers lie in a file."""

# What an exported model has; anything else could change what it computes.
MODEL_FIELDS = frozenset(("ir_version", "producer_name", "opset_import", "graph", "metadata_props"))
GRAPH_FIELDS = frozenset(
    ("node", "name", "initializer", "input", "output", "quantization_annotation")
)
PLACE_FIELDS = frozenset(("external_data", "data_location"))
TENSOR_FIELDS = frozenset(("dims", "data_type", "name", "raw_data"))


@dataclass(frozen=True, eq=False)
class Exported:
    """An exported integer graph, after all checks of its form.

    Attributes:
        large: The graph itself, and its large tensors where a file of their own has them.
        prefix: Of all its names but those of inputs and outputs.
        roles: What each initializer is, by its name, as far as the model declares it.
    """

    large: LargeModel
    prefix: str
    roles: dict[str, Tensor]

    @property
    def model(self) -> ModelProto:
        """The graph; an initializer that lies elsewhere says so."""
        return self.large.proto

    @cached_property
    def constants(self) -> dict[str, Array]:
        """The initializers by name."""
        return parameters(self.large)

    @cached_property
    def initializers(self) -> dict[str, TensorProto]:
        """The initializers by name, as the graph has them."""
        return {tensor.name: tensor for tensor in self.model.graph.initializer}

    @cached_property
    def nodes(self) -> dict[str, bytes]:
        """The nodes, each as its bytes, by the tensor that it makes."""
        return {first_output(node): as_bytes(node) for node in self.model.graph.node}


def read_model(data: bytes, what: str = "The integer reference of the bundle") -> ModelProto:
    """Parse a model.

    Args:
        data: An ONNX file.
        what: Names it in errors.

    Raises:
        EpimcError: It is no ONNX model.
    """
    try:
        return onnx.load_model_from_string(data)
    except DecodeError:
        raise error(f"{what} is no ONNX model.") from None


def large_model(data: bytes | LargeModel, what: str) -> LargeModel:
    """A model that one file has, or two; arguments and errors as `read_model`."""
    return data if isinstance(data, LargeModel) else LargeModel(read_model(data, what), {})


def read_exported(data: bytes | LargeModel, what: str) -> Exported:
    """An exported integer graph.

    Args:
        data: An ONNX file, or what two files have.
        what: Names it in errors.

    Raises:
        EpimcError: It is no ONNX model, or not of the form in which epimc writes them.
    """
    large = large_model(data, what)
    model = large.proto
    complaint = next(complaints(large), None)
    roles = None if complaint else roles_of(model)
    if roles is None:
        raise error(
            f"{what} is not what epimc writes.",
            notes=[complaint or f"Its metadata '{ROLES_KEY}' do not declare initializers."],
            hint="Compile the model again.",
        )
    return Exported(large, prefix_of(model), roles)


def complaints(large: LargeModel) -> Iterator[str]:
    """What is wrong with the form of an exported integer graph."""
    model = large.proto
    if not is_text(model):
        yield "A text in it is not UTF-8."
    for message, known in ((model, MODEL_FIELDS), (model.graph, GRAPH_FIELDS)):
        for name in fields_of(message) - known:
            yield f"It has the field '{name}'."
    domains = [entry.domain for entry in model.opset_import]
    if domains.count("") != 1 or len(set(domains)) != len(domains):
        yield "It does not state one version of each set of operators."
    stated = {entry.key: entry.value for entry in model.metadata_props}
    plain = stated.get(PREFIX_KEY) == prefix_of(model) and PREFIX.fullmatch(prefix_of(model))
    if len(model.metadata_props) != 2 or stated.keys() != {PREFIX_KEY, ROLES_KEY} or not plain:
        yield f"Its metadata are not '{PREFIX_KEY}' and '{ROLES_KEY}'."
    yield from constant_complaints(large)
    made = [name for node in model.graph.node for name in filter(None, node.output)]
    if not all(map(first_output, model.graph.node)) or len(set(made)) != len(made):
        yield "A node does not make tensors of its own."


def constant_complaints(large: LargeModel) -> Iterator[str]:
    """What is wrong with the form of the initializers."""
    model = large.proto
    names = [constant.name for constant in model.graph.initializer]
    if len(set(names)) != len(names):
        yield "Two initializers have one name."
    roles = roles_of(model) or {}
    for constant in model.graph.initializer:
        # Of a fragment, with which it is compared as it is.
        role = roles.get(constant.name)
        if role is not None and role.role == HOST:
            continue
        element = ELEMENTS.get(constant.data_type)
        known = TENSOR_FIELDS | (PLACE_FIELDS if large.has(constant) else set())
        if element is None or fields_of(constant) - known:
            yield f"The initializer '{constant.name}' is of another form."
            continue
        # In Python's integers, which a forged size does not overflow.
        size = np.dtype(element).itemsize
        for length in constant.dims:
            size *= length
        if any(length < 0 for length in constant.dims) or size != len(contents_of(constant, large)):
            yield f"The initializer '{constant.name}' has not as many numbers as it says."


def fields_of(message: Message) -> set[str]:
    """The names of the fields that a message has."""
    return {descriptor.name for descriptor, _ in message.ListFields()}


def is_text(message: Message) -> bool:
    """Whether all texts in a message are UTF-8: protocol buffers give bytes for others."""
    for descriptor, value in message.ListFields():
        entries = [value] if isinstance(value, (str, bytes, Message)) else value
        kind = descriptor.type
        if kind == descriptor.TYPE_MESSAGE and not all(map(is_text, entries)):
            return False
        if kind == descriptor.TYPE_STRING and any(isinstance(entry, bytes) for entry in entries):
            return False
    return True


def roles_of(model: ModelProto) -> dict[str, Tensor] | None:
    """The declared roles by initializer; None where the metadata hold something else."""
    try:
        declared = json.loads(properties_of(model).get(ROLES_KEY, ""))
    except (ValueError, RecursionError):
        return None
    if not isinstance(declared, dict) or not all(map(is_role, declared.values())):
        return None
    return {name: Tensor(*parts) for name, parts in declared.items()}


def is_role(parts: object) -> bool:
    """Whether this is [value, role] or [value, role, key]."""
    if not isinstance(parts, list) or not 2 <= len(parts) <= 3:
        return False
    return all(type(part) is str for part in parts[:2]) and type(parts[-1]) in (str, int)


def parameters(large: LargeModel) -> dict[str, Array]:
    """The initializers by name, read only; those of fragments are empty bytes."""
    return {
        constant.name: numbers_of(constant, large) for constant in large.proto.graph.initializer
    }


def contents_of(constant: TensorProto, large: LargeModel) -> bytes | memoryview:
    """The bytes of an initializer."""
    return large.tensors[constant.name].data if large.has(constant) else constant.raw_data


def numbers_of(constant: TensorProto, large: LargeModel) -> Array:
    """The contents of an initializer of the forms; of another nothing."""
    element, data = ELEMENTS.get(constant.data_type), contents_of(constant, large)
    size = math.prod(constant.dims)
    if element is None or size * np.dtype(element).itemsize != len(data):
        return np.zeros(0, np.uint8)
    return np.frombuffer(data, element).reshape(tuple(constant.dims))


def properties_of(model: ModelProto) -> dict[str, str]:
    """The metadata of a model."""
    return {entry.key: entry.value for entry in model.metadata_props}


def prefix_of(model: ModelProto) -> str:
    """The prefix that an exported model was written with."""
    prefix: object = properties_of(model).get(PREFIX_KEY)
    # It is bytes where it is not UTF-8.
    return prefix if isinstance(prefix, str) else "%"


def tensor_names(model: ModelProto) -> set[str]:
    """All tensors that nodes compute."""
    return {name for node in model.graph.node for name in node.output if name}


def first_output(node: onnx.NodeProto) -> str:
    """The first tensor that a node makes: it may leave out others; empty: it makes none."""
    return next(filter(None, node.output), "")


def as_bytes(message: Message) -> bytes:
    """A message in the one form in which equal ones are equal."""
    return bytes(message.SerializeToString(deterministic=True))


# --- other graphs made of it ----------------------------------------------------------------------


def with_outputs(model: ModelProto, names: Iterable[str]) -> ModelProto:
    """A copy that also gives the named tensors as outputs."""
    copy = ModelProto()
    copy.CopyFrom(model)
    known = {output.name for output in copy.graph.output}
    copy.graph.output.extend(onnx.ValueInfoProto(name=n) for n in names if n not in known)
    return copy


def layers_alone(exported: Exported, kept: Mapping[str, int]) -> tuple[ModelProto, dict[str, str]]:
    """The graph cut at some maps of activations, which become its outputs.

    Whatever reads one of them reads a new input instead, so that one run computes every layer
    from given inputs, none from another's results.

    Args:
        exported: The graph.
        kept: The bits of the maps, by their names.

    Returns:
        The model, and the name of each new input by the value that it stands for.
    """
    prefix, model = exported.prefix, exported.model
    fed = {value: Tensor(value, "given").name(prefix) for value in kept}
    renamed = {Tensor(value).name(prefix): name for value, name in fed.items()}
    cut = ModelProto()
    cut.CopyFrom(model)
    for node in cut.graph.node:
        node.input[:] = [renamed.get(name, name) for name in node.input]
    for value, name in fed.items():
        kind = helper.np_dtype_to_tensor_dtype(np.dtype(element_of(kept[value])))
        cut.graph.input.append(helper.make_tensor_value_info(name, kind, None))
    del cut.graph.output[:]
    cut.graph.output.extend(onnx.ValueInfoProto(name=name) for name in renamed)
    return cut, fed
