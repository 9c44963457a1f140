"""Dialect `xbar`: a network mapped onto crossbars; every op runs on one tile, row by row.

`map` introduces the ops, `place` gives tiles and crossbars, `schedule` the order of rows and
`allocate` the addresses: each pass sets what the next level must have.
"""

from __future__ import annotations

import inspect
import math
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np

from epimc.backends.crossbar.levels import ALLOCATED, ON_CROSSBARS, PLACED, SCHEDULED
from epimc.ir.core.attributes import ADDRESS, INTEGER, TENSOR, TRUTH, maybe, one_of, rows_of
from epimc.ir.core.attributes import integers as ints
from epimc.ir.core.op import (
    ACCUMULATOR,
    ACTIVATION,
    ANY_RANK,
    HOST_RANK,
    OPAQUE,
    VECTOR_OR_MAP,
    Array,
    Attribute,
    Lookup,
    Op,
    Operand,
    Result,
    Stored,
    activations,
)
from epimc.ir.core.registry import Dialect, register
from epimc.ir.core.traits import AtOnce, FromHost, Moves, expect_moved
from epimc.ir.core.types import HOST_RESULTS, as_map, expect, map_move
from epimc.ir.dialects import epi, host, moves, nn, rules
from epimc.ir.dialects.nn import Windowed
from epimc.ir.dialects.rules import check_bias, window_shape
from epimc.ir.epitome import plan
from epimc.ir.semantics.cells import (
    MAPPINGS,
    reference_coefficient,
    slice_coefficients,
    slice_weights,
)
from epimc.ir.semantics.convolution import convolve
from epimc.ir.semantics.layouts import Rearrangement
from epimc.ir.semantics.quantization import dequantize_output, quantize_input
from epimc.ir.semantics.windows import max_pool, sum_pool

RING = ints(2, minimum=0)
UNPLACED = -1

# The most bits of a weight and of a cell, whatever the target.
WEIGHT_BITS, CELL_BITS = 16, 4


class XbarOp(Op):
    """What all ops on crossbars carry.

    Attributes:
        tile: Where it runs.
        order: For each output row the step of the program at which it is computed.
        ring: (address, rows) of the ring buffer that takes the result's rows; where it is `direct`,
            (address, bytes) of what it has of the buffer.
        sources: (address, rows) of the ring buffer that each operand is read from, if there is a
            ring.
        off_chip: Off-chip address of the result, when it is stored there.
        spilled: Whether consumers load the result from off-chip memory.
        direct: Whether it works from off-chip memory to off-chip memory, without rings.
    """

    # The ops of level `quantized` that `map` turns into this one, over the same operands.
    lowers: ClassVar[tuple[type[Op], ...]] = ()
    tile = Attribute(INTEGER, UNPLACED, since=PLACED)
    order = Attribute(ints(minimum=0), (), since=SCHEDULED)
    ring = Attribute(maybe(RING), since=ALLOCATED)
    sources = Attribute(rows_of(RING), (), optional=True, since=ALLOCATED)
    off_chip = Attribute(ADDRESS, -1, optional=True, since=ALLOCATED)
    spilled = Attribute(TRUTH, False, optional=True, since=ALLOCATED)
    direct = Attribute(TRUTH, False, optional=True, since=ALLOCATED)

    @classmethod
    def attributes_of(cls, op: Op) -> dict[str, Any]:
        """What this op's attributes are where it stands for one of those that it lowers."""
        return dict(op.attributes)

    def check(self, stored: Stored) -> None:
        """The order names every row, ascending; what is read from rings has one each."""
        super().check(stored)
        expect(self.tile >= UNPLACED, f"there is no tile {self.tile}")
        height = as_map(self.output.type.shape)[1]
        rows = self.order
        expect(not rows or len(rows) == height, f"the order must name {height} steps")
        expect(all(a < b for a, b in pairwise(rows)), "the order must ascend")
        # Before `allocate` there are no rings at all, and the host never has any.
        rings = 0 if self.ring is None or self.direct else len(self.operands)
        expect(len(self.sources) == rings, f"there must be {rings} source rings")
        expect(not self.direct or self.spilled, "what is computed off chip is spilled")
        expect(not self.spilled or self.off_chip >= 0, "what is spilled has an address off chip")


DIALECT = register(
    Dialect(
        "xbar",
        "a network on crossbars, row by row",
        f"{inspect.cleandoc(__doc__)}\n\n{inspect.getdoc(XbarOp)}",
    )
)


