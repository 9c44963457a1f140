"""Dialect `epi`: epitome convolutions, and the integer operators that quantization introduces.

`epi.conv` is one op for both: on floats up to level `calibrated`, on activations at level
`quantized`, where it yields exact int64 accumulators.
"""

from __future__ import annotations

import inspect
import math

import numpy as np

from epimc.ir.core.attributes import INTEGER, TENSOR, maybe
from epimc.ir.core.levels import EPI, QUANTIZED, from_level, up_to
from epimc.ir.core.op import (
    ACCUMULATOR,
    ACTIVATION,
    FLOAT,
    Array,
    Attribute,
    Lookup,
    Op,
    Operand,
    Result,
    Stored,
    activations,
    per_channel,
)
from epimc.ir.core.registry import Dialect, register
from epimc.ir.core.traits import Border, KeepsShape
from epimc.ir.core.types import as_map, expect
from epimc.ir.dialects.elementwise import product_shape
from epimc.ir.dialects.nn import SummingPool
from epimc.ir.dialects.rules import check_bias, check_groups, expect_little_work, window_shape
from epimc.ir.epitome.epitomized import Epitomized
from epimc.ir.epitome.plan import check as check_plan
from epimc.ir.epitome.plan import identity
from epimc.ir.semantics.convolution import convolve
from epimc.ir.semantics.elementwise import lookup, multiply
from epimc.ir.semantics.floats import float_convolve
from epimc.ir.semantics.quantization import dequantize_output, quantize_input
from epimc.ir.semantics.requantization import requantize
from epimc.ir.semantics.windows import sum_pool

EPITOMES = from_level(EPI) & up_to(QUANTIZED)
INTEGERS = frozenset({QUANTIZED})

DIALECT = register(
    Dialect(
        "epi",
        "epitomes, and the integer operators that quantization introduces",
        inspect.cleandoc(__doc__),
    )
)


@DIALECT.op
class Conv(Epitomized):
    """Convolution by an epitome: weights W of `shape` [Cout, Cin / groups, Kh, Kw], over `plan`.

    The epitome is [groups * Eo, Ei, Eh, Ew]: columns g * Eo and on are those of group g.  A
    matmul is the case of a vector operand and Kh = Kw = 1.  On activations the result is
    sum of W * (q - zero point) + bias, the bias being in units of the accumulator.
    `weight_scales` are the real steps of the epitome's columns; on floats they and `weight_bits`
    say what `quantize` is to make of the epitome, where that is decided already.
    """

    name = "epi.conv"
    levels = EPITOMES

    def result_shape(self, stored: Stored) -> tuple[int, ...]:
        """[Cout, Hout, Wout], or [Cout] of a vector."""
        cout, cin = self.shape[:2]
        x = self.x.type.shape
        check_groups(self.groups, x[0], cin, cout)
        shape = window_shape(x, cout, self.window)
        expect_little_work(x[0], shape, self.window)
        expect(len(x) == 3 or shape[1:] == (1, 1), "a vector takes a 1x1 kernel")
        return shape if len(x) == 3 else shape[:1]

    def scratch(self, stored: Stored) -> int:
        """The padded map, and the rebuilt weights where these are not the epitome itself."""
        rebuilt = 0 if self.plan == identity(self.weights_shape) else math.prod(self.shape)
        return rebuilt + self.window.padded(as_map(self.x.type.shape))

    def check(self, stored: Stored) -> None:
        """The plan holds; floats and integers are not mixed."""
        epitome = stored(self.epitome)
        eo, ei, eh, ew = epitome.shape
        check_plan(self.plan, self.weights_shape, (eo, ei, eh, ew), self.groups)
        check_bias(self.bias, stored, self.shape[0])
        if self.weight_scales is not None:
            scales = stored(self.weight_scales).shape
            expect(scales == (eo,), f"there must be {eo} weight scales")
        rule = "a weight has 1 to 16 bits"
        expect(self.weight_bits is None or 1 <= self.weight_bits <= 16, rule)
        real = self.x.type.element == "f32"
        elements = [epitome.element == "f32", self.output.type.element == "f32"]
        elements += [stored(self.bias).element == "f32"] if self.bias else []
        rule = "operand, epitome, bias and result must agree: all floats or all integers"
        expect(set(elements) == {real}, rule)

    def evaluate(self, inputs: list[Array], tensors: Lookup) -> Array:
        """In float64, or convolution.convolve."""
        # A vector is a map of 1 by 1, so that a matmul is a convolution.
        x = inputs[0].reshape(len(inputs[0]), *as_map(self.x.type.shape))
        weights = self.weights(tensors)
        if self.x.type.element == "f32":
            y = float_convolve(x, weights, self.window)
            y = y if self.bias is None else y + per_channel(tensors(self.bias), 4)
        else:
            # In units of the accumulator already: nothing is scaled here.
            bias = np.zeros(len(weights), np.int64) if self.bias is None else tensors(self.bias)
            kind = self.x.type
            y = convolve(
                activations(x), activations(weights), bias, self.window, kind.zero_point, kind.bits
            )
        return y.reshape(len(x), *self.output.type.shape)


