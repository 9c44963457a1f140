"""A program for a crossbar chip, as data: feature maps, tables, and one instruction stream a tile.

Everything here describes ONE sample; the batch is an execution-time dimension.  The bundle stores
it (`bundle.py`), the compiler makes it (`emit.py`), the checker and the simulator read it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from epimc.ir import integers
from epimc.layouts import Rearrangement, Selection, rows_read

# Every row starts at a multiple of this many bytes, in tile buffers and off chip.
ALIGNMENT = 8

ELEMENT_BYTES = {"u8": 1, "i64": 8}

NO_ADDRESS = -1

Ranges = tuple[tuple[int, int], ...]
"""(first, count) pairs, in order."""


def aligned(size: int) -> int:
    """The next multiple of ALIGNMENT."""
    return -(-size // ALIGNMENT) * ALIGNMENT


def spread(ranges: Ranges) -> NDArray[np.int64]:
    """The numbers that ranges name, in order."""
    parts = [np.arange(first, first + count, dtype=np.int64) for first, count in ranges]
    return np.concatenate(parts) if parts else np.zeros(0, np.int64)


@dataclass(frozen=True)
class FeatureMap:
    """A value that instructions write and read row by row; a row is [channels, width].

    Attributes:
        name: Name of the IR value; unique in the program.
        channels: C.
        height: Rows.
        width: W.
        element: `u8` (activations) or `i64` (accumulators).
        bits: Bits of an activation (0 for accumulators).
        zero_point: Of activations; 0 for accumulators.
        address: Off-chip address of row 0, or NO_ADDRESS for a map that never leaves the chip.
        location: The ONNX node it comes from.
        scale: Real value of one step of activations; 0 for accumulators.
    """

    name: str
    channels: int
    height: int
    width: int
    element: str
    bits: int = 0
    zero_point: int = 0
    address: int = NO_ADDRESS
    location: str = ""
    scale: float = 0.0

    @property
    def row_bytes(self) -> int:
        """Bytes of a row, without padding."""
        return self.channels * self.width * ELEMENT_BYTES[self.element]

    @property
    def row_stride(self) -> int:
        """Bytes from a row to the next, off chip and in a ring."""
        return aligned(self.row_bytes)


@dataclass(frozen=True)
class OfatEntry:
    """One entry of the output feature address table.

    The column block [column, column + count) of the epitome is multiplied by `multiplier` and
    stored into (or, with `accumulate`, added to) output channels [destination, destination+count).
    """

    column: int
    count: int
    destination: int
    multiplier: int
    accumulate: bool


@dataclass(frozen=True)
class Round:
    """One activation round: which channels are fetched, which word lines they drive, what follows.

    Attributes:
        ifat: Input channels to fetch, as ranges.
        ifrt: Epitome rows (word lines before tiling) that they drive, in the order
            (channel of ifat, kernel row, kernel column).
        ofat: What happens to the columns that were read.
    """

    ifat: Ranges
    ifrt: Ranges
    ofat: tuple[OfatEntry, ...]


@dataclass(frozen=True)
class Array:
    """One crossbar's share of one pack of a layer's groups; a layer without groups is one pack.

    The rows of the epitome are counted group after group.  Physical columns are counted pack after
    pack: the bit slices of the pack's epitome columns, side by side, and then, for mapping
    `offset`, the pack's reference column.  So physical column p of a pack holds bit slice
    p % slices of its epitome column p // slices.  A pack of several groups lies in one array;
    where a row and a column are not of the same group, the weight is 0.

    Attributes:
        crossbar: Its number on the tile.
        row: First epitome row.
        rows: Epitome rows held (word lines used).
        column: First physical column.
        columns: Physical columns held (bit lines used).
    """

    crossbar: int
    row: int
    rows: int
    column: int
    columns: int


@dataclass(frozen=True, eq=False)
class MvmTable:
    """What one `mvm` streams over: the part of one layer's epitome that lies on one tile.

    The result is sum over the rounds' arrays of (cells * (q - zero point)) recombined over bit
    slices, times the OFAT's multipliers, plus `bias`.  Where a layer is split, the parts' results
    are added by `add`, and `bias` is zero in all parts but one.

    Attributes:
        tile: Whose arrays it drives.
        source: Feature map read (activations).
        destination: Feature map written (accumulators).
        window: Kernel, strides, pads, dilations of the convolution (1x1 for a matmul).
        weights_name: Key of `weights` in the bundle; parts of a split layer share it.
        weights: The epitome matrices of the groups, one below the other, [groups * rows, Eo], of
            signed integers of any type, whole, not only the part; parts share the array.  The
            columns of group g are epitome columns g * Eo to (g + 1) * Eo - 1 of the OFAT.
        weight_bits: Bits of a weight.
        mapping: How signs become cells (`integers.MAPPINGS`).
        cell_bits: Bits of a cell.
        rounds: Activation rounds in order.
        arrays: The crossbars of this part.
        corrections: For each round and each physical column of each array (arrays side by side in
            order): the sum of the driven cells' levels, int64 [rounds, sum of array columns].
        bias: int64 [Cout].
        groups: Of a convolution in groups: channels and outputs are cut into as many equal runs.
        pack: Groups that share an array, block-diagonally; the last pack may have fewer.
    """

    tile: int
    source: int
    destination: int
    window: integers.Window
    weights_name: str
    weights: integers.Ints
    weight_bits: int
    mapping: str
    cell_bits: int
    rounds: tuple[Round, ...]
    arrays: tuple[Array, ...]
    corrections: integers.Ints
    bias: integers.Ints
    groups: int = 1
    pack: int = 1


@dataclass(frozen=True, eq=False)
class RequantizeTable:
    """Sources to activations: integers.requantize over (source - its zero point).

    Attributes:
        sources: Feature maps, accumulators or activations, of the destination's shape.
        destination: Feature map written (activations).
        multipliers: int64 [len(sources), C].
        shifts: int64 [C].
        low: Smallest result.
        high: Largest result.
        offsets: int64 [C], added before the shift.
    """

    sources: tuple[int, ...]
    destination: int
    multipliers: integers.Ints
    shifts: integers.Ints
    low: int
    high: int
    offsets: integers.Ints


@dataclass(frozen=True)
class PoolTable:
    """`max`: activations to activations; `sum`: activations to accumulators of q - zero point.

    Attributes:
        kind: `max` or `sum`.
        source: Feature map read.
        destination: Feature map written.
        window: Slides over the map.
        counted: Of sums that become means over windows with different numbers of elements: how
            much of the padding counts, (top, left, bottom, right); see integers.sum_pool.
    """

    kind: str
    source: int
    destination: int
    window: integers.Window
    counted: integers.Sides | None = None


@dataclass(frozen=True)
class RearrangeTable:
    """The dims of a map permuted, then cut anew, row-major.

    Attributes:
        source: Feature map read (activations).
        destination: Feature map written, of the same type.
        perm: Dim k of the permuted map is dim perm[k] of the source's [C, H, W].
        shape: [C, H, W] of the destination.
    """

    source: int
    destination: int
    perm: tuple[int, int, int]
    shape: tuple[int, int, int]

    def move(self, source: FeatureMap) -> Rearrangement:
        """What moves where."""
        return Rearrangement((source.channels, source.height, source.width), self.perm, self.shape)


@dataclass(frozen=True)
class AddTable:
    """Accumulators of two parts of one layer, added."""

    sources: tuple[int, int]
    destination: int


@dataclass(frozen=True)
class MultiplyTable:
    """Activations less their zero points, multiplied to accumulators.

    The second map is of the first one's shape, or [C, 1, 1] and multiplies whole channels.
    """

    sources: tuple[int, int]
    destination: int


@dataclass(frozen=True, eq=False)
class LookupTable:
    """Activations to what a table has for them.

    Attributes:
        source: Feature map read.
        destination: Feature map written, of the same shape.
        values: int64 [1, 2^bits of source], or [C, 2^bits] with a row for each channel.
    """

    source: int
    destination: int
    values: integers.Ints


@dataclass(frozen=True)
class ConcatTable:
    """Activations of several maps, one map behind the other.

    Attributes:
        sources: Feature maps read.
        destination: Feature map written.
        axis: Along channels (0), rows (1) or columns (2).
    """

    sources: tuple[int, ...]
    destination: int
    axis: int = 0


@dataclass(frozen=True)
class SelectTable:
    """Activations of some channels, rows and columns of a map.

    Attributes:
        source: Feature map read.
        destination: Feature map written.
        selection: Which ones.
    """

    source: int
    destination: int
    selection: Selection


@dataclass(frozen=True, eq=False)
class ConstantTable:
    """Activations that are the same for every sample.

    Attributes:
        destination: Feature map written.
        values: int64 [C, H, W].
    """

    destination: int
    values: integers.Ints


@dataclass(frozen=True)
class PadTable:
    """Activations with zero points around them.

    Attributes:
        source: Feature map read.
        destination: Feature map written.
        channels: How many channels before and after.
        pads: How many rows and columns: (top, left, bottom, right).
    """

    source: int
    destination: int
    channels: tuple[int, int]
    pads: tuple[int, int, int, int]


@dataclass(frozen=True)
class HostTable:
    """Activations to activations by what the host runs, from off-chip memory to off-chip memory.

    Attributes:
        fragment: Name of the ONNX model; in a bundle, `host/NAME.onnx`.
        sources: Feature maps read (activations), the fragment's inputs in order.
        destination: Feature map written (activations), the fragment's output.
    """

    fragment: str
    sources: tuple[int, ...]
    destination: int


Table = (
    MvmTable
    | RequantizeTable
    | PoolTable
    | RearrangeTable
    | AddTable
    | MultiplyTable
    | LookupTable
    | ConcatTable
    | SelectTable
    | ConstantTable
    | PadTable
    | HostTable
)


def table_sources(table: Table) -> tuple[int, ...]:
    """The feature maps a table reads."""
    if isinstance(table, (RequantizeTable, AddTable, MultiplyTable, ConcatTable, HostTable)):
        return table.sources
    return () if isinstance(table, ConstantTable) else (table.source,)


def rows_needed(table: Table, sources: Sequence[FeatureMap], y: int) -> list[list[int]]:
    """For each of a table's source maps the rows that output row `y` reads, ascending."""
    if isinstance(table, ConcatTable) and table.axis == 1:
        tops = accumulate((source.height for source in sources), initial=0)
        rows = [y - top for top, _ in zip(tops, sources, strict=False)]
        return [[row] if 0 <= row < s.height else [] for row, s in zip(rows, sources, strict=True)]
    return [_rows_of_one(table, source, y) for source in sources]