@DIALECT.op
class Mvm(Windowed, XbarOp):
    """The part of a layer's epitome that lies on one tile, streamed over the operand.

    Attributes:
        epitome: Signed integers [groups * Eo, Ei, Eh, Ew], the whole epitome.
        channels: Output channels.
        groups: Of a convolution in groups.
        pack: Groups that share arrays, block-diagonally; the last pack may have fewer.  A pack of
            several groups lies in one array.
        rounds: Activation rounds with their IFAT, IFRT and OFAT.
        arrays: (crossbar, first epitome row, rows, first physical column, columns) of each array.
            Rows count group after group; physical columns pack after pack, each with the bit
            slices of its columns and then, for mapping `offset`, its reference column.
        mapping: How signed weights become cells; with `weight_bits` and `cell_bits`.
        bias: In units of the accumulator; absent in all parts of a layer but one.
    """

    name = "xbar.mvm"
    levels = ON_CROSSBARS
    x = Operand(ACTIVATION, VECTOR_OR_MAP)
    epitome = Attribute(TENSOR, stored=(frozenset({"s"}), 4))
    bias = Attribute(maybe(TENSOR), optional=True, stored=(ACCUMULATOR, 1))
    channels = Attribute(INTEGER)
    weight_bits = Attribute(INTEGER)
    cell_bits = Attribute(INTEGER)
    mapping = Attribute(one_of(*MAPPINGS))
    rounds = Attribute(plan.ROUNDS)
    arrays = Attribute(rows_of(ints(5, minimum=UNPLACED)))
    groups = Attribute(INTEGER, 1)
    pack = Attribute(INTEGER, 1)
    result = Result(ACCUMULATOR)

    def result_shape(self, stored: Stored) -> tuple[int, ...]:
        """[Cout, Hout, Wout], or [Cout] of a vector."""
        inputs = self.x.type.shape[0]
        columns = stored(self.epitome).shape[0]
        rules.check_groups(self.groups, inputs, inputs // max(self.groups, 1), self.channels)
        expect(columns % self.groups == 0, f"{columns} columns do not divide into groups")
        expect(1 <= self.pack <= self.groups, f"there is no pack of {self.pack} groups")
        shape = window_shape(self.x.type.shape, self.channels, self.window)
        check_bias(self.bias, stored, self.channels)
        return shape if len(self.x.type.shape) == 3 else shape[:1]

    def check(self, stored: Stored) -> None:
        """Bits that cells hold; placed arrays have crossbars; packs lie in one array, whole."""
        super().check(stored)
        for what, bits, most in (
            ("weights", self.weight_bits, WEIGHT_BITS),
            ("cells", self.cell_bits, CELL_BITS),
        ):
            expect(1 <= bits <= most, f"{what} of {bits} bits, which are no 1 to {most}")
        placed = {array[0] != UNPLACED for array in self.arrays}
        rule = "every array must have a crossbar if, and only if, there is a tile"
        expect(placed <= {self.tile >= 0}, rule)
        columns, *channel = stored(self.epitome).shape
        height, width = math.prod(channel), columns // self.groups * self.slices
        for _, row, rows, column, count in self.arrays if self.pack > 1 else ():
            number = row // (self.pack * height)
            group, reference = number * self.pack, int(self.reference != 0)
            groups = min(self.pack, self.groups - group)
            pack = (group * height, groups * height, group * width + number * reference)
            expect(
                (row, rows, column, count) == (*pack, groups * width + reference),
                f"the array at row {row}, column {column} does not hold a whole pack",
            )

    def partial_epitome(self, epitome: Array) -> Array:
        """What this part's cells make of the groups' matrices: int64 [groups, rows, Eo]."""
        split = epitome.reshape(self.groups, len(epitome) // self.groups, -1)
        matrix = activations(split.transpose(0, 2, 1))
        groups, height, columns = matrix.shape
        levels = slice_weights(matrix, self.mapping, self.weight_bits, self.cell_bits)
        # What each slice counts for; the mask below leaves out those on other tiles.
        weighted = levels * np.array(
            slice_coefficients(self.mapping, self.weight_bits, self.cell_bits), np.int64
        )
        slices, reference = self.slices, self.reference
        present = np.zeros((groups * height, columns * slices + 1), np.int64)
        for _, row, rows, column, count in self.arrays:
            left = column - row // height * (columns * slices + bool(reference))
            own = slice(left, left + count) if self.pack == 1 else slice(None)
            present[row : row + rows, own] = 1
        mask = present[:, :-1].reshape(groups, height, columns, slices)
        # Slices of one weight may lie on two tiles: each part has what its own make of it.
        part = (weighted * mask).sum(axis=3)
        cells: Array = part + reference * present[:, -1].reshape(groups, height, 1)
        return cells

    @property
    def slices(self) -> int:
        """Bit slices of a weight."""
        return len(slice_coefficients(self.mapping, self.weight_bits, self.cell_bits))

    @property
    def reference(self) -> int:
        """What a reference column counts for; 0 where there is none."""
        return reference_coefficient(self.mapping, self.weight_bits)

    def weights(self, tensors: Lookup) -> Array:
        """The part's weights [Cout, Cin / groups, Kh, Kw], as its tables rebuild them."""
        matrix = self.partial_epitome(tensors(self.epitome))
        kh, kw = self.kernel
        cin = self.x.type.shape[0] // self.groups
        weights = np.zeros((self.channels, cin, kh * kw), np.int64)
        for round_ in self.rounds:
            # All groups that a round drives take the same channels and rows of their own.
            channels, rows = plan.from_ranges(round_.ifat), plan.from_ranges(round_.ifrt)
            inputs = channels[channels // cin == channels[0] // cin] % cin
            lines = rows[rows // matrix.shape[1] == rows[0] // matrix.shape[1]] % matrix.shape[1]
            window = matrix[:, lines].transpose(0, 2, 1).reshape(-1, len(inputs), kh * kw)
            for column, count, first, multiplier, accumulate in round_.ofat:
                outputs = slice(first, first + count)
                if not accumulate:
                    weights[outputs] = 0
                weights[outputs, inputs] += multiplier * window[column : column + count]
        return weights.reshape(self.channels, cin, kh, kw)

    def evaluate(self, inputs: list[Array], tensors: Lookup) -> Array:
        """convolution.convolve with the part's weights, whose shape tells the groups."""
        x = activations(inputs[0]).reshape(len(inputs[0]), *as_map(self.x.type.shape))
        weights = self.weights(tensors)
        bias = np.zeros(self.channels, np.int64) if self.bias is None else tensors(self.bias)
        kind = self.x.type
        y = convolve(x, weights, bias, self.window, kind.zero_point, kind.bits)
        return y.reshape(len(x), *self.output.type.shape)


@DIALECT.op
class Add(XbarOp):
    """Accumulators of two parts of a layer, added."""

    name = "xbar.add"
    levels = ON_CROSSBARS
    a = Operand(ACCUMULATOR)
    b = Operand(ACCUMULATOR)
    result = Result(ACCUMULATOR)

    def result_shape(self, stored: Stored) -> tuple[int, ...]:
        """The shape that both have; IrError where they differ."""
        expect(self.a.type.shape == self.b.type.shape, "the shapes differ")
        return self.a.type.shape

    def evaluate(self, inputs: list[Array], tensors: Lookup) -> Array:
        """The sums in int64, which hold without rounding all that accumulators may reach."""
        result: Array = inputs[0] + inputs[1]
        return result


@DIALECT.op
class Pool(nn.SummingPool, XbarOp):
    """`max`: of activations; `sum`: accumulators of q - zero point, as epi.sum_pool."""

    name = "xbar.pool"
    levels = ON_CROSSBARS
    lowers = (epi.SumPool, nn.MaxPool)
    x = Operand(ACTIVATION, (3,))
    kind = Attribute(one_of("max", "sum"))
    result = Result(ACTIVATION | ACCUMULATOR)

    @classmethod
    def attributes_of(cls, op: Op) -> dict[str, Any]:
        """A maximum is moved, a sum is computed."""
        return {**op.attributes, "kind": "max" if isinstance(op, Moves) else "sum"}

    def check(self, stored: Stored) -> None:
        """`max` keeps the type, `sum` accumulates."""
        super().check(stored)
        if self.kind == "max":
            expect_moved(self)
            rules.expect_maxima(self.x.type.shape, self.window)
            expect(self.counted is None, "nothing is counted for a maximum")
        else:
            expect(self.output.type.element == "i64", "a sum yields accumulators (i64)")

    def evaluate(self, inputs: list[Array], tensors: Lookup) -> Array:
        """Activations by `windows.max_pool`, or int64 sums by `windows.sum_pool`."""
        x = activations(inputs[0])
        if self.kind == "max":
            return max_pool(x, self.window)
        return sum_pool(x, self.window, self.x.type.zero_point, self.counted)


@DIALECT.op
class Rearrange(nn.Rearrange, XbarOp):
    """As nn.rearrange, on the vector unit of one tile."""

    name = "xbar.rearrange"
    levels = ON_CROSSBARS
    lowers = (nn.Rearrange,)
    x = Operand(ACTIVATION)
    result = Result(ACTIVATION)

    @property
    def map_move(self) -> Rearrangement:
        """What moves where, from map to map."""
        return map_move(self.move)


@DIALECT.op
class Requantize(epi.Rescale, XbarOp):
    """As epi.requantize, on the vector unit of one tile."""

    name = "xbar.requantize"
    levels = ON_CROSSBARS
    lowers = (epi.Requantize,)


@DIALECT.op
class Multiply(epi.Product, XbarOp):
    """As epi.multiply, on the vector unit of one tile."""

    name = "xbar.multiply"
    levels = ON_CROSSBARS
    lowers = (epi.Multiply,)


@DIALECT.op
class LookUp(epi.TableLookUp, XbarOp):
    """As epi.lookup, on the vector unit of one tile."""

    name = "xbar.lookup"
    levels = ON_CROSSBARS
    lowers = (epi.LookUp,)


@DIALECT.op
class Concat(moves.Concat, XbarOp):
    """As nn.concat, on the vector unit of one tile."""

    name = "xbar.concat"
    levels = ON_CROSSBARS
    lowers = (moves.Concat,)
    parts = Operand(ACTIVATION, variadic=True)
    result = Result(ACTIVATION)


@DIALECT.op
class Select(moves.Select, XbarOp):
    """As nn.select, on the vector unit of one tile."""

    name = "xbar.select"
    levels = ON_CROSSBARS
    lowers = (moves.Select,)
    x = Operand(ACTIVATION)
    result = Result(ACTIVATION)


@DIALECT.op
class Constant(moves.Constant, XbarOp):
    """As nn.constant: rows from a table of the tile."""

    name = "xbar.constant"
    levels = ON_CROSSBARS
    lowers = (moves.Constant,)
    result = Result(ACTIVATION)


@DIALECT.op
class Pad(moves.Pad, XbarOp):
    """As nn.pad, on the vector unit of one tile."""

    name = "xbar.pad"
    levels = ON_CROSSBARS
    lowers = (moves.Pad,)
    x = Operand(ACTIVATION, nn.MAP)
    result = Result(ACTIVATION)


class HostOp(XbarOp, AtOnce):
    """What the host does, at once: from off-chip memory to off-chip memory.

    Operands and result are `spilled`; it has no rings.

    Attributes:
        results: For each operand which of the values of the host that it stands for; -1 for
            activations.
    """

    ring = Attribute(maybe(RING), optional=True, since=ALLOCATED)
    off_chip = Attribute(ADDRESS, -1, since=ALLOCATED)
    spilled = Attribute(TRUTH, False, since=ALLOCATED)
    results = Attribute(ints(minimum=-1))

    def check(self, stored: Stored) -> None:
        """The host has no rings, and every operand its number."""
        super().check(stored)
        expect(self.ring is None, "the host has no rings")
        expect(len(self.results) == len(self.operands), "every operand has one of the results")
        for number, operand in zip(self.results, self.operands, strict=True):
            kind = operand.type
            # An input of the host is one value.
            exists = number >= 0 if kind == HOST_RESULTS else number == (0 if kind.is_host else -1)
            expect(exists, f"%{operand.name} has no result {number}")


@DIALECT.op
class Host(host.HostCall, HostOp):
    """As host.call; activations are dequantized before."""

    name = "xbar.host"
    levels = ON_CROSSBARS
    inputs = Operand(ACTIVATION | OPAQUE, (*HOST_RANK, *ANY_RANK), variadic=True, least=0)

    def host_operands(self, operands: list[Any]) -> list[Any]:
        """The results that it takes, and dequantized activations."""
        numbered = zip(self.results, self.operands, operands, strict=True)
        return [
            dequantize_output(array, x.type.step, x.type.zero_point)
            if number < 0
            else host.result_of(array, number)
            for number, x, array in numbered
        ]


@DIALECT.op
class Enter(HostOp, FromHost):
    """As epi.quantize of what host.real gives: a tensor of the host as a map."""

    name = "xbar.enter"
    levels = ON_CROSSBARS
    x = Operand(OPAQUE, HOST_RANK)
    shape = Attribute(ints(minimum=1))
    result = Result(ACTIVATION)

    def result_shape(self, stored: Stored) -> tuple[int, ...]:
        """As stated."""
        return self.shape

    def evaluate(self, inputs: list[Array], tensors: Lookup) -> Array:
        """The samples of the result, quantized as an input is."""
        kind, samples = self.output.type, host.result_of(inputs[0], self.results[0])
        real = host.reals_of(samples, self.shape, np.float32)
        return quantize_input(real, kind.step, kind.zero_point, kind.bits)
