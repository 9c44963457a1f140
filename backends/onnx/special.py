"""Tensors of types that numpy lacks, as bytes: bfloat16, float8, and integers of 4 and 2 bits.

Their values stand in wider types of numpy elsewhere: float32, int8 and uint8.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

SPECIAL = ("bfloat16", "float8", "float4", "int4", "uint4", "int2", "uint2")


def is_special(kind: str) -> bool:
    """Whether numpy lacks the elements of a type, as onnxruntime says it: `tensor(bfloat16)`."""
    return kind.startswith(tuple(f"tensor({name}" for name in SPECIAL))


def is_packed(number: int) -> bool:
    """Whether several elements of a type, by its number, share a byte."""
    name: str = onnx.TensorProto.DataType.Name(number)
    return name.endswith(("INT4", "INT2", "4E2M1"))


def packed(kind: str, array: NDArray[Any]) -> tuple[NDArray[Any], int]:
    """A buffer with the bytes of a tensor, and its type's number.

    Args:
        kind: As onnxruntime says it.
        array: Values of the type, in any type of numpy.

    Returns:
        The buffer has the tensor's shape; it is longer than the bytes of small integers.
    """
    number = onnx.TensorProto.DataType.Value(kind.removeprefix("tensor(")[:-1].upper())
    values = np.asarray(array).astype(helper.tensor_dtype_to_np_dtype(number))
    data = np.frombuffer(numpy_helper.from_array(values).raw_data, np.uint8)
    buffer = np.zeros(values.shape, f"u{values.itemsize}")
    # Views of arrays without axes have no bytes.
    flat = buffer.reshape(-1)
    flat.view(np.uint8)[: data.size] = data
    return buffer, number


def unpacked(data: bytes, number: int, shape: Sequence[int]) -> NDArray[Any]:
    """The tensor of so many bytes, in the wider type of numpy."""
    tensor = onnx.TensorProto(data_type=number, dims=shape, raw_data=data)
    values = numpy_helper.to_array(tensor)
    name = values.dtype.name
    wide = {"u": np.uint8, "i": np.int8}.get(name[0], np.float32)
    return values.astype(wide)
