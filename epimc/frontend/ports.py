"""The inputs and outputs of a model: of any type, for samples or for the whole of a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import onnx

from epimc.frontend.core.bindings import shape_of
from epimc.support.port_types import PortType


@dataclass(frozen=True)
class ModelPort:
    """An input or output of a model.

    Attributes:
        name: The ONNX name.
        port_type: What it is.
    """

    name: str
    port_type: PortType

    @property
    def shape(self) -> tuple[int, ...] | None:
        """Of one sample, where it is known beforehand."""
        return self.port_type.shape


@dataclass(frozen=True)
class Entries:
    """What a model takes.

    Attributes:
        batch: What axis 0 of samples is fixed to; 1 where it is free, or counts no samples.
        kinds: The ONNX types by name, in order, with the batch on axis 0.
    """

    batch: int
    kinds: dict[str, onnx.TypeProto]


def entries_of(graph: onnx.GraphProto, *, apart: bool = False) -> Entries:
    """What a model takes: the inputs that are no constants.

    Args:
        graph: Of the model.
        apart: Whether one sample is all that the model takes at once, whatever axis 0 says.
    """
    constants = {tensor.name for tensor in graph.initializer}
    stated = [entry for entry in graph.input if entry.name not in constants]
    batch = 1 if apart else batch_of(stated)
    kinds = {}
    for entry in stated:
        kind = onnx.TypeProto()
        kind.CopyFrom(entry.type)
        dims = kind.tensor_type.shape.dim
        # A free axis 0 counts samples; elsewhere the user has been asked for the size.
        if dims and dims[0].dim_value <= 0 and not is_fixed(dims[0]):
            dims[0].dim_value = batch
        kinds[entry.name] = kind
    return Entries(batch, kinds)


def is_fixed(dim: onnx.TensorShapeProto.Dimension) -> bool:
    """Whether a size is stated, be it 0."""
    return bool(dim.HasField("dim_value"))


def batch_of(entries: Sequence[onnx.ValueInfoProto]) -> int:
    """What axis 0 of all inputs is fixed to, if it counts samples; else 1."""
    sizes = set()
    for entry in entries:
        dims = entry.type.tensor_type.shape.dim
        # Of one axis only the elements would be samples; other types have no axes.
        if len(dims) < 2:
            return 1
        sizes.add(dims[0].dim_value if dims[0].dim_value > 0 else 1)
    return sizes.pop() if len(sizes) == 1 else 1


def type_text(kind: onnx.TypeProto) -> str:
    """An ONNX type as onnxruntime says it."""
    which = kind.WhichOneof("value")
    if which in ("tensor_type", "sparse_tensor_type"):
        return f"{which.removesuffix('_type')}({element_text(getattr(kind, which).elem_type)})"
    if which == "sequence_type":
        return f"seq({type_text(kind.sequence_type.elem_type)})"
    if which == "optional_type":
        return f"optional({type_text(kind.optional_type.elem_type)})"
    if which == "map_type":
        key = element_text(kind.map_type.key_type)
        return f"map({key},{type_text(kind.map_type.value_type)})"
    return "tensor(undefined)"


def element_text(element: int) -> str:
    """An element type as onnxruntime says it: `float`, `int64`."""
    if element not in onnx.TensorProto.DataType.values():
        return "undefined"
    return str(onnx.TensorProto.DataType.Name(element)).lower()


def port_type(kind: onnx.TypeProto | None, batch: int) -> PortType:
    """What an input or output of an ONNX type is; samples are where axis 0 is the batch."""
    if kind is None:
        return PortType("tensor(undefined)", None, False)
    text = type_text(kind)
    if not kind.HasField("tensor_type") or not kind.tensor_type.HasField("shape"):
        return PortType(text, None, False)
    dims = [dim.dim_value if is_fixed(dim) else None for dim in kind.tensor_type.shape.dim]
    first = bool(dims) and dims[0] == batch
    return PortType(text, tuple(dims[first:]), first)


def is_batched(kind: onnx.TypeProto | None, batch: int) -> bool:
    """Whether axis 0 of a tensor is that of the samples."""
    shape = shape_of(kind)
    return bool(shape) and shape is not None and shape[0] == batch
