"""Dialect `nn`, continued: what moves elements.  Also on activations, which keep their type."""

from __future__ import annotations

from epimc.ir import integers
from epimc.ir.attributes import pair, sides
from epimc.ir.core import Array, Attribute, Lookup, Op, Operand, Result, Stored
from epimc.ir.dialects.nn import MAP, MOVABLE, expect, expect_moved

# An instruction names its sources in a list with a length of one byte.
MAXIMUM_SOURCES = 255


class Concat(Op):
    """Maps [C, H, W] of one height and width, or vectors, one behind the other."""

    name = "nn.concat"
    parts = Operand(MOVABLE, variadic=True)
    result = Result(MOVABLE)

    def result_shape(self, stored: Stored) -> tuple[int, ...]:
        """[sum of the C, H, W]."""
        shapes = [operand.type.shape for operand in self.operands]
        expect(1 <= len(shapes) <= MAXIMUM_SOURCES, f"it takes 1 to {MAXIMUM_SOURCES} operands")
        expect(len({shape[1:] for shape in shapes}) == 1, "heights and widths must be equal")
        return (sum(shape[0] for shape in shapes), *shapes[0][1:])

    def check(self, stored: Stored) -> None:
        """All have one element type and quantization."""
        super().check(stored)
        expect_moved(self)

    def evaluate(self, inputs: list[Array], tensors: Lookup) -> Array:
        """integers.concat."""
        return integers.concat(inputs)


class Pad(Op):
    """Zeros (zero points) around a map.

    Attributes:
        channels: How many channels before and after.
        pads: How many rows and columns: (top, left, bottom, right).
    """

    name = "nn.pad"
    x = Operand(MOVABLE, MAP)
    channels = Attribute(pair(0), (0, 0))
    pads = Attribute(sides(0), (0, 0, 0, 0))
    result = Result(MOVABLE)

    def result_shape(self, stored: Stored) -> tuple[int, ...]:
        """That of x and what is added."""
        (before, after), (top, left, bottom, right) = self.channels, self.pads
        channels, height, width = self.x.type.shape
        return channels + before + after, height + top + bottom, width + left + right

    def check(self, stored: Stored) -> None:
        """The result has the element type and quantization of x."""
        super().check(stored)
        expect_moved(self)

    def evaluate(self, inputs: list[Array], tensors: Lookup) -> Array:
        """integers.pad."""
        return integers.pad(inputs[0], self.channels, self.pads, self.x.type.zero_point)


OPS: tuple[type[Op], ...] = (Concat, Pad)
