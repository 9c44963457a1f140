"""What a model takes and gives, of any type, as users and onnxruntime name it."""

from __future__ import annotations

from dataclasses import dataclass

import onnx
from onnx import TensorProto

from epimc.support.port_types import PortType

UNKNOWN = "unknown"


@dataclass(frozen=True)
class ModelPort:
    """An input or output of a model.

    Attributes:
        name: The ONNX name.
        port_type: What it is, as onnxruntime says it, and the shape of one sample.
    """

    name: str
    port_type: PortType

    @property
    def shape(self) -> tuple[int, ...] | None:
        """Of one sample; None where it depends on the data, or what it is has none."""
        return self.port_type.shape


def element_word(element: int) -> str:
    """What onnxruntime calls an ONNX element type: `float`, `int64`."""
    names = {number: str(word) for word, number in TensorProto.DataType.items()}
    return names.get(element, UNKNOWN).lower()


def type_text(kind: onnx.TypeProto) -> str:
    """An ONNX type as onnxruntime says it."""
    match kind.WhichOneof("value"):
        case "tensor_type":
            return f"tensor({element_word(kind.tensor_type.elem_type)})"
        case "sparse_tensor_type":
            return f"sparse_tensor({element_word(kind.sparse_tensor_type.elem_type)})"
        case "sequence_type":
            return f"seq({type_text(kind.sequence_type.elem_type)})"
        case "optional_type":
            return f"optional({type_text(kind.optional_type.elem_type)})"
        case "map_type":
            key = element_word(kind.map_type.key_type)
            return f"map({key},{type_text(kind.map_type.value_type)})"
    return UNKNOWN
