"""The forms that computations have in the integer reference: constants and nodes, as data.

A form is used twice.  The exporter writes it with the numbers of an op of the IR; the proof claims
it with the numbers of a table of the program.  So the reference equals the program's claims, to
the last node and number, exactly where the numbers of both are equal.  That a form computes what
it should is seen elsewhere: onnxruntime runs it beside the interpreter and the simulator.

Every operator is one that onnxruntime's CPU kernels compute without saturation or rounding of
their own: ConvInteger (u8 x s8, padding with the zero point), int64 arithmetic, MaxPool on u8.  A
matmul is a 1x1 ConvInteger, since MatMulInteger saturates for u8 x s8.  Every value is a map
[N, C, H, W], whatever dims the user's tensor has: only at the borders it is cut as the user has it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from epimc.ir.semantics import arrays, windows
from epimc.ir.semantics.layouts import Runs, indices

Array = NDArray[Any]
Dims = tuple[int, int, int]

# What ONNX calls the element types of Cast.
UINT8, INT64 = 2, 7

# ConvInteger accumulates in int32.
MAXIMUM_PARTIAL_SUM = 2**31 - 1

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


# --- borders --------------------------------------------------------------------------------------


def activation(value: str, scale: float, zero_point: int) -> Iterator[Claim]:
    """What an activation stands for; whoever quantizes or pads it reads it here."""
    yield constant(scale_of(value), np.float32(scale), "float32")
    yield constant(zero_point_of(value), zero_point, "uint8")


def quantized_input(port: str, value: str, bits: int, dims: Dims) -> Iterator[Claim]:
    """An input of the model as a map."""
    yield from quantized(Tensor(port, PORT), value, bits, dims)


def quantized(real: Tensor, value: str, bits: int, dims: Dims) -> Iterator[Claim]:
    """QuantizeLinear, cut to as many bits as there are, and to a map."""
    inputs = real, scale_of(value), zero_point_of(value)
    rounded, clipped = Tensor(value, "rounded"), Tensor(value, "clipped")
    low, high, shape = (Tensor(value, role) for role in ("low", "high", "dims"))
    yield Node(rounded, "QuantizeLinear", inputs)
    yield constant(low, 0, "uint8")
    yield constant(high, 2**bits - 1, "uint8")
    yield Node(clipped, "Clip", (rounded, low, high))
    yield constant(shape, [-1, *dims])
    yield Node(Tensor(value), "Reshape", (clipped, shape))


def dequantized_output(port: str, value: str, shape: Sequence[int]) -> Iterator[Claim]:
    """The value as the user has it, and DequantizeLinear."""
    cut, sizes = Tensor(value, "cut", port), Tensor(value, "cut_shape", port)
    yield constant(sizes, [-1, *shape])
    yield Node(cut, "Reshape", (Tensor(value), sizes))
    inputs = cut, scale_of(value), zero_point_of(value)
    yield Node(Tensor(port, PORT), "DequantizeLinear", inputs)


# --- sums -----------------------------------------------------------------------------------------


def summable_blocks(weights: Array, bits: int) -> list[int]:
    """Where to cut the input channels so that int32 holds the sum over each block.

    Args:
        weights: [Cout, Cin / groups, Kh, Kw].
        bits: Of the activations.

    Returns:
        The first channel of every block, and their number.
    """
    magnitude = np.zeros(weights.shape[1], np.int64)
    for part in arrays.pieces(len(weights), weights[0].size):
        reached = np.abs(weights[part].astype(np.int64)).sum(axis=(2, 3))
        np.maximum(magnitude, reached.max(axis=0), out=magnitude)
    # Half of what fits: a block may reach that much beyond its share.
    blocks = np.cumsum(magnitude * (2**bits - 1)) // (MAXIMUM_PARTIAL_SUM // 2)
    return [0, *(np.flatnonzero(np.diff(blocks)) + 1).tolist(), weights.shape[1]]


def convolution(
    value: str,
    source: str,
    weights: Array,
    bias: Array,
    window: windows.Window,
    groups: int,
    edges: Sequence[int],
) -> Iterator[Claim]:
    """ConvInteger, to int64, plus the bias.

    Args:
        value: The accumulators.
        source: The activations.
        weights: [Cout, Cin / groups, Kh, Kw].
        bias: [Cout].
        window: Slides over the map.
        groups: Of channels.
        edges: Blocks of input channels, between which the sums are added in int64, since
            ConvInteger adds in int32; of all channels where there are groups.
    """
    attributes = {**window_attributes(window), "group": groups}
    total: Tensor | None = None
    for k, (first, end) in enumerate(pairwise(edges)):
        part = Tensor(source)
        # One block of all channels needs no slice.
        if len(edges) > 2:
            bounds = [Tensor(value, role, k) for role in ("first", "end", "axis")]
            for tensor, number in zip(bounds, (first, end, 1), strict=True):
                yield constant(tensor, [number])
            part = Tensor(value, "part", k)
            yield Node(part, "Slice", (Tensor(source), *bounds))
        weight, narrow, wide = (Tensor(value, role, k) for role in ("weight", "i32", "i64"))
        yield Constant(weight, weights[:, first:end], "int8")
        # onnxruntime pads with the zero point, as crossbars do.
        yield Node(narrow, "ConvInteger", (part, weight, zero_point_of(source)), attributes)
        yield Node(wide, "Cast", (narrow,), {"to": INT64})
        if total is not None:
            yield Node(Tensor(value, "sum", k), "Add", (total, wide))
        total = wide if total is None else Tensor(value, "sum", k)
    assert total is not None
    added = Tensor(value, "bias")
    yield Constant(added, channelwise(bias))
    yield Node(Tensor(value), "Add", (total, added))


def sums(
    value: str, source: str, dims: Dims, window: windows.Window, counted: windows.Sides | None
) -> Iterator[Claim]:
    """A depthwise ConvInteger with ones; the shares of the windows, where they differ.

    Args:
        value: The accumulators.
        source: The activations.
        dims: Of the activations.
        window: Slides over the map.
        counted: As of windows.sum_pool.
    """
    ones, narrow = Tensor(value, "ones"), Tensor(value, "i32")
    attributes = {**window_attributes(window), "group": dims[0]}
    yield constant(ones, np.ones((dims[0], 1, *window.kernel), np.int8), "int8")
    yield Node(narrow, "ConvInteger", (Tensor(source), ones, zero_point_of(source)), attributes)
    total = Tensor(value) if counted is None else Tensor(value, "total")
    yield Node(total, "Cast", (narrow,), {"to": INT64})
    if counted is not None:
        shares = Tensor(value, "shares")
        yield Constant(shares, windows.window_shares(window, counted, dims[1:])[1])
        yield Node(Tensor(value), "Mul", (total, shares))


def centred(value: str, k: int, term: Term) -> Iterator[Claim]:
    """An operand as int64 less its zero point; accumulators are that already."""
    source, zero_point = term
    if zero_point is None:
        return
    wide, zero = Tensor(value, "x_i64", k), Tensor(value, "x_zero_point", k)
    yield Node(wide, "Cast", (Tensor(source),), {"to": INT64})
    yield constant(zero, zero_point)
    yield Node(Tensor(value, "x", k), "Sub", (wide, zero))


def centred_tensor(value: str, k: int, term: Term) -> Tensor:
    """The name of the tensor that `centred` makes, or of the source where it makes none."""
    source, zero_point = term
    return Tensor(source) if zero_point is None else Tensor(value, "x", k)


def product(value: str, terms: Sequence[Term]) -> Iterator[Claim]:
    """Int64, both operands less their zero points."""
    for k, term in enumerate(terms):
        yield from centred(value, k, term)
    factors = tuple(centred_tensor(value, k, term) for k, term in enumerate(terms))
    yield Node(Tensor(value), "Mul", factors)


# --- requantization -------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Rescaling:
    """The numbers of a requantization, as of requantize.

    Attributes:
        multipliers: int64 [terms, C].
        shifts: int64 [C].
        offsets: int64 [C].
        zero_point: Of the result.
        low: Smallest result.
        high: Largest result.
    """

    multipliers: arrays.Ints
    shifts: arrays.Ints
    offsets: arrays.Ints
    zero_point: int
    low: int
    high: int


def requantization(value: str, terms: Sequence[Term], to: Rescaling) -> Iterator[Claim]:
    """Int64 multiply-add, floor division (a - Mod(a, d)) / d, bounds."""
    total: Tensor | None = None
    for k, term in enumerate(terms):
        yield from centred(value, k, term)
        factor, scaled = Tensor(value, "multipliers", k), Tensor(value, "term", k)
        yield Constant(factor, channelwise(to.multipliers[k]))
        yield Node(scaled, "Mul", (centred_tensor(value, k, term), factor))
        if total is not None:
            yield Node(Tensor(value, "sum", k), "Add", (total, scaled))
        total = scaled if total is None else Tensor(value, "sum", k)
    assert total is not None
    if to.offsets.any():
        offsets = Tensor(value, "offsets")
        yield Constant(offsets, channelwise(to.offsets))
        yield Node(Tensor(value, "moved"), "Add", (total, offsets))
        total = Tensor(value, "moved")
    yield from divided(value, total, to.shifts)
    yield from bounded(value, Tensor(value, "steps"), to)


def divided(value: str, total: Tensor, shifts: arrays.Ints) -> Iterator[Claim]:
    """A sum by 2^shifts, half up: the steps."""
    half, divisor = Tensor(value, "half"), Tensor(value, "divisor")
    rounded, rest, even, steps = (
        Tensor(value, role) for role in ("rounded", "rest", "even", "steps")
    )
    yield Constant(half, channelwise(np.left_shift(np.int64(1), shifts - 1)))
    yield Constant(divisor, channelwise(np.left_shift(np.int64(1), shifts)))
    yield Node(rounded, "Add", (total, half))
    # Div truncates toward zero; less its floored rest, a number divides evenly.
    yield Node(rest, "Mod", (rounded, divisor))
    yield Node(even, "Sub", (rounded, rest))
    yield Node(steps, "Div", (even, divisor))


def bounded(value: str, steps: Tensor, to: Rescaling) -> Iterator[Claim]:
    """The steps from the zero point on, between the bounds.

    Comparisons are exact; Clip, Min and Max take a value from 2^31 to 2^32 - 1 for a negative one.
    """
    added, shifted = Tensor(value, "added"), Tensor(value, "shifted")
    yield constant(added, to.zero_point)
    yield Node(shifted, "Add", (steps, added))
    for role, comparison, number in (("low", "Less", to.low), ("high", "Greater", to.high)):
        bound, beyond = Tensor(value, role), Tensor(value, f"{role}_beyond")
        clipped = Tensor(value, f"{role}_clipped")
        yield constant(bound, number)
        yield Node(beyond, comparison, (shifted, bound))
        yield Node(clipped, "Where", (beyond, bound, shifted))
        shifted = clipped
    yield Node(Tensor(value), "Cast", (shifted,), {"to": UINT8})


# --- activations to activations -------------------------------------------------------------------


def maximum(value: str, source: str, window: windows.Window) -> Iterator[Claim]:
    """MaxPool, which onnxruntime computes on uint8; its padding never wins."""
    yield Node(Tensor(value), "MaxPool", (Tensor(source),), window_attributes(window))


def look_up(value: str, source: str, rows: Array) -> Iterator[Claim]:
    """Gather over the whole table, the rows of which lie one behind the other.

    Args:
        value: The result.
        source: The indices.
        rows: [1, n] or, a row a channel, [C, n].
    """
    index, values = Tensor(value, "index"), Tensor(value, "values")
    yield Node(index, "Cast", (Tensor(source),), {"to": INT64})
    if len(rows) > 1:
        starts, moved = Tensor(value, "starts"), Tensor(value, "moved")
        yield Constant(starts, channelwise(np.arange(len(rows)) * rows.shape[1]))
        yield Node(moved, "Add", (index, starts))
        # Each channel has its own row of the table.
        index = moved
    yield Constant(values, rows.ravel(), "uint8")
    yield Node(Tensor(value), "Gather", (values, index), {"axis": 0})


def concatenation(value: str, sources: Sequence[str], axis: int) -> Iterator[Claim]:
    """Concat along channels (0), rows (1) or columns (2)."""
    yield Node(Tensor(value), "Concat", tuple(map(Tensor, sources)), {"axis": axis + 1})


def selection(value: str, source: str, runs: Sequence[Runs]) -> Iterator[Claim]:
    """Gather along every dim of the map where there is something to choose."""
    chosen, taken = [(axis, some) for axis, some in enumerate(runs) if some], Tensor(source)
    for axis, some in chosen:
        last = axis == chosen[-1][0]
        numbers, result = Tensor(value, "chosen", axis), Tensor(value, "taken", axis)
        yield Constant(numbers, indices(some))
        yield Node(
            Tensor(value) if last else result, "Gather", (taken, numbers), {"axis": axis + 1}
        )
        taken = result


def fixed(value: str, port: str, values: Array) -> Iterator[Claim]:
    """The same map for as many samples as an input has.

    Args:
        value: The result.
        port: Any input; empty where the graph runs one sample at a time.
        values: [C, H, W].
    """
    if not port:
        only = Tensor(value, "values")
        yield Constant(only, values[None], "uint8")
        yield Node(Tensor(value), "Identity", (only,))
        return
    shape, samples, sizes = (Tensor(value, role) for role in ("input_shape", "samples", "sizes"))
    first, end, dims, content = (Tensor(value, role) for role in ("first", "end", "dims", "values"))
    yield Node(shape, "Shape", (Tensor(port, PORT),))
    yield constant(first, [0])
    yield constant(end, [1])
    # The number of samples is known only when the graph runs.
    yield Node(samples, "Slice", (shape, first, end))
    yield constant(dims, values.shape)
    yield Node(sizes, "Concat", (samples, dims), {"axis": 0})
    yield Constant(content, values[None], "uint8")
    yield Node(Tensor(value), "Expand", (content, sizes))


def padding(
    value: str, source: str, channels: tuple[int, int], pads: windows.Sides
) -> Iterator[Claim]:
    """Pad with the zero point."""
    (before, after), (top, left, bottom, right) = channels, pads
    widths = Tensor(value, "pads")
    yield constant(widths, [0, before, top, left, 0, after, bottom, right])
    inputs = Tensor(source), widths, zero_point_of(source)
    yield Node(Tensor(value), "Pad", inputs, {"mode": "constant"})


def rearrangement(value: str, source: str, perm: Sequence[int], dims: Dims) -> Iterator[Claim]:
    """Transpose over the dims of the map, then cut anew."""
    moved, shape = Tensor(value, "permuted"), Tensor(value, "shape")
    axes = [0, *(axis + 1 for axis in perm)]
    yield Node(moved, "Transpose", (Tensor(source),), {"perm": axes})
    yield constant(shape, [-1, *dims])
    yield Node(Tensor(value), "Reshape", (moved, shape))


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


def leaving(call: str, k: int, source: str) -> Iterator[Claim]:
    """Operand `k` of a host call, before it is cut as the fragment has it: DequantizeLinear."""
    inputs = Tensor(source), scale_of(source), zero_point_of(source)
    yield Node(Tensor(call, "real", k), "DequantizeLinear", inputs)


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
