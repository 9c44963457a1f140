"""Sums and products of activations.

ConvInteger takes bytes: of wider activations and weights the bytes are convolved, each pair by
itself, and the sums are added up in int64, times what the bytes count for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from epimc.backends.forms.claims import (
    INT64,
    UINT8,
    Activation,
    Array,
    Claim,
    Constant,
    Dims,
    Node,
    Tensor,
    Term,
    channelwise,
    constant,
    window_attributes,
    zero_point_of,
)
from epimc.ir.semantics import arrays, windows

# ConvInteger accumulates in int32.
MAXIMUM_PARTIAL_SUM = 2**31 - 1

BYTE = 256


class Bytes(NamedTuple):
    """Activations of a byte, or one byte of wider ones.

    Attributes:
        tensor: Of uint8.
        zero_point: What stands for 0 in it.
        factor: What it counts for.
        label: Tells the bytes of one value apart; empty: there is one.
    """

    tensor: Tensor
    zero_point: Tensor
    factor: int = 1
    label: str = ""


class WeightBytes(NamedTuple):
    """Weights of a byte, or one byte of wider ones.

    Attributes:
        array: [Cout, Cin / groups, Kh, Kw].
        element: Its type in the reference.
        factor: What it counts for.
        label: Tells the bytes of one layer apart; empty: there is one.
    """

    array: Array
    element: str = "int8"
    factor: int = 1
    label: str = ""


def bytes_of(value: str, source: Activation) -> list[Bytes]:
    """The bytes of activations; `split` makes those of wide ones, for a value that reads them."""
    if not source.is_wide:
        return [Bytes(Tensor(source.name), zero_point_of(source.name))]
    return [
        Bytes(Tensor(value, "x", label), Tensor(value, "x_zero_point", label), factor, label)
        for label, factor in (("high", BYTE), ("low", 1))
    ]


def split(value: str, source: Activation) -> Iterator[Claim]:
    """What makes the bytes of wide activations."""
    if not source.is_wide:
        return
    roles = ("x_i64", "x_byte", "x_above", "x_rest")
    wide, byte, above, rest = (Tensor(value, role) for role in roles)
    yield Node(wide, "Cast", (Tensor(source.name),), {"to": INT64})
    yield constant(byte, BYTE)
    yield Node(above, "Div", (wide, byte))
    yield Node(rest, "Mod", (wide, byte))
    high, low = bytes_of(value, source)
    for part, made, zero_point in zip(
        (high, low), (above, rest), divmod(source.zero_point, BYTE), strict=True
    ):
        yield Node(part.tensor, "Cast", (made,), {"to": UINT8})
        # Both parts less their zero points are 0 where the activation is 0, in the padding too.
        yield constant(part.zero_point, zero_point, "uint8")


def weight_bytes(weights: Array) -> list[WeightBytes]:
    """The bytes of weights: one, or the upper one, which is signed, and the lower one.

    Beside activations without a sign ConvInteger is exact for weights with and without one.
    """
    low, high = int(weights.min(initial=0)), int(weights.max(initial=0))
    if low >= -128 and high <= 127:
        return [WeightBytes(weights)]
    return [
        WeightBytes(weights >> 8, "int8", BYTE, "high"),
        WeightBytes(weights & (BYTE - 1), "uint8", 1, "low"),
    ]


def summable_blocks(weights: Array, bits: int) -> list[int]:
    """Where to cut the input channels so that int32 holds the sum over each block.

    Args:
        weights: [Cout, Cin / groups, Kh, Kw], one byte of them.
        bits: Of the activations; of wider ones a byte counts.

    Returns:
        The first channel of every block, and their number.
    """
    magnitude = np.zeros(weights.shape[1], np.int64)
    for part in arrays.pieces(len(weights), weights[0].size):
        reached = np.abs(weights[part].astype(np.int64)).sum(axis=(2, 3))
        np.maximum(magnitude, reached.max(axis=0), out=magnitude)
    # Half of what fits: a block may reach that much beyond its share.
    blocks = np.cumsum(magnitude * (2 ** min(bits, 8) - 1)) // (MAXIMUM_PARTIAL_SUM // 2)
    return [0, *(np.flatnonzero(np.diff(blocks)) + 1).tolist(), weights.shape[1]]


def is_one_sum(weights: Array, bits: int) -> bool:
    """Whether int32 holds the sum over all channels, of each pair of bytes.

    Args:
        weights: [Cout, Cin / groups, Kh, Kw].
        bits: Of the activations.
    """
    return all(len(summable_blocks(part.array, bits)) == 2 for part in weight_bytes(weights))


class Product(NamedTuple):
    """A ConvInteger of some channels' bytes.

    Attributes:
        x: Of the activations.
        weights: Of the weights.
        first: The first input channel.
        end: The one behind the last.
        is_all: Whether that is all channels.
        key: Tells the products of a value apart.
    """

    x: Bytes
    weights: WeightBytes
    first: int
    end: int
    is_all: bool
    key: int | str


def products_of(value: str, source: Activation, weights: Array) -> Iterator[Product]:
    """All products that a convolution adds up: of each pair of bytes, of each block of channels."""
    parts = [(part, summable_blocks(part.array, source.bits)) for part in weight_bytes(weights)]
    for x in bytes_of(value, source):
        for part, edges in parts:
            labels = [label for label in (x.label, part.label) if label]
            for k, (first, end) in enumerate(pairwise(edges)):
                key = ".".join([str(k), *labels]) if labels else k
                yield Product(x, part, first, end, len(edges) == 2, key)


def convolution(
    value: str,
    source: Activation,
    weights: Array,
    bias: Array,
    window: windows.Window,
    groups: int,
) -> Iterator[Claim]:
    """ConvInteger, to int64, plus the bias.

    Blocks of input channels are added up in int64 where int32 does not hold their sum.

    Args:
        value: The accumulators.
        source: The activations.
        weights: Integers of at most 16 bits, [Cout, Cin / groups, Kh, Kw].
        bias: [Cout].
        window: Slides over the map.
        groups: Of channels; where there are several, `is_one_sum`.
    """
    attributes = {**window_attributes(window), "group": groups}
    yield from split(value, source)
    total: Tensor | None = None
    for each in products_of(value, source, weights):
        yield from convolved(value, each, attributes)
        wide = Tensor(value, "i64", each.key)
        if total is not None:
            yield Node(Tensor(value, "sum", each.key), "Add", (total, wide))
        total = wide if total is None else Tensor(value, "sum", each.key)
    assert total is not None
    added = Tensor(value, "bias")
    yield Constant(added, channelwise(bias))
    yield Node(Tensor(value), "Add", (total, added))


def convolved(value: str, of: Product, attributes: Mapping[str, Any]) -> Iterator[Claim]:
    """One product in int64, times what its bytes count for."""
    (x, weights, first, end, is_all, key), part = of, of.x.tensor
    # One block of all channels needs no slice.
    if not is_all:
        bounds = [Tensor(value, role, key) for role in ("first", "end", "axis")]
        for tensor, number in zip(bounds, (first, end, 1), strict=True):
            yield constant(tensor, [number])
        part = Tensor(value, "part", key)
        yield Node(part, "Slice", (x.tensor, *bounds))
    weight, narrow = Tensor(value, "weight", key), Tensor(value, "i32", key)
    yield Constant(weight, weights.array[:, first:end], weights.element)
    # onnxruntime pads with the zero point, as crossbars do.
    yield Node(narrow, "ConvInteger", (part, weight, x.zero_point), attributes)
    yield from widened(value, narrow, x.factor * weights.factor, key)


def widened(value: str, narrow: Tensor, factor: int, key: int | str | None) -> Iterator[Claim]:
    """A product as int64, times a number."""
    result = Tensor(value, "i64", key)
    if factor == 1:
        yield Node(result, "Cast", (narrow,), {"to": INT64})
        return
    unscaled, number = Tensor(value, "unscaled", key), Tensor(value, "factor", key)
    yield Node(unscaled, "Cast", (narrow,), {"to": INT64})
    yield constant(number, factor)
    yield Node(result, "Mul", (unscaled, number))


def sums(
    value: str,
    source: Activation,
    dims: Dims,
    window: windows.Window,
    counted: windows.Sides | None,
) -> Iterator[Claim]:
    """A depthwise ConvInteger with ones; the shares of the windows, where they differ.

    Args:
        value: The accumulators.
        source: The activations.
        dims: Of the activations.
        window: Slides over the map.
        counted: As of windows.sum_pool.
    """
    result = Tensor(value) if counted is None else Tensor(value, "total")
    yield from summed(value, source, dims, window, result)
    if counted is not None:
        shares = Tensor(value, "shares")
        yield Constant(shares, windows.window_shares(window, counted, dims[1:])[1])
        yield Node(Tensor(value), "Mul", (result, shares))


def summed(
    value: str, source: Activation, dims: Dims, window: windows.Window, result: Tensor
) -> Iterator[Claim]:
    """The sums of all windows, int64."""
    ones = Tensor(value, "ones")
    attributes = {**window_attributes(window), "group": dims[0]}
    yield constant(ones, np.ones((dims[0], 1, *window.kernel), np.int8), "int8")
    if not source.is_wide:
        narrow, inputs = Tensor(value, "i32"), bytes_of(value, source)[0]
        yield Node(narrow, "ConvInteger", (inputs.tensor, ones, inputs.zero_point), attributes)
        yield Node(result, "Cast", (narrow,), {"to": INT64})
        return
    yield from split(value, source)
    parts = bytes_of(value, source)
    for x in parts:
        narrow = Tensor(value, "i32", x.label)
        yield Node(narrow, "ConvInteger", (x.tensor, ones, x.zero_point), attributes)
        yield from widened(value, narrow, x.factor, x.label)
    high, low = (Tensor(value, "i64", x.label) for x in parts)
    yield Node(result, "Add", (high, low))


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
