"""The inputs and outputs of a model: of any type, for samples or for the whole of a model."""

from __future__ import annotations

from dataclasses import dataclass

import onnx

from epimc.frontend.core.bindings import shape_of
from epimc.frontend.model.inputs import (
    batch_of,
    has_samples_first,
    refuse_open_sizes,
    size_of,
    type_text,
)
from epimc.frontend.model.shapes import real_inputs
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
        samples_first: Whether axis 0 of all inputs counts samples; else one sample of an input has
            its whole shape, unless the chip reads it, for which an axis of 1 in front is no dim.
    """

    batch: int
    kinds: dict[str, onnx.TypeProto]
    samples_first: bool


def entries_of(graph: onnx.GraphProto, *, apart: bool = False) -> Entries:
    """What a model takes: the inputs that are no constants.

    Args:
        graph: Of the model.
        apart: Whether one sample is all that the model takes at once, whatever axis 0 says.

    Raises:
        EpimcError: A size is open, and is not the samples'.
    """
    refuse_open_sizes(graph)
    size = batch_of(graph)
    kinds = {}
    for entry in real_inputs(graph):
        kind = onnx.TypeProto()
        kind.CopyFrom(entry.type)
        # A free axis 0 counts samples.
        for dim in kind.tensor_type.shape.dim[:1]:
            if size_of(dim) is None:
                dim.dim_value = size
        kinds[entry.name] = kind
    if apart:
        return Entries(1, kinds, False)
    return Entries(size, kinds, has_samples_first(graph))


def port_type(kind: onnx.TypeProto | None, batch: int, *, samples_first: bool = True) -> PortType:
    """What an input or output of an ONNX type is.

    Args:
        kind: Its type, where that is known.
        batch: What is on axis 0 where that counts samples.
        samples_first: Whether it may count samples.
    """
    if kind is None:
        return PortType("tensor(undefined)", None, False)
    text = type_text(kind)
    if not kind.HasField("tensor_type") or not kind.tensor_type.HasField("shape"):
        return PortType(text, None, False)
    dims = [size_of(dim) for dim in kind.tensor_type.shape.dim]
    first = samples_first and bool(dims) and dims[0] == batch
    return PortType(text, tuple(dims[first:]), first)


def is_batched(kind: onnx.TypeProto | None, batch: int) -> bool:
    """Whether axis 0 of a tensor is that of the samples."""
    shape = shape_of(kind)
    return bool(shape) and shape is not None and shape[0] == batch
