"""Values of any ONNX type as bytes: tensors, sequences, maps, optional values; one a sample."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import numpy_helper

from epimc.support.diagnostics import error


def encode(samples: Sequence[Any]) -> bytes:
    """A value of each sample, as a serialized ONNX sequence; equal values give equal bytes.

    Args:
        samples: Arrays, lists, dictionaries, or None.
    """
    sequence = onnx.SequenceProto(elem_type=onnx.SequenceProto.OPTIONAL)
    sequence.optional_values.extend(wrapped(sample) for sample in samples)
    return bytes(sequence.SerializeToString(deterministic=True))


def wrapped(value: Any) -> onnx.OptionalProto:
    """A value that may be absent."""
    kinds = onnx.OptionalProto
    if value is None:
        return onnx.OptionalProto(elem_type=kinds.UNDEFINED)
    if isinstance(value, list):
        return onnx.OptionalProto(
            elem_type=kinds.SEQUENCE, sequence_value=numpy_helper.from_list(value)
        )
    if isinstance(value, dict):
        return onnx.OptionalProto(elem_type=kinds.MAP, map_value=numpy_helper.from_dict(value))
    return onnx.OptionalProto(
        elem_type=kinds.TENSOR, tensor_value=numpy_helper.from_array(np.asarray(value))
    )


def decode(data: bytes, what: str) -> list[Any]:
    """The inverse of `encode`.

    Raises:
        EpimcError: The bytes are no such sequence; `what` names them.
    """
    sequence = onnx.SequenceProto()
    try:
        sequence.ParseFromString(data)
        return [unwrapped(value) for value in sequence.optional_values]
    except (DecodeError, TypeError, ValueError, KeyError, OverflowError):
        raise error(f"{what} cannot be read.", hint="Make them again.") from None


def unwrapped(value: onnx.OptionalProto) -> Any:
    """The value, None where it is absent."""
    kinds = onnx.OptionalProto
    if value.elem_type == kinds.TENSOR:
        return numpy_helper.to_array(value.tensor_value)
    if value.elem_type == kinds.SEQUENCE:
        return numpy_helper.to_list(value.sequence_value)
    if value.elem_type == kinds.MAP:
        return numpy_helper.to_dict(value.map_value)
    return None
