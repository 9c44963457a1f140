"""The instruction that has the host compute what the chip has no form for."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

from epimc.backends.crossbar.core.counts import Counts
from epimc.backends.crossbar.core.limits import Index, Name
from epimc.backends.crossbar.core.operands import TABLE
from epimc.backends.crossbar.core.program import NO_ADDRESS, Maps, Program
from epimc.backends.crossbar.instructions.computing import table_problem
from epimc.backends.crossbar.instructions.declaration import Machine, Operand, Subjects, Tiles
from epimc.backends.crossbar.instructions.registry import register
from epimc.backends.crossbar.instructions.table import (
    MOST_SOURCES,
    Lowering,
    Sources,
    Table,
    TableCheck,
)
from epimc.backends.forms import Claim

# Fragments take and give bytes.
HOST_BITS = 8

# It names a file, `host/NAME.onnx`.
FRAGMENT_NAME = re.compile(r"[A-Za-z0-9_.\-]+")


@register
@dataclass(frozen=True)
class Host(Table):
    """Has the host compute a whole map from whole maps, by the ONNX model that the table names.

    From off-chip memory to off-chip memory.  The tile waits for it.

    Attributes:
        fragment: Name of the ONNX model; in a bundle, `host/NAME.onnx`.
        sources: Feature maps read (activations), the fragment's inputs in order.
        destination: Feature map written (activations), the fragment's output.
    """

    code = 32
    operands = (Operand("table", TABLE, "The table, one of this instruction."),)
    example = ("7",)
    lowers = "xbar.host"
    most_sources = MOST_SOURCES

    fragment: Name
    sources: Sources
    destination: Index
    type: Literal["host"] = "host"

    @classmethod
    def of(cls, op: Any, lowering: Lowering) -> Self:
        """The same maps; the fragment is named after its result."""
        return cls(op.output.name, lowering.sources(op), lowering.destination(op))

    def rows(self, maps: Maps, y: int) -> Sequence[Sequence[int]]:
        """All rows of all sources: the host knows maps, not rows."""
        return [range(maps[source].height) for source in self.sources]

    def claims(self, program: Program) -> Iterator[Claim]:
        """Nothing: the fragment tells all, node by node."""
        return iter(())

    def check(self, check: TableCheck) -> None:
        """The name is one of a file, and all maps lie off chip."""
        good = FRAGMENT_NAME.fullmatch(self.fragment) is not None
        check.require(good, f"'{self.fragment}' is no name of a fragment.")
        for target in (*check.sources, check.target):
            placed = target.address != NO_ADDRESS
            check.require(placed, f"'{target.name}' has no place off chip.")
            narrow = target.bits <= HOST_BITS
            check.require(narrow, f"'{target.name}' has more than the host's {HOST_BITS} bits.")

    @classmethod
    def execute(cls, machine: Machine, tile: int, table: int) -> Tiles:
        """Have the host compute; to the tile it is one step, however long the host takes."""
        machine.host(tile, table)
        return (tile,)

    @classmethod
    def problem(cls, program: Program, tile: int, table: int) -> str:
        """It names a table of its own."""
        return table_problem(cls, program, table)

    @classmethod
    def events(cls, program: Program, table: int) -> Counts:
        """Whole maps from and to off-chip memory."""
        named, maps = program.tables[table], program.maps
        written = maps[named.destination]
        return Counts(
            instructions=1,
            off_chip_read_bytes=sum(maps[s].row_bytes * maps[s].height for s in named.sources),
            off_chip_written_bytes=written.row_bytes * written.height,
        )

    @classmethod
    def subject(cls, subjects: Subjects, tile: int, table: int) -> int:
        """The destination, which lies off chip now."""
        destination = subjects.program.tables[table].destination
        subjects.store(tile, destination)
        return destination


def host_calls(program: Program) -> dict[int, Host]:
    """The tables of all host calls, by their numbers."""
    return {k: table for k, table in enumerate(program.tables) if isinstance(table, Host)}


def host_tables(program: Program) -> list[Host]:
    """The tables of all host calls."""
    return list(program.tables_of(Host))
