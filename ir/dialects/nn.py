"""Dialect `nn`: the float operators of a network, one sample at a time.

Feature maps are [C, H, W], vectors are [K].  `max_pool` and `rearrange` move activations without
computing with them, so they keep their meaning after quantization.  Evaluated in float64.
"""

from __future__ import annotations

import inspect
import math

import numpy as np

from epimc.ir.core.attributes import INTEGER, NUMBER, TENSOR, maybe, pair, sides
from epimc.ir.core.attributes import integers as ints
from epimc.ir.core.levels import FLOATS, NN, QUANTIZED, up_to
from epimc.ir.core.op import (
    ACTIVATION,
    ANY_RANK,
    FLOAT,
    Array,
    Attribute,
    Lookup,
    Op,
    Operand,
    Result,
    Stored,
    per_channel,
)
from epimc.ir.core.registry import Dialect, register
from epimc.ir.core.traits import (
    Adds,
    ChannelAffine,
    Clips,
    Homogeneous,
    KeepsShape,
    Moves,
    Weighted,
)
from epimc.ir.core.types import as_map, expect
from epimc.ir.dialects.rules import (
    check_bias,
    check_counted,
    check_groups,
    expect_inside,
    expect_little_work,
    expect_maxima,
    window_shape,
)
from epimc.ir.semantics.floats import float_convolve
from epimc.ir.semantics.layouts import Rearrangement
from epimc.ir.semantics.windows import Window, common_multiple, gather, max_pool, window_counts

MAP = (3,)
VECTOR = (1,)
MOVABLE = FLOAT | ACTIVATION

# Layers with weights become epitomes; what moves elements does so with integers, too.
BEFORE_EPITOMES, MOVING = up_to(NN), up_to(QUANTIZED)


DIALECT = register(Dialect("nn", "the float operators of a network", inspect.cleandoc(__doc__)))


@DIALECT.op
class Conv(Weighted):
    """2-D convolution (cross-correlation) with constant weights [Cout, Cin / groups, Kh, Kw].

    Run g of `groups` equal runs of output channels is computed from run g of the input's alone.
    """

    name = "nn.conv"
    levels = BEFORE_EPITOMES
    x = Operand(FLOAT, MAP)
    weight = Attribute(TENSOR, stored=(FLOAT, 4))
    bias = Attribute(maybe(TENSOR), optional=True, stored=(FLOAT, 1))
    strides = Attribute(pair(1), (1, 1))
    pads = Attribute(sides(0), (0, 0, 0, 0))
    dilations = Attribute(pair(1), (1, 1))
    groups = Attribute(INTEGER, 1)
    result = Result(FLOAT)

    @property
    def group_count(self) -> int:
        """The attribute `groups`, under the name that all weighted ops have for it."""
        return self.groups

    def window(self, kernel: tuple[int, ...]) -> Window:
        """Its sliding window, the kernel being (Kh, Kw)."""
        return Window((kernel[0], kernel[1]), self.strides, self.pads, self.dilations)

    def result_shape(self, stored: Stored) -> tuple[int, ...]:
        """[Cout, Hout, Wout]; IrError where weights, bias, groups and operand do not fit."""
        cout, cin, *kernel = stored(self.weight).shape
        check_groups(self.groups, self.x.type.shape[0], cin, cout)
        check_bias(self.bias, stored, cout)
        window = self.window(tuple(kernel))
        result = window_shape(self.x.type.shape, cout, window)
        expect_little_work(self.x.type.shape[0], result, window)
        return result

    def scratch(self, stored: Stored) -> int:
        """The padded map."""
        return self.window(stored(self.weight).shape[2:]).padded(as_map(self.x.type.shape))

    def evaluate(self, inputs: list[Array], tensors: Lookup) -> Array:
        """The convolution in float64, the bias added to every position."""
        weights = tensors(self.weight)
        y = float_convolve(inputs[0], weights, self.window(weights.shape[2:]))
        return y if self.bias is None else y + per_channel(tensors(self.bias), 4)


@DIALECT.op
class Gemm(Weighted):
    """Vector times constant matrix: y[n] = sum_k weight[n, k] * x[k] + bias[n]."""

    name = "nn.gemm"
    levels = BEFORE_EPITOMES
    x = Operand(FLOAT, VECTOR)
    weight = Attribute(TENSOR, stored=(FLOAT, 2))
    bias = Attribute(maybe(TENSOR), optional=True, stored=(FLOAT, 1))
    result = Result(FLOAT)

    def result_shape(self, stored: Stored) -> tuple[int, ...]:
        """[N] for weights [N, K]; IrError unless the operand is [K]."""
        rows, columns = stored(self.weight).shape
        expect(self.x.type.shape == (columns,), f"the weights take {columns} inputs")
        check_bias(self.bias, stored, rows)
        return (rows,)

    def evaluate(self, inputs: list[Array], tensors: Lookup) -> Array:
        """x W^T + bias in float64, for every sample of the batch."""
        y: Array = inputs[0] @ tensors(self.weight).T.astype(np.float64)
        return y if self.bias is None else y + tensors(self.bias)


