"""The instruction that computes what no rings are there for: off chip to off chip."""

from __future__ import annotations

from collections.abc import Iterator

from epimc.backends.crossbar.core.counts import Counts
from epimc.backends.crossbar.core.operands import BUFFER_ADDRESS, ROWS, SIZE, TABLE
from epimc.backends.crossbar.core.program import NO_ADDRESS, Program, aligned
from epimc.backends.crossbar.instructions.computing import Computing, Rows, rows_problem
from epimc.backends.crossbar.instructions.declaration import (
    DeclaredInstruction,
    Machine,
    Operand,
    Subjects,
    Tiles,
    row_problem,
)
from epimc.backends.crossbar.instructions.registry import register


@register
class Direct(DeclaredInstruction):
    """Computes output rows as the instruction of the table does, from off-chip memory to there.

    No rows lie in the buffer: of each element of the result only what it is made of passes through
    some bytes of it, again for every element.  So it is slow, and there is no map, and no row, that
    it has no room for.  What lay in these bytes is lost.
    """

    name = "direct"
    code = 33
    operands = (
        Operand("table", TABLE, "The table, one of an instruction that computes rows."),
        Operand("rows", ROWS, "Output rows first to end - 1, at least one, in order."),
        Operand("window", BUFFER_ADDRESS, "Where what is read passes through."),
        Operand("bytes", SIZE, "How many bytes are there for it."),
    )
    example = ("7", "4:5", "0x400", "144")

    @classmethod
    def execute(
        cls, machine: Machine, tile: int, table: int, rows: Rows, window: int, size: int
    ) -> Tiles:
        """Compute rows, without waiting: that what it reads is stored is for the program."""
        machine.direct(tile, table, rows, window, size)
        return (tile,)

    @classmethod
    def problem(
        cls, program: Program, tile: int, table: int, rows: Rows, window: int, size: int
    ) -> str:
        """The table computes rows, all its maps lie off chip, and there are bytes enough."""
        if table >= len(program.tables):
            return f"There is no table {table}."
        named = program.tables[table]
        if not isinstance(named, Computing):
            return f"Table {table} is one of '{named.name}', which computes no rows."
        if mistake := named.tile_problem(tile, table):
            return mistake
        if mistake := rows_problem(program, named, rows):
            return mistake
        for index in (named.destination, *named.sources):
            if program.maps[index].address == NO_ADDRESS:
                return f"'{program.maps[index].name}' has no place off chip."
        needed = aligned(named.window_bytes(program.maps))
        if size != needed:
            return f"It has {size} bytes of the buffer, where it needs {needed}."
        return row_problem(program, window, size, window)

    @classmethod
    def buffer_spans(
        cls, program: Program, table: int, rows: Rows, window: int, size: int
    ) -> Iterator[tuple[int, int]]:
        """The bytes through which everything passes."""
        yield window, window + aligned(size)

    @classmethod
    def events(cls, program: Program, table: int, rows: Rows, window: int, size: int) -> Counts:
        """All that is read, which also passes through the buffer, and what the positions use."""
        named, maps = program.tables[table], program.maps
        assert isinstance(named, Computing)
        target, count = maps[named.destination], rows[1] - rows[0]
        read = sum(named.direct_bytes(maps, y) for y in range(*rows))
        result = Counts(
            instructions=1,
            buffer_read_bytes=read,
            buffer_written_bytes=read,
            off_chip_read_bytes=read,
            off_chip_written_bytes=count * target.row_bytes,
        )
        result.add(program.position_events[table], count * target.width)
        return result

    @classmethod
    def subject(
        cls, subjects: Subjects, tile: int, table: int, rows: Rows, window: int, size: int
    ) -> int:
        """The map whose rows it computes, which lie off chip from then on."""
        destination = subjects.program.tables[table].destination
        subjects.store(tile, destination)
        return destination
