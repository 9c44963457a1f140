"""Whether a model that leaves the number of its samples open computes each sample by itself."""

from __future__ import annotations

from collections.abc import Collection

import onnx
from google.protobuf.message import EncodeError  # type: ignore[import-untyped]
from onnx import shape_inference

from epimc.frontend.model.shapes import real_inputs


def keeps_samples(model: onnx.ModelProto, but: Collection[str] = ()) -> bool:
    """Whether axis 0 of all outputs is the one that all inputs leave open there, by its name.

    ONNX's inference keeps the name through what treats samples alike, and loses it where they are
    reduced, cut or joined; where it knows no more, the answer is no.

    Args:
        model: As the user has it.
        but: Inputs that do not count.
    """
    names = {first_name(entry) for entry in real_inputs(model.graph) if entry.name not in but}
    if len(names) != 1 or "" in names:
        return False
    try:
        inferred = shape_inference.infer_shapes(model)
    except (shape_inference.InferenceError, EncodeError, ValueError):
        return False
    return {first_name(entry) for entry in inferred.graph.output} == names


def first_name(entry: onnx.ValueInfoProto) -> str:
    """The name of a tensor's open size on axis 0; empty where it has none."""
    dims = entry.type.tensor_type.shape.dim
    return str(dims[0].dim_param) if len(dims) else ""


def open_beyond(entry: onnx.ValueInfoProto, first: int) -> bool:
    """Whether a tensor has open sizes, from an axis on."""
    tensor = entry.type.tensor_type
    return entry.type.HasField("tensor_type") and (
        not tensor.HasField("shape")
        or any(not dim.HasField("dim_value") for dim in tensor.shape.dim[first:])
    )
