"""The inputs of a model: float32 vectors, matrices and feature maps of fixed shape.

Shapes in ONNX carry the batch on axis 0, shapes in the IR are of one sample.
"""

from __future__ import annotations

from dataclasses import dataclass

import onnx

from epimc.ir.core.op import ANY_RANK
from epimc.support.diagnostics import error


@dataclass(frozen=True)
class ModelInput:
    """An input of the model: its ONNX name and the shape of one sample."""

    name: str
    shape: tuple[int, ...]


def graph_inputs(graph: onnx.GraphProto) -> tuple[int, list[ModelInput]]:
    """The batch size that the model is fixed to, 1 where it is free, and its inputs.

    Initializers that are listed as inputs too, as IR version 3 wants it, are constants.

    Raises:
        EpimcError: No inputs, or one that is no float32 vector or feature map of fixed shape.
    """
    constants = {item.name for item in graph.initializer}
    constants |= {item.values.name for item in graph.sparse_initializer}
    entries = [entry for entry in graph.input if entry.name not in constants]
    if not entries:
        raise error("The model has no inputs.")
    inputs = [ModelInput(entry.name, _sample_shape(entry)) for entry in entries]
    fixed = {entry.name: size for entry in entries if (size := _dimensions(entry)[0].dim_value) > 0}
    if len(set(fixed.values())) > 1:
        sizes = ", ".join(f"'{name}' {size}" for name, size in fixed.items())
        raise error(f"The inputs have different batch sizes: {sizes}.")
    return next(iter(fixed.values()), 1), inputs


def _dimensions(entry: onnx.ValueInfoProto) -> list[onnx.TensorShapeProto.Dimension]:
    return list(entry.type.tensor_type.shape.dim)


def _sample_shape(entry: onnx.ValueInfoProto) -> tuple[int, ...]:
    name, tensor = entry.name, entry.type.tensor_type
    if not entry.type.HasField("tensor_type"):
        raise error(f"Input '{name}' is not a tensor.")
    if tensor.elem_type != onnx.TensorProto.FLOAT:
        kinds = {number: word.lower() for word, number in onnx.TensorProto.DataType.items()}
        kind = kinds.get(tensor.elem_type, "unknown")
        raise error(f"Input '{name}' has elements of type {kind}; epimc compiles float32 models.")
    if not tensor.HasField("shape"):
        raise error(f"Input '{name}' has no shape.", hint=_fix_hint(name, "1,3,224,224"))
    dimensions = _dimensions(entry)
    shown = f"[{', '.join(d.dim_param or str(d.dim_value or '?') for d in dimensions)}]"
    if len(dimensions) - 1 not in ANY_RANK:
        raise error(
            f"Input '{name}' has shape {shown}; "
            "epimc takes vectors [N, K], matrices [N, A, B] and feature maps [N, C, H, W]."
        )
    if dimensions[0].HasField("dim_value") and dimensions[0].dim_value == 0:
        raise error(f"Input '{name}' has shape {shown}: its batch size is not positive.")
    if any(dimension.dim_value < 1 for dimension in dimensions[1:]):
        known = ",".join(str(max(d.dim_value, 0) or "SIZE") for d in dimensions[1:])
        raise error(
            f"Input '{name}' has no fixed shape: {shown}.", hint=_fix_hint(name, f"1,{known}")
        )
    return tuple(dimension.dim_value for dimension in dimensions[1:])


def _fix_hint(name: str, shape: str) -> str:
    return (
        "Fix it, for example with python -m onnxruntime.tools.make_dynamic_shape_fixed "
        f"--input_name '{name}' --input_shape {shape} model.onnx fixed.onnx"
    )
