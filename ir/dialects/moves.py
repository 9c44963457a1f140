"""Dialect `nn`, continued: what moves elements.  Also on activations, which keep their type."""

from __future__ import annotations

from epimc.ir.core.attributes import INTEGER, TENSOR, pair, rows_of, sides
from epimc.ir.core.attributes import integers as ints
from epimc.ir.core.op import ANY_RANK, Array, Attribute, Lookup, Op, Operand, Result, Stored
from epimc.ir.core.traits import Homogeneous, Joins, Moves
from epimc.ir.core.types import as_map, expect
from epimc.ir.dialects.nn import DIALECT, MAP, MOVABLE, MOVING
from epimc.ir.semantics.joins import concat, pad
from epimc.ir.semantics.layouts import Selection


@DIALECT.op
class Concat(Joins):
    """Values one behind the other along one dim of the sample, the others being equal."""

    name = "nn.concat"
    levels = MOVING
    parts = Operand(MOVABLE, variadic=True)
    axis = Attribute(INTEGER, 0)
    result = Result(MOVABLE)

    @property
    def map_axis(self) -> int:
        """The dim along which the operands' maps come: 0 channels, 1 rows, 2 columns."""
        return 2 if len(self.output.type.shape) == 2 and self.axis else self.axis

    def result_shape(self, stored: Stored) -> tuple[int, ...]:
        """That of the operands, with the sum of their sizes along `axis`."""
        shapes, axis = [operand.type.shape for operand in self.operands], self.axis
        expect(len(shapes) >= 1, "it takes at least 1 operand")
        rank = len(shapes[0])
        expect(0 <= axis < rank, f"'axis' must be one of the {rank} dims of the operands")
        others = {(shape[:axis], shape[axis + 1 :]) for shape in shapes}
        expect(len(others) == 1, "all sizes but those along 'axis' must be equal")
        return (*shapes[0][:axis], sum(shape[axis] for shape in shapes), *shapes[0][axis + 1 :])

    def evaluate(self, inputs: list[Array], tensors: Lookup) -> Array:
        """The operands behind each other along `axis`, which does not count the batch."""
        return concat(inputs, self.axis)


@DIALECT.op
class Select(Moves):
    """Channels, rows and columns of x, taken by their indices (`layouts.Selection`).

    Attributes:
        channels: The indices of the result's channels as runs [first, count, step]; absent: all.
        rows: Those of its rows.
        columns: Those of its columns; of a matrix, [A, 1, B] as a map, those of the second dim.
    """

    name = "nn.select"
    levels = MOVING
    x = Operand(MOVABLE)
    channels = Attribute(rows_of(ints(3)), ())
    rows = Attribute(rows_of(ints(3)), ())
    columns = Attribute(rows_of(ints(3)), ())
    result = Result(MOVABLE)

    @property
    def selection(self) -> Selection:
        """What is taken, of x as a map."""
        runs = [
            tuple((first, count, step) for first, count, step in self.attributes[key])
            for key in ("channels", "rows", "columns")
        ]
        return Selection(*runs)

    def result_shape(self, stored: Stored) -> tuple[int, ...]:
        """As many channels, rows and columns as there are indices."""
        shape, selection = self.x.type.shape, self.selection
        source = as_map(shape)
        expect(any(selection.runs), "it selects nothing in particular")
        expect(selection.fits(source), f"an index lies outside {list(source)}")
        channels, rows, columns = selection.shape(source)
        if len(shape) == 3:
            return channels, rows, columns
        # As maps vectors are [K, 1, 1] and matrices [A, 1, B]: their other dims have nothing to
        # choose.
        absent = selection.rows + (selection.columns if len(shape) == 1 else ())
        expect(not absent, f"a value of shape {list(shape)} has no such dims")
        return (channels, columns)[: len(shape)]

    def evaluate(self, inputs: list[Array], tensors: Lookup) -> Array:
        """What the runs take of x as a map [C, H, W], cut to the shape of the result."""
        x = inputs[0].reshape(len(inputs[0]), *as_map(self.x.type.shape))
        return self.selection.apply(x).reshape(len(x), *self.output.type.shape)


@DIALECT.op
class Constant(Op):
    """The same value for every sample; activations from `quantize` on."""

    name = "nn.constant"
    levels = MOVING
    value = Attribute(TENSOR)
    result = Result(MOVABLE)

    def result_shape(self, stored: Stored) -> tuple[int, ...]:
        """That of the tensor."""
        return stored(self.value).shape

    def check(self, stored: Stored) -> None:
        """The tensor is of the result's element type."""
        super().check(stored)
        element = self.output.type.element
        expect(stored(self.value).element == element, f"the tensor must hold {element}")
        expect(len(self.output.type.shape) in ANY_RANK, "it must have 1 to 3 dims")

    def evaluate(self, inputs: list[Array], tensors: Lookup) -> Array:
        """One sample, which stands for all."""
        return tensors(self.value)[None]


@DIALECT.op
class Pad(Moves, Homogeneous):
    """Zeros (zero points) around a map.

    Attributes:
        channels: How many channels before and after.
        pads: How many rows and columns: (top, left, bottom, right).
    """

    name = "nn.pad"
    levels = MOVING
    x = Operand(MOVABLE, MAP)
    channels = Attribute(pair(0), (0, 0))
    pads = Attribute(sides(0), (0, 0, 0, 0))
    result = Result(MOVABLE)

    def result_shape(self, stored: Stored) -> tuple[int, ...]:
        """That of x and what is added."""
        (before, after), (top, left, bottom, right) = self.channels, self.pads
        channels, height, width = self.x.type.shape
        return channels + before + after, height + top + bottom, width + left + right

    @property
    def is_homogeneous(self) -> bool:
        """Around rows and columns it is; other channels would move those that are there."""
        return self.channels == (0, 0)

    def evaluate(self, inputs: list[Array], tensors: Lookup) -> Array:
        """The zero point around x, which stands for the real number 0."""
        return pad(inputs[0], self.channels, self.pads, self.x.type.zero_point)