class AffineOp(ChannelAffine):
    """What the affine functions of each channel share."""

    x = Operand(FLOAT)

    def evaluate(self, inputs: list[Array], tensors: Lookup) -> Array:
        """x * scale + offset in float64, with one scale and offset a channel."""
        scale, offset = self.as_affine(tensors)
        # Counts the batch, as `per_channel` expects it.
        rank = inputs[0].ndim
        return inputs[0] * per_channel(scale, rank) + per_channel(offset, rank)


@DIALECT.op
class Affine(AffineOp):
    """y[c] = x[c] * scale[c] + offset[c]: a constant added or multiplied."""

    name = "nn.affine"
    levels = FLOATS
    scale = Attribute(maybe(TENSOR), optional=True, stored=(FLOAT, 1))
    offset = Attribute(maybe(TENSOR), optional=True, stored=(FLOAT, 1))
    result = Result(FLOAT)

    def result_shape(self, stored: Stored) -> tuple[int, ...]:
        """The shape of x; IrError unless there is one scale and offset a channel."""
        shape = super().result_shape(stored)
        for ref in (self.scale, self.offset):
            expect(ref is None or stored(ref).shape == shape[:1], f"expected {shape[0]} values")
        return shape

    def as_affine(self, tensors: Lookup) -> tuple[Array, Array]:
        """(scale, offset) in float64, one value a channel."""
        channels = self.x.type.shape[0]
        scale = np.ones(channels) if self.scale is None else tensors(self.scale)
        offset = np.zeros(channels) if self.offset is None else tensors(self.offset)
        return scale.astype(np.float64), offset.astype(np.float64)


@DIALECT.op
class BatchNorm(AffineOp):
    """Inference batch normalization: (x - mean) / sqrt(variance + epsilon) * scale + offset."""

    name = "nn.batch_norm"
    levels = BEFORE_EPITOMES
    scale = Attribute(TENSOR, stored=(FLOAT, 1))
    offset = Attribute(TENSOR, stored=(FLOAT, 1))
    mean = Attribute(TENSOR, stored=(FLOAT, 1))
    variance = Attribute(TENSOR, stored=(FLOAT, 1))
    epsilon = Attribute(NUMBER, 1e-5)
    result = Result(FLOAT)

    def result_shape(self, stored: Stored) -> tuple[int, ...]:
        """The shape of x; IrError unless there is one of each statistic a channel."""
        shape = super().result_shape(stored)
        for ref in (self.scale, self.offset, self.mean, self.variance):
            expect(stored(ref).shape == shape[:1], f"expected {shape[0]} values")
        return shape

    def as_affine(self, tensors: Lookup) -> tuple[Array, Array]:
        """(scale, offset) in float64, one value a channel."""
        mean, variance = (tensors(r).astype(np.float64) for r in (self.mean, self.variance))
        # No variance is negative; of one that is nothing finite comes, which calibration refuses.
        with np.errstate(invalid="ignore", divide="ignore"):
            scale = tensors(self.scale).astype(np.float64) / np.sqrt(variance + self.epsilon)
            return scale, tensors(self.offset).astype(np.float64) - mean * scale


@DIALECT.op
class Relu(KeepsShape, Clips, Homogeneous):
    """max(x, 0) of each element."""

    name = "nn.relu"
    levels = FLOATS
    bounds = (0.0, math.inf)
    x = Operand(FLOAT)
    result = Result(FLOAT)

    def evaluate(self, inputs: list[Array], tensors: Lookup) -> Array:
        """The maximum with 0, in the float64 of its operand."""
        result: Array = np.maximum(inputs[0], 0)
        return result


class Sum(KeepsShape, Adds):
    """What addition and subtraction share: a + `sign` * b, of equal shapes."""

    a = Operand(FLOAT)
    b = Operand(FLOAT)
    result = Result(FLOAT)

    def result_shape(self, stored: Stored) -> tuple[int, ...]:
        """The shape that both have; IrError where they differ: nothing is broadcast here."""
        a, b = self.a.type.shape, self.b.type.shape
        expect(a == b, f"shapes {list(a)} and {list(b)} differ")
        return a

    def evaluate(self, inputs: list[Array], tensors: Lookup) -> Array:
        """a + sign * b in float64."""
        result: Array = inputs[0] + self.sign * inputs[1]
        return result


@DIALECT.op
class Add(Sum):
    """a + b, of equal shapes."""

    name = "nn.add"
    levels = FLOATS
    sign = 1


