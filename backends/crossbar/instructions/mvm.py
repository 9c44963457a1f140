"""The instruction that drives crossbars."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from epimc.backends import forms
from epimc.backends.crossbar.core.counts import Counts
from epimc.backends.crossbar.core.limits import (
    FIRST_MISTAKE,
    LARGEST_SUM,
    Count,
    Index,
    Name,
)
from epimc.backends.crossbar.core.program import ELEMENTS, Maps, Program
from epimc.backends.crossbar.core.rounds import Array, OfatEntry, Ranges, Round, spread
from epimc.backends.crossbar.instructions.computing import (
    Computing,
    Data,
    Kernel,
    KernelSetting,
    RowBlock,
)
from epimc.backends.crossbar.instructions.mvm_check import check_part
from epimc.backends.crossbar.instructions.registry import register
from epimc.backends.crossbar.instructions.table import (
    ACCUMULATORS,
    BRIEF,
    Lowering,
    OneSource,
    Stored,
    TableCheck,
    activation_of,
)
from epimc.backends.crossbar.instructions.windows import (
    SaneWindow,
    Windows,
    window_bytes,
    window_elements,
)
from epimc.backends.crossbar.kernels.cells import column_sums
from epimc.backends.crossbar.kernels.fused import layer_weights
from epimc.backends.crossbar.kernels.layer_part import column_places
from epimc.backends.crossbar.kernels.sampling import column_destinations, driven_lines
from epimc.backends.forms import Claim
from epimc.ir.semantics.arrays import Ints
from epimc.ir.semantics.cells import MappingName


@register
@dataclass(frozen=True, eq=False)
class Mvm(OneSource, Computing):
    """Drives the tile's crossbars: activations to accumulators, as the activation rounds say.

    A read outside the image delivers the zero point.  The result is the sum over the rounds'
    arrays of (cells * (q - zero point)), recombined over bit slices, times the OFAT's multipliers,
    plus `bias`.  A table is the part of one layer's epitome that lies on one tile: where a layer
    is split, the parts' results are added by `add`, and `bias` is zero in all parts but one.

    Attributes:
        tile: Whose arrays it drives.
        source: Feature map read (activations).
        destination: Feature map written (accumulators).
        window: Kernel, strides, pads, dilations of the convolution (1x1 for a matmul).
        weights_name: Names the layer's weights; parts of a split layer share them.
        weights: The epitome matrices of the groups, one below the other, [groups * rows, Eo], of
            signed integers of any type, whole, not only the part; parts share the array.  The
            columns of group g are epitome columns g * Eo to (g + 1) * Eo - 1 of the OFAT.
        weight_bits: Bits of a weight.
        mapping: How signs become cells, as the target says.
        cell_bits: Bits of a cell.
        rounds: Activation rounds in order.
        arrays: The crossbars of this part.
        corrections: For each round and each physical column of each array (arrays side by side in
            order): the sum of the driven cells' levels, [rounds, sum of array columns].
        bias: [Cout], added at every position.
        groups: Of a convolution in groups: channels and outputs are cut into as many equal runs.
        pack: Groups that share an array, block-diagonally; the last pack may have fewer.
        adc_step: What one code of the ADCs stands for; all parts of a layer have the same.
    """

    code = 16
    lowers = "xbar.mvm"
    makes = ACCUMULATORS

    tile: Index
    source: Index
    destination: Index
    window: SaneWindow
    weights_name: Name
    weights: Annotated[NDArray[Any], Stored(np.int8, np.int16, shared_by="weights_name")]
    weight_bits: Annotated[int, Field(ge=1, le=16)]
    mapping: MappingName
    cell_bits: Annotated[int, Field(ge=1, le=4)]
    rounds: Annotated[tuple[Round, ...], FIRST_MISTAKE]
    arrays: Annotated[tuple[Array, ...], FIRST_MISTAKE]
    corrections: Annotated[Ints, Stored(np.int32)]
    bias: Annotated[Ints, Stored(np.int64)]
    groups: Count = 1
    pack: Count = 1
    adc_step: Annotated[int, Field(ge=1, le=LARGEST_SUM)] = field(default=1, metadata=BRIEF)
    type: Literal["mvm"] = "mvm"

    @classmethod
    def of(cls, op: Any, lowering: Lowering) -> Self:
        """The part of a layer that an op places on a tile."""
        bias = np.zeros(op.channels, np.int64) if op.bias is None else lowering.array(op.bias)
        return cls(
            tile=op.tile,
            source=lowering.sources(op)[0],
            destination=lowering.destination(op),
            window=op.window,
            weights_name=op.epitome.name,
            weights=lowering.matrix(op),
            weight_bits=op.weight_bits,
            mapping=op.mapping,
            cell_bits=op.cell_bits,
            rounds=tuple(Round(r.ifat, r.ifrt, entries_of(r.ofat)) for r in op.rounds),
            arrays=tuple(Array(*array) for array in op.arrays),
            # They follow from the cells and take long: `finished` computes them, where they are
            # asked for.
            corrections=np.zeros((0, 0), np.int64),
            bias=bias,
            groups=op.groups,
            pack=op.pack,
        )

    def finished(self) -> Mvm:
        """With the corrections of its zero point."""
        return replace(self, corrections=column_sums(self))

    def rows(self, maps: Maps, y: int) -> Sequence[Sequence[int]]:
        """Those of the window."""
        return [self.window.rows(y, maps[self.source].height)]

    def window_bytes(self, maps: Maps) -> int:
        """What a round drives at once, of one pack of groups: of the largest round."""
        source = maps[self.source]
        width = source.channels // self.groups * self.pack
        packs = (np.bincount(spread(round_.ifat) // width) for round_ in self.rounds)
        channels = max((int(pack.max(initial=0)) for pack in packs), default=0)
        return window_bytes(self.window, source, channels)

    @cached_property
    def _fetched(self) -> int:
        """Channels that all rounds fetch which drive one of its arrays."""
        return sum(fetched(self.rounds[k]) for k in driving(self))

    def direct_bytes(self, maps: Maps, y: int) -> int:
        """What every round fetches, at every position."""
        source = maps[self.source]
        elements = self._fetched * window_elements(self.window, source, y)
        return elements * ELEMENTS[source.element].size

    def kernel(self, setting: KernelSetting) -> Kernel:
        """The product of its crossbars with the windows of the rows."""
        source = setting.program.maps[self.source]
        product = setting.product_of(self, source)
        windows, zero_point = Windows(self.window), source.zero_point

        def accumulators(blocks: list[RowBlock], first: int, end: int) -> Data:
            gathered = windows.gather(blocks[0], zero_point, first, end)
            batch, channels, height, width, rows, columns = gathered.shape
            # Columns are windows, so that one product serves all samples, rows and columns.
            flat = gathered.transpose(1, 2, 3, 0, 4, 5).reshape(channels * height * width, -1)
            return product(flat).reshape(-1, batch, rows, columns).transpose(1, 0, 2, 3)

        return accumulators

    def claims(self, program: Program) -> Iterator[Claim]:
        """The layer in one piece, as the first of its parts: the reference does not split it."""
        layer = program.layer_of[self.destination]
        parts = [table for table in program.layer_tables[layer] if isinstance(table, Mvm)]
        if parts[0] is not self:
            # The first part has claimed the layer with the weights of all of them.
            return iter(())
        # The checker has seen that all parts read one map by one window, in as many groups.
        source = program.maps[self.source]
        inputs = source.channels // self.groups
        weights = layer_weights(parts, source.channels)
        weights = weights.reshape(-1, inputs, *self.window.kernel)
        # Of all parts but one it is 0.
        bias = np.stack([part.bias for part in parts]).sum(axis=0)
        name, x = program.maps[layer].name, activation_of(source)
        return forms.convolution(name, x, weights, bias, self.window, self.groups)

    def check(self, check: TableCheck) -> None:
        """Tile, window, cells, rounds and arrays; the layer as a whole is for others."""
        tiles = check.program.chip.tiles
        check.require(0 <= self.tile < tiles, f"There is no tile {self.tile}.")
        check_part(check, self)

    def tile_problem(self, tile: int, number: int) -> str:
        """Crossbars lie on one tile."""
        if self.tile == tile:
            return ""
        return f"The crossbars of table {number} lie on tile {self.tile}."

    def limit_problems(self, maps: Maps) -> list[str]:
        """Weights that are no matrix; rounds that name more channels, or rows, than there are."""
        if self.weights.ndim != 2:
            return [f"weights must be [rows, columns], not {list(self.weights.shape)}."]
        problems = []
        for i, item in enumerate(self.rounds):
            for name, ranges, limit in (
                ("ifat", item.ifat, maps[self.source].channels),
                ("ifrt", item.ifrt, len(self.weights)),
            ):
                if reach(ranges) > limit:
                    problems.append(f"rounds[{i}].{name} names more than there are, {limit}.")
        return problems

    def made(self, maps: Maps) -> Mapping[str, int]:
        """The weights of the layer, of all its parts; which rows each round drives, of its own."""
        inputs = maps[self.source].channels // max(self.groups, 1)
        weights = maps[self.destination].channels * inputs * math.prod(self.window.kernel)
        driven = len(self.rounds) * len(self.weights)
        return {self.weights_name: weights, f"rounds of {self.destination}": driven}

    def position_events(self, program: Program) -> Counts:
        """Rounds, and what they drive, read and add."""
        bits, chip = program.maps[self.source].bits, program.chip
        return position_counts(self, -(-bits // chip.dac_bits), chip.rows_per_read)


def fetched(round_: Round) -> int:
    """Channels that a round fetches."""
    return sum(count for _, count in round_.ifat)


def entries_of(ofat: Sequence[Sequence[int]]) -> tuple[OfatEntry, ...]:
    """OFAT entries (column, count, destination, multiplier, accumulate) of the compiler."""
    return tuple(OfatEntry(a, b, c, m, bool(accumulate)) for a, b, c, m, accumulate in ofat)


def reach(ranges: Ranges) -> int:
    """The larger of the end of the last range and of the number of numbers in all of them."""
    # Either may exceed the limit: ranges may overlap, and so name more numbers than there are.
    end = max((first + count for first, count in ranges), default=0)
    return max(end, sum(count for _, count in ranges))


def position_counts(table: Mvm, inputs: int, rows_per_read: int = 0) -> Counts:
    """What one output position of a table uses.

    Args:
        table: The part of a layer.
        inputs: Input slices of its activations.
        rows_per_read: The most word lines that an array drives at a time; 0 for all.
    """
    lines = _lines(table)
    reads = -(-lines // rows_per_read) if rows_per_read else np.minimum(lines, 1)
    total = Counts()
    for k in driving(table):
        destinations = column_destinations(table, table.rounds[k])
        read, times = np.flatnonzero(lines[k]), int(reads[k].sum())
        total.rounds += 1
        total.array_reads += inputs * times
        # Without reuse a round runs once for each destination of its busiest column.
        total.array_reads_without_reuse += inputs * times * int(destinations.max())
        total.dac_drives += inputs * int(lines[k].sum())
        # A round drives word lines, not columns: of an array that is read, every column is there.
        covered = np.zeros(len(destinations), bool)
        for array, times in ((table.arrays[j], int(reads[k, j])) for j in read):
            covered[array.column : array.column + array.columns] = True
            used = destinations[array.column : array.column + array.columns] > 0
            total.adc_conversions += inputs * times * int(used.sum())
        total.multiply_adds += _multiply_adds(table, destinations, covered)
    return total


def _multiply_adds(table: Mvm, destinations: Ints, covered: NDArray[np.bool_]) -> int:
    """Columns of the epitome of which a slice is read, times their destinations."""
    places = column_places(table)
    read = covered & (places >= 0)
    # The slices of a column are recombined before the joint module, which sees the column once.
    _, first = np.unique(places[read], return_index=True)
    return int(destinations[read][first].sum())


def _lines(table: Mvm) -> Ints:
    """How many word lines of each array every round drives, int64 [rounds, arrays]."""
    before = np.cumsum(np.pad(driven_lines(table), ((0, 0), (1, 0))), axis=1)
    first = np.array([array.row for array in table.arrays], np.int64)
    size = np.array([array.rows for array in table.arrays], np.int64)
    lines: Ints = before[:, first + size] - before[:, first]
    return lines


def driving(table: Mvm) -> list[int]:
    """The rounds that drive an array of the table, by number."""
    return [int(k) for k in np.flatnonzero(_lines(table).any(axis=1))]
