"""Where reals become activations and back: at the borders of the model, and of the host."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from epimc.backends.forms.claims import (
    FLOAT,
    PORT,
    UINT16,
    Activation,
    Claim,
    Dims,
    Node,
    Tensor,
    constant,
    element_of,
    is_wide,
    scale_of,
    zero_point_of,
)


def activation(value: Activation, scale: float) -> Iterator[Claim]:
    """What an activation stands for; whoever quantizes or pads it reads it here."""
    yield constant(scale_of(value.name), np.float32(scale), "float32")
    yield constant(zero_point_of(value.name), value.zero_point, element_of(value.bits))


def quantized_input(port: str, value: str, bits: int, dims: Dims) -> Iterator[Claim]:
    """An input of the model as a map."""
    yield from quantized(Tensor(port, PORT), value, bits, dims)


def quantized(real: Tensor, value: str, bits: int, dims: Dims) -> Iterator[Claim]:
    """Rounded, cut to as many bits as there are, and to a map."""
    shape = Tensor(value, "dims")
    yield from (
        rounded_to_words(real, value, bits)
        if is_wide(bits)
        else rounded_to_bytes(real, value, bits)
    )
    yield constant(shape, [-1, *dims])
    yield Node(Tensor(value), "Reshape", (Tensor(value, "clipped"), shape))


def rounded_to_bytes(real: Tensor, value: str, bits: int) -> Iterator[Claim]:
    """QuantizeLinear, whose results are clipped to the bits."""
    rounded, low, high = (Tensor(value, role) for role in ("rounded", "low", "high"))
    yield Node(rounded, "QuantizeLinear", (real, scale_of(value), zero_point_of(value)))
    yield constant(low, 0, "uint8")
    yield constant(high, 2**bits - 1, "uint8")
    yield Node(Tensor(value, "clipped"), "Clip", (rounded, low, high))


def rounded_to_words(real: Tensor, value: str, bits: int) -> Iterator[Claim]:
    """What QuantizeLinear is by its definition: of two bytes it came late to ONNX.

    In float32, which holds all integers up to 2^24: what is rounded there, Clip cuts off.
    """
    names = ("scaled", "rounded", "low", "high", "moved", "inside")
    scaled, rounded, low, high, moved, inside = (Tensor(value, role) for role in names)
    zero_point = Tensor(value, "zero_point_f32")
    yield Node(scaled, "Div", (real, scale_of(value)))
    # Half to even.
    yield Node(rounded, "Round", (scaled,))
    yield Node(zero_point, "Cast", (zero_point_of(value),), {"to": FLOAT})
    yield Node(moved, "Add", (rounded, zero_point))
    yield constant(low, 0, "float32")
    yield constant(high, 2**bits - 1, "float32")
    yield Node(inside, "Clip", (moved, low, high))
    yield Node(Tensor(value, "clipped"), "Cast", (inside,), {"to": UINT16})


def dequantized_output(port: str, value: str, bits: int, shape: Sequence[int]) -> Iterator[Claim]:
    """The value as the user has it, in real numbers."""
    cut, sizes = Tensor(value, "cut", port), Tensor(value, "cut_shape", port)
    yield constant(sizes, [-1, *shape])
    yield Node(cut, "Reshape", (Tensor(value), sizes))
    yield from dequantized(Tensor(port, PORT), cut, value, bits, port)


def dequantized(real: Tensor, source: Tensor, value: str, bits: int, key: str) -> Iterator[Claim]:
    """DequantizeLinear, or what it is by its definition.

    Args:
        real: The result.
        source: The activations, perhaps in another shape.
        value: Whose activations they are.
        bits: Of an activation.
        key: Tells the readers of a value apart.
    """
    if not is_wide(bits):
        yield Node(real, "DequantizeLinear", (source, scale_of(value), zero_point_of(value)))
        return
    roles = ("f32", "zero_point_f32_of", "difference")
    floats, zero_point, difference = (Tensor(value, role, key) for role in roles)
    yield Node(floats, "Cast", (source,), {"to": FLOAT})
    yield Node(zero_point, "Cast", (zero_point_of(value),), {"to": FLOAT})
    yield Node(difference, "Sub", (floats, zero_point))
    yield Node(real, "Mul", (difference, scale_of(value)))


# --- the host -------------------------------------------------------------------------------------


HOST = "host"
"""The role of what belongs to a fragment; its key is the name that it has there."""


class HostValue(NamedTuple):
    """A value that the host alone knows: a result of a call, or an input of the model.

    Attributes:
        name: Of the call; or the user's, of the input.
        result: The number of the result; None: it is an input.
    """

    name: str
    result: int | None = None

    @property
    def tensor(self) -> Tensor:
        """What stands for it in the reference."""
        if self.result is None:
            return Tensor(self.name, PORT)
        return Tensor(self.name, "result", self.result)


def leaving(call: str, k: int, source: str, bits: int) -> Iterator[Claim]:
    """Operand `k` of a host call, in real numbers, before it is cut as the fragment has it."""
    yield from dequantized(Tensor(call, "real", k), Tensor(source), source, bits, f"{call}/{k}")


def shaped_operand(call: str, k: int, shape: Sequence[int]) -> Iterator[Claim]:
    """Operand `k` of a host call, which has left the chip, as the fragment has it."""
    sizes = Tensor(call, "x_shape", k)
    yield constant(sizes, shape)
    yield Node(Tensor(call, "x", k), "Reshape", (Tensor(call, "real", k), sizes))


def entering(value: HostValue, name: str, bits: int, dims: Dims) -> Iterator[Claim]:
    """A tensor of the host, quantized into a map as an input is; NaN in it, which is 0."""
    wrong, zero, right = (Tensor(name, role) for role in ("nan", "zero", "number"))
    yield Node(wrong, "IsNaN", (value.tensor,))
    yield constant(zero, 0, "float32")
    yield Node(right, "Where", (wrong, zero, value.tensor))
    yield from quantized(right, name, bits, dims)


# Which onnxruntime copies with no Identity, but with a Cast to what they are.
CAST_ALONE = {
    "tensor(uint4)": 21,
    "tensor(int4)": 22,
    "tensor(float8e8m0)": 24,
    "tensor(uint2)": 25,
    "tensor(int2)": 26,
}


def host_output(port: str, value: HostValue, kind: str) -> Iterator[Claim]:
    """An output of the model that the host gives; one that is an input of it has no node.

    Args:
        port: The user's name.
        value: What it is.
        kind: Its type, as onnxruntime says it.
    """
    if value != HostValue(port):
        operator, attributes = copied(kind)
        yield Node(Tensor(port, PORT), operator, (value.tensor,), attributes)


def copied(kind: str) -> tuple[str, dict[str, int]]:
    """The operator that copies a value of a type, as onnxruntime says it, and its attributes."""
    if kind in CAST_ALONE:
        return "Cast", {"to": CAST_ALONE[kind]}
    return "Identity", {}