@DIALECT.op
class Quantize(KeepsShape, Border):
    """The border: real inputs to activations (quantization.quantize_input); the host does it."""

    name = "epi.quantize"
    levels = INTEGERS
    inward = True
    x = Operand(FLOAT)
    result = Result(ACTIVATION)

    def evaluate(self, inputs: list[Array], tensors: Lookup) -> Array:
        """As QuantizeLinear of ONNX: a float32 division, rounded half to even, then clipped."""
        kind = self.output.type
        return quantize_input(inputs[0], kind.step, kind.zero_point, kind.bits)


@DIALECT.op
class Dequantize(KeepsShape, Border):
    """The border: activations to reals (quantization.dequantize_output); the host does it."""

    name = "epi.dequantize"
    levels = INTEGERS
    inward = False
    x = Operand(ACTIVATION)
    result = Result(FLOAT)

    def evaluate(self, inputs: list[Array], tensors: Lookup) -> Array:
        """As DequantizeLinear of ONNX: (q - zero point) * scale, in float32."""
        kind = self.x.type
        return dequantize_output(inputs[0], kind.step, kind.zero_point)


@DIALECT.op
class SumPool(SummingPool):
    """Accumulators: the sum over each window of q - zero point; padding adds nothing.

    With `counted`, each times the least common multiple of all windows' counts over its own.
    """

    name = "epi.sum_pool"
    levels = INTEGERS
    x = Operand(ACTIVATION, (3,))
    result = Result(ACCUMULATOR)

    def evaluate(self, inputs: list[Array], tensors: Lookup) -> Array:
        """int64 sums of each window, as `windows.sum_pool` defines them."""
        zero_point = self.x.type.zero_point
        return sum_pool(activations(inputs[0]), self.window, zero_point, self.counted)


