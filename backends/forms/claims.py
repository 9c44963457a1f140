"""What forms are made of: constants and nodes, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from epimc.ir.semantics import windows

Array = NDArray[Any]
Dims = tuple[int, int, int]

# What ONNX calls the element types of Cast.
FLOAT, UINT8, UINT16, INT64 = 1, 2, 4, 7

PORT = "port"


class Tensor(NamedTuple):
    """A tensor of the reference: a value, or what serves to compute it.

    Attributes:
        value: Name of the value; of a port, the user's name.
        role: What the tensor is to the value; empty: it is the value itself.
        key: Tells tensors of one role apart.
    """

    value: str
    role: str = ""
    key: int | str | None = None

    def name(self, prefix: str) -> str:
        """The tensor's name in the graph; '/' is in no name of a value.

        Args:
            prefix: Of all names but those of ports.
        """
        if self.role == PORT:
            return self.value
        parts = [self.value, self.role, "" if self.key is None else str(self.key)]
        return prefix + "/".join(part for part in parts if part)


@dataclass(frozen=True, eq=False)
class Constant:
    """An initializer.

    Attributes:
        tensor: Which.
        array: Its contents in its shape; of any type that holds them.
        element: Its element type in the reference, as numpy calls it.
    """

    tensor: Tensor
    array: Array
    element: str = "int64"


@dataclass(frozen=True)
class Node:
    """An operator.

    Attributes:
        result: What it computes.
        kind: ONNX's name of the operator.
        inputs: What it reads.
        attributes: ONNX's attributes.
    """

    result: Tensor
    kind: str
    inputs: tuple[Tensor, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)


Claim = Constant | Node
"""What must be in the reference just so."""

Term = tuple[str, int | None]
"""Name of a value and its zero point; accumulators have none."""


class Activation(NamedTuple):
    """A value of activations.

    Attributes:
        name: Of the value.
        bits: Of an activation, 1 to 16.
        zero_point: The activation that stands for 0.
    """

    name: str
    bits: int
    zero_point: int

    @property
    def is_wide(self) -> bool:
        """Whether an activation takes two bytes, for which onnxruntime has few kernels."""
        return is_wide(self.bits)


def is_wide(bits: int) -> bool:
    """Whether activations of so many bits take two bytes."""
    return bits > 8


def element_of(bits: int) -> str:
    """The element type of activations of so many bits, as numpy calls it."""
    return "uint16" if is_wide(bits) else "uint8"


def cast_of(bits: int) -> dict[str, int]:
    """The attributes of a Cast to activations of so many bits."""
    return {"to": UINT16 if is_wide(bits) else UINT8}


def constant(tensor: Tensor, values: ArrayLike, element: str = "int64") -> Constant:
    """An initializer of some numbers."""
    return Constant(tensor, np.asarray(values), element)


def channelwise(values: Array) -> Array:
    """[C] as [1, C, 1, 1], to broadcast over maps."""
    return values.reshape(1, -1, 1, 1)


def scale_of(value: str) -> Tensor:
    """The real value of one step of an activation."""
    return Tensor(value, "scale")


def zero_point_of(value: str) -> Tensor:
    """The zero point of an activation, as a number of its type."""
    return Tensor(value, "zero_point")


def window_attributes(window: windows.Window) -> dict[str, list[int]]:
    """The attributes of convolutions and pools."""
    return {
        "kernel_shape": list(window.kernel),
        "strides": list(window.strides),
        "pads": list(window.pads),
        "dilations": list(window.dilations),
    }
