"""What an ONNX tensor is during the import, and its ONNX type.

Shapes in ONNX carry the batch on axis 0, shapes in the IR are of one sample.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import onnx
from numpy.typing import NDArray
from onnx import helper

from epimc.ir.core.op import Value
from epimc.ir.core.types import Location
from epimc.ir.semantics.layouts import Factors
from epimc.ir.semantics.windows import Sides

Array = NDArray[Any]


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
class MoreDims:
    """A tensor that is no value, but the elements of one in some order.

    It has more dims a sample than a value, or none, or no axis of the samples: a batch of 1 may be
    anywhere.  Operators that know of it take it, until it is a value again.

    Attributes:
        source: The value.
        dims: The dims of the tensor's elements, in its order.
        shape: Of one sample of the tensor; of all of it where samples do not come first.
        location: The nodes that have made it.
        first: The index of its first element in the flat value.
        samples_first: Whether axis 0 is that of the samples.
    """

    source: Value
    dims: Factors
    shape: tuple[int, ...]
    location: Location
    first: int = 0
    samples_first: bool = True

    def full_shape(self, batch: int) -> tuple[int, ...]:
        """The shape in ONNX."""
        return (batch, *self.shape) if self.samples_first else self.shape

    def refusal(self, batch: int) -> str:
        """Why most operators do not take it: what it is, behind the tensor's name."""
        return f"of shape {[*self.full_shape(batch)]} is no value with the samples first"


@dataclass(frozen=True)
class Padded:
    """A map with something around it that is less than all of its elements, such as -inf.

    No activation stands for that: only maxima over windows take it, which then pad so themselves.

    Attributes:
        source: The map, of one spatial axis or two.
        around: How much around its rows and columns.
        number: What is around it.
        location: The nodes that have made it.
    """

    source: Value
    around: Sides
    number: float
    location: Location

    @property
    def widths(self) -> tuple[list[int], list[int]]:
        """How much is before each dim of the source, and behind it."""
        top, left, bottom, right = self.around
        rank = len(self.source.type.shape)
        return [0, top, left][3 - rank :], [0, bottom, right][3 - rank :]

    def full_shape(self, batch: int) -> tuple[int, ...]:
        """The shape in ONNX."""
        sizes = zip(self.source.type.shape, *self.widths, strict=True)
        return (batch, *(size + before + behind for size, before, behind in sizes))

    def refusal(self, batch: int) -> str:
        """Why most operators do not take it: what it is, behind the tensor's name."""
        return f"is padded with {self.number:g}, which only MaxPool takes"


@dataclass(frozen=True)
class Rounded:
    """A tensor that the user's own quantization rounds to integers.

    No value stands for these: only the operator that makes reals of them again takes them, and what
    is left of both is the range of their type.

    Attributes:
        source: What is rounded.
        element: The ONNX type of the integers.
        scale: Of all of them.
        zero_point: Of all of them.
        low: The real number of the smallest integer of the type.
        high: That of the largest.
    """

    source: Value | MoreDims
    element: int
    scale: float
    zero_point: int
    low: float
    high: float

    def full_shape(self, batch: int) -> tuple[int, ...]:
        """The shape in ONNX."""
        if isinstance(self.source, MoreDims):
            return self.source.full_shape(batch)
        return (batch, *self.source.type.shape)

    def refusal(self, batch: int) -> str:
        """Why most operators do not take it: what it is, behind the tensor's name."""
        return "holds integers, which only DequantizeLinear takes"


@dataclass(frozen=True, eq=False)
class HostTensor:
    """A tensor that the host has, of any type.

    Attributes:
        kind: Its ONNX type, where that is known.
        value: What stands for it in the IR.
    """

    kind: onnx.TypeProto | None
    value: Value


Binding: TypeAlias = "Value | Array | MoreDims | Padded | Rounded | HostTensor | Unknown"
"""What an ONNX tensor is: computed by the chip, a constant, a value with more dims, the host's."""


def type_of(binding: Binding, batch: int) -> onnx.TypeProto | None:
    """The ONNX type of a tensor, where it is known."""
    if isinstance(binding, (Unknown, HostTensor)):
        return binding.kind
    if isinstance(binding, (Value, MoreDims, Padded, Rounded)):
        shape: tuple[int, ...]
        if isinstance(binding, Rounded):
            return helper.make_tensor_type_proto(binding.element, binding.full_shape(batch))
        if isinstance(binding, (MoreDims, Padded)):
            shape = binding.full_shape(batch)
        else:
            shape = (batch, *binding.type.shape)
        return helper.make_tensor_type_proto(onnx.TensorProto.FLOAT, shape)
    return helper.make_tensor_type_proto(element_of(binding), binding.shape)


def element_of(array: Array) -> int:
    """The ONNX type of an array's elements."""
    # Texts, as objects or in numpy's own types.
    if array.dtype.kind in "OUT":
        return int(onnx.TensorProto.STRING)
    return int(helper.np_dtype_to_tensor_dtype(array.dtype))


def shape_of(kind: onnx.TypeProto | None) -> tuple[int, ...] | None:
    """The shape of a tensor type when all of it is known."""
    if kind is None or not kind.tensor_type.HasField("shape"):
        return None
    dimensions = kind.tensor_type.shape.dim
    if any(not dimension.HasField("dim_value") for dimension in dimensions):
        return None
    return tuple(dimension.dim_value for dimension in dimensions)
