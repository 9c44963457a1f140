"""Shapes of a model's inputs, and shape inference node by node.

Inference goes node by node and not over the whole model at once: what was folded is known then, a
mistake has a place, and no copy of the weights is made.

Shapes in ONNX carry the batch on axis 0, shapes in the IR are of one sample.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper, shape_inference

from epimc.frontend.standard import short, where_of
from epimc.ir.core.module import ANY_RANK, Value
from epimc.ir.core.types import Location
from epimc.ir.semantics.layouts import Factors
from epimc.support.diagnostics import error

Array = NDArray[Any]

# Constants larger than this hold weights: their contents never decide a shape.
LARGEST_SHAPE_DATA = 1024
# Constant whatever the input, whose shape is all that they read.
SHAPE_OF = ("Shape", "Size")


@dataclass(frozen=True)
class Unknown:
    """A tensor that cannot be imported: what inference knows of it."""

    kind: onnx.TypeProto | None = None

    @property
    def is_integer(self) -> bool:
        """Whether it holds int64 numbers, as what is computed from shapes does."""
        kind = self.kind
        return kind is not None and kind.tensor_type.elem_type == onnx.TensorProto.INT64


@dataclass(frozen=True)
class Folded:
    """A tensor with more dims a sample than a value has: the elements of a value in some order.

    Only reshapes and transpositions take it, until it has no more than three dims again.

    Attributes:
        source: The value.
        dims: The dims of its elements in the tensor's order.
        shape: Of one sample of the tensor.
        location: The nodes that have made it.
    """

    source: Value
    dims: Factors
    shape: tuple[int, ...]
    location: Location


Binding: TypeAlias = "Value | Array | Folded | Unknown"
"""What an ONNX tensor is: computed by the IR, a constant, a value with more dims, or none of it."""


@dataclass(frozen=True)
class Input:
    """An input of the model: its ONNX name and the shape of one sample."""

    name: str
    shape: tuple[int, ...]


def graph_inputs(graph: onnx.GraphProto) -> tuple[int, list[Input]]:
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
    inputs = [Input(entry.name, _sample_shape(entry)) for entry in entries]
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
        kinds = {number: kind.lower() for kind, number in onnx.TensorProto.DataType.items()}
        found = kinds.get(tensor.elem_type, "unknown")
        raise error(f"Input '{name}' has elements of type {found}; epimc compiles float32 models.")
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


def type_of(binding: Binding, batch: int) -> onnx.TypeProto | None:
    """The ONNX type of a tensor, where it is known."""
    if isinstance(binding, Unknown):
        return binding.kind
    if isinstance(binding, (Value, Folded)):
        own = binding.shape if isinstance(binding, Folded) else binding.type.shape
        shape: tuple[int, ...] = (batch, *own)
        return helper.make_tensor_type_proto(onnx.TensorProto.FLOAT, shape)
    element = helper.np_dtype_to_tensor_dtype(binding.dtype)
    return helper.make_tensor_type_proto(element, binding.shape)


def shape_of(kind: onnx.TypeProto | None) -> tuple[int, ...] | None:
    """The shape of a tensor type when all of it is known."""
    if kind is None or not kind.tensor_type.HasField("shape"):
        return None
    dimensions = kind.tensor_type.shape.dim
    if any(not dimension.HasField("dim_value") for dimension in dimensions):
        return None
    return tuple(dimension.dim_value for dimension in dimensions)


class Inference:
    """ONNX shape inference for the nodes of one model."""

    def __init__(self, model: onnx.ModelProto, opset: int, batch: int) -> None:
        self.opsets = list(model.opset_import)
        self.ir_version, self.opset, self.batch = model.ir_version, opset, batch

    def outputs(
        self, node: onnx.NodeProto, inputs: Mapping[str, Binding]
    ) -> dict[str, onnx.TypeProto]:
        """The types of a node's outputs, as far as ONNX can tell; empty where it cannot.

        Raises:
            EpimcError: The inputs do not fit together.
        """
        if node.op_type == "Constant":
            return {}
        kinds = {name: type_of(binding, self.batch) for name, binding in inputs.items()}
        known = {name: kind for name, kind in kinds.items() if kind is not None}
        if len(known) < len(kinds) and node.op_type in SHAPE_OF:
            return {node.output[0]: helper.make_tensor_type_proto(onnx.TensorProto.INT64, None)}
        if len(known) < len(kinds) or not onnx.defs.has(node.op_type, self.opset, ""):
            return {}
        schema = onnx.defs.get_schema(node.op_type, self.opset, "")
        data = {
            name: numpy_helper.from_array(binding, name)
            for name, binding in inputs.items()
            if not isinstance(binding, (Value, Folded, Unknown))
            and binding.size <= LARGEST_SHAPE_DATA
        }
        try:
            return shape_inference.infer_node_outputs(
                schema, _trimmed(node), known, data, None, self.opsets, self.ir_version
            )
        except (shape_inference.InferenceError, onnx.checker.ValidationError) as problem:
            raise error(
                "The shapes or types in the model do not fit together.",
                where=where_of(node),
                notes=[short(str(problem))],
            ) from None


def _trimmed(node: onnx.NodeProto) -> onnx.NodeProto:
    """The node without the unused outputs at its end, which old schemas do not know."""
    used = [number for number, name in enumerate(node.output, 1) if name]
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    del copy.output[max(used, default=0) :]
    return copy
