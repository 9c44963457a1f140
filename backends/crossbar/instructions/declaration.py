"""What every instruction declares of itself, and the machines that execute it.

An instruction is a class in one of the files of this folder.  Its docstring says what it does; its
members say how it looks in text and binary (`operands`), what it does (`execute`), when it is
wrong (`problem`), and what it uses of the chip (`events`).  Nothing outside the class knows more of
it than is declared here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from inspect import getdoc
from typing import Any, ClassVar, Protocol

from epimc.backends.crossbar.core.counts import Counts
from epimc.backends.crossbar.core.operands import OperandKind
from epimc.backends.crossbar.core.program import ALIGNMENT, Instruction, Program, Ring, aligned

Tiles = tuple[int, ...]
"""Tiles whose instructions are finished, in order; none: the instruction must wait."""


class Machine(Protocol):
    """What executes instructions: the simulator with data, the checker with tags for data."""

    def current(self, tile: int) -> Instruction | None:
        """The instruction at which a tile stands; None when there is no such tile."""

    def loop(self, tile: int, count: int) -> None:
        """Begin a loop of `count` iterations at the instruction at which a tile stands."""

    def end(self, tile: int) -> None:
        """End an iteration: let a tile go back to the beginning of its loop, or leave it."""

    def load(self, tile: int, dst: int, src: int, size: int) -> None:
        """Move `size` bytes from off-chip memory to a tile's buffer."""

    def store(self, tile: int, dst: int, src: int, size: int) -> None:
        """Move `size` bytes from a tile's buffer to off-chip memory."""

    def transfer(self, sender: int, receiver: int) -> None:
        """Move a row from the `send` at which one tile stands to the other's `recv`."""

    def signal(self, tile: int, semaphore: int) -> None:
        """Add 1 to the count of a semaphore."""

    def wait(self, tile: int, semaphore: int, count: int) -> bool:
        """Whether a semaphore has reached a count."""

    def host(self, tile: int, table: int) -> None:
        """Have the host compute a table's destination map, off chip."""

    def compute(
        self, tile: int, table: int, rows: tuple[int, int], dst: Ring, sources: tuple[Ring, ...]
    ) -> None:
        """Compute output rows of a table's destination map, in order."""

    def direct(self, tile: int, table: int, rows: tuple[int, int], window: int, size: int) -> None:
        """The same from off-chip memory to off-chip memory, through bytes of the buffer."""


class Subjects(Protocol):
    """Which feature map's row lies where, as far as instructions have moved rows."""

    program: Program

    def put(self, tile: int, address: int, subject: int) -> None:
        """A row of a map now lies at an address of a tile's buffer."""

    def at(self, tile: int, address: int) -> int:
        """The map whose row lies at an address of a tile's buffer."""

    def send(self, sender: int, receiver: int, subject: int) -> None:
        """A row of a map is on its way from tile to tile."""

    def receive(self, sender: int, receiver: int) -> int:
        """The map whose row has just been sent from tile to tile."""

    def store(self, tile: int, subject: int) -> None:
        """A tile has brought (a row of) a map off chip."""

    def stored(self, tile: int) -> int | None:
        """The map that a tile has last brought off chip."""

    def signal(self, semaphore: int, subject: int | None) -> None:
        """A semaphore tells of a map."""

    def signalled(self, semaphore: int) -> int | None:
        """The map that a semaphore has last told of."""


@dataclass(frozen=True)
class Operand:
    """An operand of an instruction: its name in the text, its kind, and what it means."""

    name: str
    kind: OperandKind
    doc: str


class DeclaredInstruction:
    """Base of all instructions.

    Attributes:
        name: In the text.
        code: Opcode number in the binary.
        operands: In the order of the text, the binary and `Instruction.operands`.
        example: Operand texts of the documentation's example, in order.
        lowers: The op of the compiler that it executes, by name; empty where there is none.
        nesting: 1 where it opens a loop, -1 where it closes one.
        off_chip: 1 where it brings a row from off chip, -1 where it takes one there.
        is_last: Whether a stream ends in it.
        orders_tiles: Whether it does nothing but order tiles, for no feature map in particular.
    """

    name: ClassVar[str]
    code: ClassVar[int]
    operands: ClassVar[tuple[Operand, ...]] = ()
    example: ClassVar[tuple[str, ...]] = ()
    lowers: ClassVar[str] = ""
    nesting: ClassVar[int] = 0
    off_chip: ClassVar[int] = 0
    is_last: ClassVar[bool] = False
    orders_tiles: ClassVar[bool] = False

    @classmethod
    def doc(cls) -> str:
        """What it does, in one paragraph: the docstring."""
        return " ".join((getdoc(cls) or "").partition("\n\nAttributes:")[0].split())

    @classmethod
    def execute(cls, machine: Machine, tile: int, *operands: Any) -> Tiles:
        """Do it on a machine.

        Returns:
            The tiles whose instructions are finished by it; none when the tile has to wait.
        """
        raise NotImplementedError(cls.name)

    @classmethod
    def problem(cls, program: Program, tile: int, *operands: Any) -> str:
        """What is wrong with one by itself, on a tile of a program; empty when nothing is."""
        return ""

    @classmethod
    def buffer_spans(cls, program: Program, *operands: Any) -> Iterator[tuple[int, int]]:
        """Where in the tile's buffer it may write, and its rings: first address, and that behind.

        What `store` and `send` read is not among them: another instruction has put it there.
        """
        return iter(())

    @classmethod
    def rings(cls, program: Program, *operands: Any) -> Iterator[tuple[int, Ring]]:
        """All maps that it names, by number, with their rings, what it writes first."""
        return iter(())

    @classmethod
    def rings_read(cls, program: Program, *operands: Any) -> Iterator[tuple[int, Ring]]:
        """The maps that it reads from rings of its tile, by number, with their rings."""
        return iter(())

    @classmethod
    def events(cls, program: Program, *operands: Any) -> Counts:
        """What one of it uses of the chip."""
        return Counts(instructions=1)

    @classmethod
    def subject(cls, subjects: Subjects, tile: int, *operands: Any) -> int | None:
        """The number of the feature map that it works for; None where there is none.

        It tells `subjects` where it puts a row, and is called for all instructions in the order
        in which they are executed.
        """
        return None


def row_problem(program: Program, buffer: int, size: int, *addresses: int) -> str:
    """What is wrong with moving a row of `size` bytes from or to a buffer address; empty: nothing.

    `addresses` are all that the instruction names.
    """
    limit = program.chip.buffer_bytes
    end = buffer + aligned(size)
    if any(address % ALIGNMENT for address in addresses):
        return f"An address is not a multiple of {ALIGNMENT}."
    if end > limit:
        return f"The row ends at {end:#x}, beyond the buffer's {limit:#x} bytes."
    return ""


def partner_problem(program: Program, tile: int, partner: int) -> str:
    """What is wrong with a tile to send to or to receive from; empty when nothing is."""
    if partner < program.chip.tiles and partner != tile:
        return ""
    return f"Tile {partner} is no other tile of the chip."
