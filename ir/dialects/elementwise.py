"""Dialect `nn`, continued: what is computed for each element by itself."""

from __future__ import annotations

import math

import numpy as np

from epimc.ir.core.attributes import NUMBER, TENSOR, maybe, one_of
from epimc.ir.core.levels import FLOATS
from epimc.ir.core.op import (
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
from epimc.ir.core.traits import Clips, Homogeneous, KeepsShape, StatesModel
from epimc.ir.core.types import expect
from epimc.ir.dialects.nn import DIALECT, Sum
from epimc.ir.semantics.functions import FUNCTIONS


@DIALECT.op
class Sub(Sum):
    """a - b, of equal shapes."""

    name = "nn.sub"
    levels = FLOATS
    sign = -1


@DIALECT.op
class Multiply(Op):
    """a * b, of equal shapes; or b is [C, 1, 1] and multiplies whole channels of a [C, H, W]."""

    name = "nn.multiply"
    levels = FLOATS
    a = Operand(FLOAT)
    b = Operand(FLOAT)
    result = Result(FLOAT)

    def result_shape(self, stored: Stored) -> tuple[int, ...]:
        """The shape of a, to which b is broadcast; IrError where b does not fit."""
        return product_shape(self)

    def evaluate(self, inputs: list[Array], tensors: Lookup) -> Array:
        """The products in float64, a factor [C, 1, 1] over rows and columns."""
        result: Array = inputs[0] * inputs[1]
        return result


def product_shape(op: Op) -> tuple[int, ...]:
    """That of the first operand; the second is of the same or one number a channel.

    Raises:
        IrError: It is neither.
    """
    a, b = (operand.type.shape for operand in op.operands)
    channelwise = len(a) == 3 and b == (a[0], 1, 1)
    expect(a == b or channelwise, f"shapes {list(a)} and {list(b)} cannot be multiplied")
    return a


@DIALECT.op
class Clip(KeepsShape, Clips):
    """min(max(x, low), high); a bound that is left out does not hold."""

    name = "nn.clip"
    levels = FLOATS
    x = Operand(FLOAT)
    low = Attribute(maybe(NUMBER), optional=True)
    high = Attribute(maybe(NUMBER), optional=True)
    result = Result(FLOAT)

    @property
    def bounds(self) -> tuple[float, float]:
        """Smallest and largest result."""
        low = -math.inf if self.low is None else self.low
        # An absent bound is infinite, so that everybody may compare with it.
        return low, math.inf if self.high is None else self.high

    def check(self, stored: Stored) -> None:
        """The bounds are in order."""
        super().check(stored)
        low, high = self.bounds
        expect(low <= high, f"the bounds [{low}, {high}] are not in order")

    def evaluate(self, inputs: list[Array], tensors: Lookup) -> Array:
        """Clipped in float64; an absent bound is an infinite one."""
        result: Array = np.clip(inputs[0], *self.bounds)
        return result


@DIALECT.op
class Activation(KeepsShape, Homogeneous):
    """A function of each element (`functions.FUNCTIONS`).

    Attributes:
        function: Its name.
        alpha: Its first parameter, where it has one and the default does not hold.
        alphas: Instead of alpha one value a channel, as PRelu wants it.
        beta: Its second parameter, likewise.
    """

    name = "nn.activation"
    levels = FLOATS
    x = Operand(FLOAT)
    function = Attribute(one_of(*FUNCTIONS))
    alpha = Attribute(maybe(NUMBER), optional=True)
    alphas = Attribute(maybe(TENSOR), optional=True, stored=(FLOAT, 1))
    beta = Attribute(maybe(NUMBER), optional=True)
    result = Result(FLOAT)

    @property
    def is_homogeneous(self) -> bool:
        """As the function is."""
        return FUNCTIONS[self.function].homogeneous

    def result_shape(self, stored: Stored) -> tuple[int, ...]:
        """The shape of x; IrError where there are `alphas`, but not one a channel."""
        shape = super().result_shape(stored)
        fits = self.alphas is None or stored(self.alphas).shape == shape[:1]
        expect(fits, f"there must be {shape[0]} alphas")
        return shape

    def check(self, stored: Stored) -> None:
        """Parameters are the function's own."""
        super().check(stored)
        known = {name for name, _ in FUNCTIONS[self.function].parameters}
        stated = [name for name in ("alpha", "alphas", "beta") if self.attributes[name] is not None]
        for name in stated:
            expect(name.removesuffix("s") in known, f"{self.function} takes no {name}")
        expect(not {"alpha", "alphas"} <= {*stated}, "alpha and alphas exclude each other")

    def evaluate(self, inputs: list[Array], tensors: Lookup) -> Array:
        """The function in float64, with defaults for the parameters that are absent."""
        x = inputs[0]
        values: dict[str, Array | float | None] = {"alpha": self.alpha, "beta": self.beta}
        if self.alphas is not None:
            values["alpha"] = per_channel(tensors(self.alphas).astype(np.float64), x.ndim)
        function = FUNCTIONS[self.function]
        parameters = [
            default if (value := values[name]) is None else value
            for name, default in function.parameters
        ]
        # What is too large for float64 is infinite, and clipped where it is quantized.
        with np.errstate(over="ignore", divide="ignore"):
            return function.compute(x, *parameters)


@DIALECT.op
class Function(StatesModel):
    """Any function of each element: what a small ONNX model makes of it, as onnxruntime has it.

    `model` holds the serialized model.  What it gives for a number that is outside of its domain
    is not finite; the chip's table has 0 there (`quantization/lookup.py`).
    """

    name = "nn.function"
    levels = FLOATS
    x = Operand(FLOAT)
    result = Result(FLOAT)
