"""Instructions that compute rows of maps on a tile, from rows in rings to rows in a ring."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from epimc.backends.crossbar.core.counts import Counts
from epimc.backends.crossbar.core.operands import NO_RINGS, RING, RINGS, ROWS, TABLE
from epimc.backends.crossbar.core.program import (
    ALIGNMENT,
    FeatureMap,
    Maps,
    Program,
    ProgramTable,
    Ring,
)
from epimc.backends.crossbar.instructions.declaration import Machine, Operand, Subjects, Tiles
from epimc.backends.crossbar.instructions.table import Table
from epimc.backends.crossbar.kernels.layer_part import LayerPart
from epimc.ir.semantics.arrays import Ints

if TYPE_CHECKING:
    # Machine code is loaded where something is simulated.
    from epimc.backends.crossbar.compiled.requantize import Rescaling

Data = NDArray[Any]
Rows = tuple[int, int]


class RowBlock(NamedTuple):
    """Rows of a source that a kernel works on.

    Attributes:
        first: The number of the first of them.
        data: Integers [batch, C, rows, W].
    """

    first: int
    data: Data


Kernel = Callable[[list[RowBlock], int, int], Data]
"""Computes output rows [first, end) of one table, integers [batch, C, end - first, W].

It is called with blocks of all its sources, which hold the rows between the first and the last
that these output rows read, and with `first` and `end`.  A result of one sample stands for all.
"""


class MapKernel(NamedTuple):
    """Computes all rows of one table at once.

    Attributes:
        dtype: Of what it computes.
        compute: How, of all its sources, arrays [batch, H, W, C], into the last, an array of the
            destination's shape.
    """

    dtype: np.dtype[Any]
    compute: Callable[[Sequence[Data], Data], None]


Product = Callable[[Data], Ints]
"""What crossbars compute: accumulators [Cout, n] of activations [Cin*Kh*Kw, n]."""

ProductOf = Callable[[LayerPart, FeatureMap], Product]
"""How the crossbars of a layer's part compute, with the map that they read."""


@dataclass(frozen=True)
class KernelSetting:
    """What kernels are made for.

    Attributes:
        program: The program.
        product_of: How crossbars compute.
    """

    program: Program
    product_of: ProductOf


