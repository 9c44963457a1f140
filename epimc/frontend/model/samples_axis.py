"""Whether a model that leaves the number of its samples open computes each sample by itself."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import onnx
from google.protobuf.message import EncodeError  # type: ignore[import-untyped]
from onnx import shape_inference

from epimc.frontend.model.inputs import dims_of, size_of
from epimc.frontend.model.shapes import real_inputs
from epimc.support.diagnostics import shortened


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
    return {first_name(entry) for entry in inferred_outputs(model)} == names


def inferred_outputs(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    """The outputs with what ONNX infers of them; as they are declared where it infers nothing."""
    try:
        return [*shape_inference.infer_shapes(model).graph.output]
    except (shape_inference.InferenceError, EncodeError, ValueError, RuntimeError):
        return [*model.graph.output]


def remarks_on_samples(model: onnx.ModelProto) -> Iterator[str]:
    """What is done where the number of samples is open, and an output has no axis of them."""
    entries = real_inputs(model.graph)
    if not entries or not all(first_name(entry) for entry in entries):
        return
    for output in inferred_outputs(model):
        dims = dims_of(output)
        if output.type.tensor_type.HasField("shape") and (not dims or size_of(dims[0]) is not None):
            yield (
                f"output '{shortened(output.name)}' has no axis of the samples, whose number the "
                "inputs leave open: each sample is computed by itself"
            )
            return


def first_name(entry: onnx.ValueInfoProto) -> str:
    """The name of a tensor's open size on axis 0; empty where it has none."""
    dims = dims_of(entry)
    return str(dims[0].dim_param) if dims else ""


def open_beyond(entry: onnx.ValueInfoProto, first: int) -> bool:
    """Whether a tensor has open sizes, from an axis on."""
    tensor = entry.type.tensor_type
    return entry.type.HasField("tensor_type") and (
        not tensor.HasField("shape") or any(size_of(dim) is None for dim in dims_of(entry)[first:])
    )