def _rows_of_one(table: Table, source: FeatureMap, y: int) -> list[int]:
    """The rows of a source that output row `y` reads, where all sources are read alike."""
    if isinstance(table, (MvmTable, PoolTable)):
        return table.window.rows(y, source.height)
    if isinstance(table, RearrangeTable):
        return list(rows_read(table.move(source))[y])
    if isinstance(table, HostTable):
        return list(range(source.height))
    if isinstance(table, PadTable):
        return [row] if 0 <= (row := y - table.pads[0]) < source.height else []
    if isinstance(table, MultiplyTable):
        return [min(y, source.height - 1)]
    if isinstance(table, SelectTable):
        return [table.selection.row(y)]
    return [y]


@dataclass(frozen=True)
class Port:
    """A graph input or output at the border: quantized from, or dequantized to, float32.

    Attributes:
        name: The ONNX name.
        shape: Of one sample, as the model has it.
        map: The feature map that holds it off chip.
        scale: Real value of one step.
    """

    name: str
    shape: tuple[int, ...]
    map: int
    scale: float


@dataclass(frozen=True)
class Ring:
    """A ring of `rows` rows in a tile buffer: row y lies at address + (y % rows) * row_stride."""

    address: int
    rows: int


@dataclass(frozen=True)
class Advance:
    """An operand inside loops that advances with their iterations.

    Attributes:
        first: Its value in the first iteration of all loops.
        strides: What every further iteration adds, innermost loop first; the last is not 0.
        region: (low, size): the sum is taken modulo `size` from `low` on, which is how an address
            goes round a ring; None: it is taken as it is.
    """

    first: int | tuple[int, int]
    strides: tuple[int, ...]
    region: tuple[int, int] | None = None


