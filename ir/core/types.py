"""Types of values and where they come from: the leaves of the IR."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import DTypeLike

from epimc.ir.semantics.layouts import Rearrangement
from epimc.support.limits import LARGEST_NUMBER
from epimc.support.origins import Nodes, place_of
from epimc.support.port_types import PortType

ELEMENT = re.compile(r"f32|i64|[us](?:[1-9]|1[0-6])")

HOST = "host"
"""The element of what the host alone knows."""

# More than any op takes; the size of a type is one product of so many numbers.
LARGEST_RANK = 16


class IrError(Exception):
    """An op or a type that breaks its declaration; the text says which rule and how."""


def expect(condition: bool, rule: str) -> None:
    """Raise IrError with the rule unless it holds."""
    if not condition:
        raise IrError(rule)


@dataclass(frozen=True)
class TensorType:
    """Type of a value or of a stored tensor.

    Attributes:
        shape: Of ONE sample for values; the batch is an execution-time dimension.
        element: `f32`, `i64` (accumulators), `uN` (activations of N bits), `sN` (weights).
        scale: Real value of one step; only of quantized types.
        zero_point: The integer that stands for 0; only of quantized types.
        host: What a value is that the host alone knows (`host_value`), in words; empty for others.
    """

    shape: tuple[int, ...]
    element: str = "f32"
    scale: float | None = None
    zero_point: int = 0
    host: str = ""

    def __post_init__(self) -> None:
        if self.is_host:
            if self.shape or self.scale is not None or self.zero_point:
                raise IrError("a value of the host has neither a shape nor a scale")
            return
        if not ELEMENT.fullmatch(self.element):
            raise IrError(f"'{self.element}' is no element type (f32, i64, u1..u16, s1..s16)")
        if len(self.shape) > LARGEST_RANK:
            raise IrError(f"a shape has at most {LARGEST_RANK} dims, not {len(self.shape)}")
        if any(size > LARGEST_NUMBER for size in self.shape):
            raise IrError(f"shape {list(self.shape)} has a size above {LARGEST_NUMBER}")
        if any(size < 1 for size in self.shape):
            raise IrError(f"shape {list(self.shape)} has a size below 1")
        if self.scale is not None and not (self.element[0] in "us" and 0 < self.scale < np.inf):
            raise IrError("a scale must be positive and finite, on a type uN or sN")
        if self.zero_point and (self.scale is None or not 0 <= self.zero_point < 2**self.bits):
            raise IrError(f"zero point {self.zero_point} is not a value of {self.element}")

    @property
    def is_host(self) -> bool:
        """Whether it is of a value that the host alone knows: of any ONNX type, or several."""
        return self.element == HOST

    @property
    def bits(self) -> int:
        """Bits of an element."""
        return int(self.element[1:])

    @property
    def size(self) -> int:
        """Elements of one sample: the product of the shape, which Python integers hold exactly."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of one sample."""
        return self.size * np.dtype(self.dtype).itemsize

    @property
    def dtype(self) -> DTypeLike:
        """The numpy type that stores an element."""
        # One reference to it.
        if self.is_host:
            return np.int64
        if self.element in ("f32", "i64"):
            return np.float32 if self.element == "f32" else np.int64
        wide = self.bits > 8
        if self.element[0] == "u":
            return np.uint16 if wide else np.uint8
        return np.int16 if wide else np.int8

    @property
    def step(self) -> float:
        """The scale, of a type that must have one.

        Raises:
            IrError: It has none.
        """
        if self.scale is None:
            raise IrError(f"{self} has no scale")
        return self.scale

    @property
    def is_activation(self) -> bool:
        """Whether this is an unsigned quantized type with a scale."""
        return self.element[0] == "u" and self.scale is not None

    def with_shape(self, shape: tuple[int, ...]) -> TensorType:
        """The same element type and quantization over another shape."""
        return TensorType(shape, self.element, self.scale, self.zero_point)

    def __str__(self) -> str:
        if self.is_host:
            return f"host<{json.dumps(self.host, ensure_ascii=False)}>"
        inside = "x".join([*map(str, self.shape), self.element])
        if self.scale is not None:
            inside += f", scale = {self.scale!r}"
        if self.zero_point:
            inside += f", zero_point = {self.zero_point}"
        return f"tensor<{inside}>"


def host_value(words: str) -> TensorType:
    """The type of a value that the host alone knows.

    Args:
        words: Its ONNX type with its shape (`support/port_types.py`), or what else it is.
    """
    return TensorType((), HOST, host=words)


HOST_RESULTS = host_value("results")
"""The type of all results of a host call together."""


def expect_port_type(kind: TensorType) -> None:
    """Raise IrError unless a value of the host is one that models may take and give."""
    try:
        PortType.parse(kind.host)
    except ValueError as problem:
        raise IrError(str(problem)) from None


def as_map(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """A value as a feature map [C, H, W]; [K] is [K, 1, 1], and [A, B] is [A, 1, B]."""
    if len(shape) == 3:
        return shape[0], shape[1], shape[2]
    if len(shape) == 2:
        return shape[0], 1, shape[1]
    if len(shape) == 1:
        return shape[0], 1, 1
    # What the host alone knows has one place.
    if not shape:
        return 1, 1, 1
    raise IrError(f"a value of shape {list(shape)} has not 1 to 3 dims")


def map_move(move: Rearrangement) -> Rearrangement:
    """A rearrangement of values as one of their feature maps."""
    # Where the dims of the value lie among those of its map.
    dims = (0, 2) if len(move.perm) == 2 else (0, 1, 2)[: len(move.perm)]
    perm = [dims[axis] for axis in move.perm]
    perm += [axis for axis in range(3) if axis not in perm]
    return Rearrangement(as_map(move.source), tuple(perm), as_map(move.result))


@dataclass(frozen=True)
class Location:
    """The ONNX nodes that an op stands for: (op type, node name), in execution order."""

    nodes: Nodes = ()

    def __add__(self, other: Location) -> Location:
        return Location.joined((self, other))

    @staticmethod
    def joined(locations: Iterable[Location]) -> Location:
        """The nodes of several locations, each once, where it comes first."""
        nodes = (node for location in locations for node in location.nodes)
        return Location(tuple(dict.fromkeys(nodes)))

    def __str__(self) -> str:
        return place_of(self.nodes)