class Windowed(Op):
    """What ops with a sliding window share."""

    kernel = Attribute(pair(1))
    strides = Attribute(pair(1), (1, 1))
    pads = Attribute(sides(0), (0, 0, 0, 0))
    dilations = Attribute(pair(1), (1, 1))

    @property
    def window(self) -> Window:
        """Kernel, strides, pads and dilations together."""
        return Window(self.kernel, self.strides, self.pads, self.dilations)


class Pool(Windowed):
    """What the pools share: a window over each channel by itself."""

    x = Operand(MOVABLE, MAP)

    def result_shape(self, stored: Stored) -> tuple[int, ...]:
        """[C, Hout, Wout]: a pool keeps the channels apart."""
        shape = self.operands[0].type.shape
        result = window_shape(shape, shape[0], self.window)
        expect_little_work(shape[0], result, self.window)
        return result

    def scratch(self, stored: Stored) -> int:
        """The padded map."""
        return self.window.padded(as_map(self.operands[0].type.shape))

    def check(self, stored: Stored) -> None:
        """Every window reads at least one element of the image."""
        super().check(stored)
        expect_inside(self.window)


@DIALECT.op
class MaxPool(Moves, Pool, Homogeneous):
    """Maximum over each window; padding never wins.  Also on activations, which keep their type."""

    name = "nn.max_pool"
    levels = MOVING
    result = Result(MOVABLE)

    def check(self, stored: Stored) -> None:
        """The result is of x's type; every window reads the image."""
        super().check(stored)
        expect_maxima(self.x.type.shape, self.window)

    def evaluate(self, inputs: list[Array], tensors: Lookup) -> Array:
        """On floats, or windows.max_pool on activations."""
        x = inputs[0]
        if np.issubdtype(x.dtype, np.integer):
            return max_pool(x.astype(np.int64), self.window)
        # Reals may be negative: padding is less than all of them, not 0.
        height = self.window.output_size(x.shape[2], 0)
        result: Array = gather(x, self.window, -np.inf, 0, height).max(axis=(2, 3))
        return result


class SummingPool(Pool):
    """What sums and means over windows share.

    Attributes:
        counted: How much of the padding counts, as 0, in the number of elements that a sum is
            divided by; absent: all of it, so that all windows have as many.
    """

    counted = Attribute(maybe(sides(0)), optional=True)

    @property
    def divisor(self) -> int:
        """What its sums, as integers of one step, are divided by to be means."""
        if self.counted is None:
            return self.kernel[0] * self.kernel[1]
        return common_multiple(self.window, self.counted, self.operands[0].type.shape[1:])

    def check(self, stored: Stored) -> None:
        """What counts is padding, and the numbers of elements have a common multiple."""
        super().check(stored)
        check_counted(self.counted, self.window, self.operands[0].type.shape)


@DIALECT.op
class AveragePool(SummingPool, Homogeneous):
    """Mean over each window, padding counted as 0, as far as it counts."""

    name = "nn.average_pool"
    levels = FLOATS
    x = Operand(FLOAT, MAP)
    result = Result(FLOAT)

    def evaluate(self, inputs: list[Array], tensors: Lookup) -> Array:
        """Sums in float64, each over the number of elements that count in its window."""
        x, window = inputs[0], self.window
        total = gather(x, window, 0, 0, window.output_size(x.shape[2], 0)).sum(axis=(2, 3))
        counted = window.pads if self.counted is None else self.counted
        result: Array = total / window_counts(window, counted, x.shape[2:])
        return result


@DIALECT.op
class Rearrange(Moves, Homogeneous):
    """The dims of x permuted, then cut anew to `shape`, row-major.

    Dim k of the permuted x is dim `perm`[k] of x.  A flatten is the case that permutes nothing.
    Also on activations, which keep their type.
    """

    name = "nn.rearrange"
    levels = MOVING
    x = Operand(MOVABLE)
    perm = Attribute(ints(minimum=0))
    shape = Attribute(ints(minimum=1))
    result = Result(MOVABLE)

    @property
    def move(self) -> Rearrangement:
        """What moves where in one sample."""
        return Rearrangement(self.x.type.shape, self.perm, self.shape)

    def result_shape(self, stored: Stored) -> tuple[int, ...]:
        """The attribute `shape`; IrError unless it has as many elements as x."""
        rank = len(self.x.type.shape)
        named = sorted(self.perm) == list(range(rank))
        expect(named, f"'perm' must name each of the {rank} dims of the operand once")
        expect(len(self.shape) in ANY_RANK, "'shape' must have 1 to 3 dims")
        size = self.x.type.size
        expect(math.prod(self.shape) == size, f"'shape' must have {size} elements")
        return self.shape

    @property
    def is_homogeneous(self) -> bool:
        """A flatten is: behind it come the elements of one channel after those of the last."""
        rank = len(self.x.type.shape)
        return self.perm == tuple(range(rank)) and self.shape == (self.x.type.size,)

    def evaluate(self, inputs: list[Array], tensors: Lookup) -> Array:
        """A transposition and a reshape."""
        return self.move.apply(inputs[0])