class Rescale(Op):
    """What the requantizations of dialects `epi` and `xbar` share: everything but the name."""

    terms = Operand(ACCUMULATOR | ACTIVATION, variadic=True)
    multipliers = Attribute(TENSOR, stored=(ACCUMULATOR, 2))
    shifts = Attribute(TENSOR, stored=(ACCUMULATOR, 1))
    offsets = Attribute(maybe(TENSOR), optional=True, stored=(ACCUMULATOR, 1))
    low = Attribute(INTEGER)
    high = Attribute(INTEGER)
    result = Result(ACTIVATION)

    def result_shape(self, stored: Stored) -> tuple[int, ...]:
        """That of the terms."""
        shape = self.operands[0].type.shape
        expect(all(v.type.shape == shape for v in self.operands), "the terms' shapes differ")
        multipliers, shifts = stored(self.multipliers).shape, stored(self.shifts).shape
        expected = (len(self.operands), shape[0])
        expect(multipliers == expected, f"the multipliers must be of shape {list(expected)}")
        expect(shifts == expected[1:], f"there must be {shape[0]} shifts")
        plain = self.offsets is None or stored(self.offsets).shape == expected[1:]
        expect(plain, f"there must be {shape[0]} offsets")
        return shape

    def added(self, tensors: Lookup) -> Array:
        """The offsets int64 [C]; 0 where there are none."""
        if self.offsets is None:
            return np.zeros(self.output.type.shape[0], np.int64)
        return tensors(self.offsets)

    def check(self, stored: Stored) -> None:
        """The bounds are values of the result."""
        super().check(stored)
        inside = 0 <= self.low <= self.high < 2**self.output.type.bits
        expect(inside, f"[{self.low}, {self.high}] is no range of {self.output.type.element}")

    def evaluate(self, inputs: list[Array], tensors: Lookup) -> Array:
        """All terms less their zero points, added and rounded once, by `requantize`."""
        terms = [
            activations(x) - operand.type.zero_point
            for x, operand in zip(inputs, self.operands, strict=True)
        ]
        multipliers, shifts = tensors(self.multipliers), tensors(self.shifts)
        # The zero point is added behind the shift, the offsets before it.
        zero_point, offsets = self.output.type.zero_point, self.added(tensors)
        return requantize(terms, multipliers, shifts, zero_point, self.low, self.high, offsets)


@DIALECT.op
class Requantize(Rescale):
    """Accumulators and activations, each with its multipliers, to one activation: rounds once.

    requantization.requantize over (operand - its zero point).  A fused relu is `low` = the result's
    zero point.  `offsets` are in units of the sum before the shift.
    """

    name = "epi.requantize"
    levels = INTEGERS


class Product(Op):
    """What the products of dialects `epi` and `xbar` share: everything but the name."""

    a = Operand(ACTIVATION)
    b = Operand(ACTIVATION)
    result = Result(ACCUMULATOR)

    def result_shape(self, stored: Stored) -> tuple[int, ...]:
        """The shape of a, to which b is broadcast; IrError where b does not fit."""
        return product_shape(self)

    def evaluate(self, inputs: list[Array], tensors: Lookup) -> Array:
        """int64 products of both operands less their zero points."""
        zero_points = self.a.type.zero_point, self.b.type.zero_point
        return multiply(activations(inputs[0]), activations(inputs[1]), zero_points)


@DIALECT.op
class Multiply(Product):
    """Accumulators (a - its zero point) * (b - its zero point); b may be [C, 1, 1]."""

    name = "epi.multiply"
    levels = INTEGERS


class TableLookUp(KeepsShape):
    """What the look-ups of dialects `epi` and `xbar` share: everything but the name."""

    x = Operand(ACTIVATION)
    table = Attribute(TENSOR, stored=(ACTIVATION, 2))
    result = Result(ACTIVATION)

    def check(self, stored: Stored) -> None:
        """The table has an entry of the result's type for every value of x."""
        super().check(stored)
        table, kind = stored(self.table), self.x.type
        fits = table.shape[0] in (1, kind.shape[0]) and table.shape[1] == 2**kind.bits
        expect(fits, f"the table must be [1 or {kind.shape[0]}, {2**kind.bits}]")
        element = self.output.type.element
        expect(table.element == element, f"the table must hold {element}")

    def evaluate(self, inputs: list[Array], tensors: Lookup) -> Array:
        """The entry of each activation; in a table of several rows, of the row of its channel."""
        return lookup(activations(inputs[0]), activations(tensors(self.table)))


@DIALECT.op
class LookUp(TableLookUp):
    """table[q], or table[c, q] in channel c, where the table has a row for each."""

    name = "epi.lookup"
    levels = INTEGERS