class Computing(Table):
    """An instruction that computes output rows, one after the other.

    All have the same operands: the table, the output rows, the ring that takes them, and the rings
    of the sources.
    """

    sources_doc: ClassVar[str] = "One ring, with the rows of the source map."
    # Whether it makes activations of accumulators: then it can follow them as they are computed.
    rescales: ClassVar[bool] = False

    def __init_subclass__(cls) -> None:
        """Declare the operands, which follow from how many maps are read."""
        super().__init_subclass__()
        several = cls.most_sources > 1
        rings = "[0x0:3, 0x800:2]" if several else "[0x0:3]" if cls.most_sources else "[]"
        cls.example = ("7", "4:5", "0x400:2", rings)
        kind = RINGS if cls.most_sources else NO_RINGS
        cls.operands = (
            Operand("table", TABLE, "The table, one of this instruction."),
            Operand("rows", ROWS, "Output rows first to end - 1, at least one, in order."),
            Operand("dst", RING, "Where the output rows go."),
            Operand("src", kind, cls.sources_doc if cls.most_sources else "Nothing is read."),
        )

    def kernel(self, setting: KernelSetting) -> Kernel:
        """What computes the rows of this table."""
        raise NotImplementedError(self.name)

    def map_kernel(self, setting: KernelSetting) -> MapKernel:
        """What computes all of them at once, the same integers; by itself, `kernel`."""
        kernel, target = self.kernel(setting), setting.program.maps[self.destination]

        def compute(sources: Sequence[Data], out: Data) -> None:
            # Kernels of rows have the channels before rows and columns.
            blocks = [RowBlock(0, source.transpose(0, 3, 1, 2)) for source in sources]
            out[...] = kernel(blocks, 0, target.height).transpose(0, 2, 3, 1)

        return MapKernel(target.dtype, compute)

    def rescaling(self, maps: Maps, place: int = 0) -> Rescaling:
        """What it does to accumulators, for machine code, where it `rescales`.

        Args:
            maps: Of the program.
            place: Which of its sources a layer on crossbars delivers.
        """
        raise NotImplementedError(self.name)

    def window_bytes(self, maps: Maps) -> int:
        """Bytes of a buffer through which `direct` computes it: what one element is made of."""
        return ALIGNMENT * max(1, len(self.sources))

    def direct_bytes(self, maps: Maps, y: int) -> int:
        """Bytes that `direct` reads off chip for an output row: of each row that it reads, all."""
        lines = zip(self.sources, self.rows(maps, y), strict=True)
        return sum(len(rows) * maps[source].row_bytes for source, rows in lines)

    @classmethod
    def execute(
        cls,
        machine: Machine,
        tile: int,
        table: int,
        rows: Rows,
        dst: Ring,
        sources: tuple[Ring, ...],
    ) -> Tiles:
        """Compute rows, for which it never has to wait: what it reads lies in the buffer."""
        machine.compute(tile, table, rows, dst, sources)
        return (tile,)

    @classmethod
    def problem(
        cls,
        program: Program,
        tile: int,
        table: int,
        rows: Rows,
        dst: Ring,
        sources: tuple[Ring, ...],
    ) -> str:
        """Table, rows and rings are such as fit together; which rows lie in them, others see."""
        if mistake := table_problem(cls, program, table):
            return mistake
        named = program.tables[table]
        if mistake := named.tile_problem(tile, table):
            return mistake
        if mistake := rows_problem(program, named, rows):
            return mistake
        if len(sources) != len(named.sources):
            return f"Table {table} has {len(named.sources)} sources, not {len(sources)}."
        problems = (
            ring_problem(program, ring, program.maps[index])
            for index, ring in cls.rings(program, table, rows, dst, sources)
        )
        return next(filter(None, problems), "")

    @classmethod
    def rings(
        cls, program: Program, table: int, rows: Rows, dst: Ring, sources: tuple[Ring, ...]
    ) -> Iterator[tuple[int, Ring]]:
        """All maps that it names, by number, with their rings, the destination first."""
        named = program.tables[table]
        yield named.destination, dst
        yield from zip(named.sources, sources, strict=True)

    @classmethod
    def rings_read(
        cls, program: Program, table: int, rows: Rows, dst: Ring, sources: tuple[Ring, ...]
    ) -> Iterator[tuple[int, Ring]]:
        """Those of the sources."""
        return zip(program.tables[table].sources, sources, strict=True)

    @classmethod
    def buffer_spans(
        cls, program: Program, table: int, rows: Rows, dst: Ring, sources: tuple[Ring, ...]
    ) -> Iterator[tuple[int, int]]:
        """A ring counts whole, since some of its rows may never be written."""
        for index, ring in cls.rings(program, table, rows, dst, sources):
            yield ring.address, ring.address + ring.rows * program.maps[index].row_stride

    @classmethod
    def events(
        cls, program: Program, table: int, rows: Rows, dst: Ring, sources: tuple[Ring, ...]
    ) -> Counts:
        """Rows read from and written to the buffer, and what the table's positions use."""
        named, maps = program.tables[table], program.maps
        target, count = maps[named.destination], rows[1] - rows[0]
        result = Counts(instructions=1, buffer_written_bytes=count * target.row_bytes)
        # Computed once a table: a program has far more instructions than tables.
        result.add(program.position_events[table], count * target.width)
        read = [maps[index].row_bytes for index in named.sources]
        for lines in program.source_rows[table].lines[rows[0] : rows[1]]:
            for line, size in zip(lines, read, strict=True):
                result.buffer_read_bytes += len(line) * size
        return result

    @classmethod
    def subject(
        cls,
        subjects: Subjects,
        tile: int,
        table: int,
        rows: Rows,
        dst: Ring,
        sources: tuple[Ring, ...],
    ) -> int:
        """The map whose rows it computes, which lie in their slots from then on."""
        program = subjects.program
        destination = program.tables[table].destination
        stride = program.maps[destination].row_stride
        for y in range(*rows):
            subjects.put(tile, dst.slot(y, stride), destination)
        return destination


def accumulator_type(bound: int) -> np.dtype[Any]:
    """In which machine code keeps accumulators of at most some magnitude."""
    return np.dtype(np.int32 if bound < 2**31 else np.int64)


def table_problem(kind: type[Table], program: Program, number: int) -> str:
    """What is wrong with the table that an instruction names; empty when nothing is."""
    if number >= len(program.tables):
        return f"There is no table {number}."
    table = program.tables[number]
    return "" if type(table) is kind else f"Table {number} is one of '{table.name}'."


def rows_problem(program: Program, table: ProgramTable, rows: Rows) -> str:
    """What is wrong with the output rows of a table; empty when nothing is."""
    target = program.maps[table.destination]
    first, end = rows
    if first < end <= target.height:
        return ""
    return f"Rows {first}:{end} are no rows of '{target.name}', which has {target.height}."


def ring_problem(program: Program, ring: Ring, target: FeatureMap) -> str:
    """What is wrong with the ring of a map; empty when nothing is."""
    limit, end = program.chip.buffer_bytes, ring.address + ring.rows * target.row_stride
    if ring.address % ALIGNMENT:
        return f"An address is not a multiple of {ALIGNMENT}."
    if not 1 <= ring.rows <= target.height:
        return f"A ring of {ring.rows} rows for '{target.name}', which has {target.height}."
    if end > limit:
        return f"The ring of '{target.name}' ends at {end:#x}, beyond {limit:#x}."
    return ""