@dataclass(frozen=True)
class Instruction:
    """One instruction: the opcode of its declaration (`isa.py`) and its operands, in order."""

    opcode: str
    operands: tuple[int | tuple[int, int] | Ring | tuple[Ring, ...] | Advance, ...]


@dataclass(frozen=True)
class Chip:
    """What a program needs to know of its target, and what the checker holds it to."""

    tiles: int
    crossbars_per_tile: int
    crossbar_rows: int
    crossbar_columns: int
    cell_bits: int
    dac_bits: int
    adc_bits: int
    buffer_bytes: int
    off_chip_bytes: int


@dataclass(frozen=True)
class Program:
    """A whole program: `streams[t]` is what tile t executes, ending in `halt`."""

    chip: Chip
    maps: tuple[FeatureMap, ...]
    tables: tuple[Table, ...]
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    streams: tuple[tuple[Instruction, ...], ...] = field(default=())

    @cached_property
    def off_chip_extent(self) -> int:
        """Bytes of off-chip memory one sample needs."""
        ends = [m.address + m.height * m.row_stride for m in self.maps if m.address >= 0]
        return max(ends, default=0)


def host_tables(program: Program) -> list[HostTable]:
    """The tables of all host calls."""
    return [table for table in program.tables if isinstance(table, HostTable)]


def plain(round_: Round) -> tuple[object, ...]:
    """A round without what depends on its place among the rounds."""
    entries = [(e.column, e.count, e.destination, e.multiplier) for e in round_.ofat]
    return round_.ifat, round_.ifrt, tuple(entries)


def layer_of(program: Program) -> list[int]:
    """For each map the map with its layer's result: of a split layer the sum of all parts."""
    sums = {s: t.destination for t in program.tables if isinstance(t, AddTable) for s in t.sources}
    totals = list(range(len(program.maps)))
    for index in totals:
        # Bounded, since the tables of a wrong program may add in a circle.
        for _ in range(len(sums)):
            totals[index] = sums.get(totals[index], totals[index])
    return totals


def mvm_layers(program: Program) -> dict[int, list[MvmTable]]:
    """The mvm tables of each layer, by the map that holds the sum of their results."""
    totals = layer_of(program)
    layers: dict[int, list[MvmTable]] = {}
    for table in program.tables:
        if isinstance(table, MvmTable):
            layers.setdefault(totals[table.destination], []).append(table)
    return layers
