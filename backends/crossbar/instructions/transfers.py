"""Instructions that move a row: between off-chip memory and a buffer, and from tile to tile."""

from __future__ import annotations

from collections.abc import Iterator

from epimc.backends.crossbar.core.counts import Counts
from epimc.backends.crossbar.core.operands import BUFFER_ADDRESS, OFF_CHIP_ADDRESS, SIZE, TILE
from epimc.backends.crossbar.core.program import Program, aligned
from epimc.backends.crossbar.instructions.declaration import (
    DeclaredInstruction,
    Machine,
    Operand,
    Subjects,
    Tiles,
    partner_problem,
    row_problem,
)
from epimc.backends.crossbar.instructions.registry import register


@register
class Load(DeclaredInstruction):
    """Copies one row from off-chip memory to the buffer of the tile."""

    name = "load"
    code = 1
    operands = (
        Operand("dst", BUFFER_ADDRESS, "Where the row goes."),
        Operand("src", OFF_CHIP_ADDRESS, "Where the row lies."),
        Operand("bytes", SIZE, "Bytes of the row."),
    )
    example = ("0x100", "0x2000", "448")
    off_chip = 1

    @classmethod
    def execute(cls, machine: Machine, tile: int, dst: int, src: int, size: int) -> Tiles:
        """Copy the row at once: that it has been stored before is for the program to ensure."""
        machine.load(tile, dst, src, size)
        return (tile,)

    @classmethod
    def problem(cls, program: Program, tile: int, dst: int, src: int, size: int) -> str:
        """It stays inside the buffer."""
        return row_problem(program, dst, size, dst, src)

    @classmethod
    def buffer_spans(
        cls, program: Program, dst: int, src: int, size: int
    ) -> Iterator[tuple[int, int]]:
        """Where the row goes."""
        yield dst, dst + aligned(size)

    @classmethod
    def events(cls, program: Program, dst: int, src: int, size: int) -> Counts:
        """Bytes from off chip into the buffer."""
        return Counts(instructions=1, off_chip_read_bytes=size, buffer_written_bytes=size)

    @classmethod
    def subject(cls, subjects: Subjects, tile: int, dst: int, src: int, size: int) -> int:
        """The map that lies off chip there."""
        index = subjects.program.map_at(src)
        subjects.put(tile, dst, index)
        return index


@register
class Store(DeclaredInstruction):
    """Copies one row from the buffer of the tile to off-chip memory."""

    name = "store"
    code = 2
    operands = (
        Operand("dst", OFF_CHIP_ADDRESS, "Where the row goes."),
        Operand("src", BUFFER_ADDRESS, "Where the row lies."),
        Operand("bytes", SIZE, "Bytes of the row."),
    )
    example = ("0x2000", "0x100", "448")
    off_chip = -1

    @classmethod
    def execute(cls, machine: Machine, tile: int, dst: int, src: int, size: int) -> Tiles:
        """Copy the row at once: other tiles learn of it by a `signal`, or by a row sent later."""
        machine.store(tile, dst, src, size)
        return (tile,)

    @classmethod
    def problem(cls, program: Program, tile: int, dst: int, src: int, size: int) -> str:
        """It stays inside the buffer."""
        return row_problem(program, src, size, dst, src)

    @classmethod
    def events(cls, program: Program, dst: int, src: int, size: int) -> Counts:
        """Bytes from the buffer off chip."""
        return Counts(instructions=1, off_chip_written_bytes=size, buffer_read_bytes=size)

    @classmethod
    def subject(cls, subjects: Subjects, tile: int, dst: int, src: int, size: int) -> int:
        """The map that lies off chip there."""
        index = subjects.program.map_at(dst)
        subjects.store(tile, index)
        return index


@register
class Send(DeclaredInstruction):
    """Copies one row to another tile.

    It meets that tile's `recv`: neither goes on before both have arrived, and nothing is buffered
    between them.
    """

    name = "send"
    code = 3
    operands = (
        Operand("tile", TILE, "The tile that receives."),
        Operand("src", BUFFER_ADDRESS, "Where the row lies."),
        Operand("bytes", SIZE, "Bytes of the row."),
    )
    example = ("2", "0x100", "448")

    @classmethod
    def execute(cls, machine: Machine, tile: int, receiver: int, src: int, size: int) -> Tiles:
        """Once the other tile stands at its `recv`, which is finished then as well."""
        return met(machine, tile, receiver)

    @classmethod
    def problem(cls, program: Program, tile: int, receiver: int, src: int, size: int) -> str:
        """It stays inside the buffer, and names another tile."""
        return row_problem(program, src, size, src) or partner_problem(program, tile, receiver)

    @classmethod
    def events(cls, program: Program, receiver: int, src: int, size: int) -> Counts:
        """Bytes from the buffer to the other tile."""
        return Counts(instructions=1, sent_bytes=size, buffer_read_bytes=size)

    @classmethod
    def subject(cls, subjects: Subjects, tile: int, receiver: int, src: int, size: int) -> int:
        """The map whose row lies there."""
        index = subjects.at(tile, src)
        subjects.send(tile, receiver, index)
        return index


@register
class Recv(DeclaredInstruction):
    """Takes one row from another tile: the n-th `recv` from a tile meets its n-th `send`."""

    name = "recv"
    code = 4
    operands = (
        Operand("tile", TILE, "The tile that sends."),
        Operand("dst", BUFFER_ADDRESS, "Where the row goes."),
        Operand("bytes", SIZE, "Bytes of the row."),
    )
    example = ("1", "0x100", "448")

    @classmethod
    def execute(cls, machine: Machine, tile: int, sender: int, dst: int, size: int) -> Tiles:
        """Once the other tile stands at its `send`, which is finished then as well."""
        return met(machine, sender, tile)

    @classmethod
    def problem(cls, program: Program, tile: int, sender: int, dst: int, size: int) -> str:
        """It stays inside the buffer, and names another tile."""
        return row_problem(program, dst, size, dst) or partner_problem(program, tile, sender)

    @classmethod
    def buffer_spans(
        cls, program: Program, sender: int, dst: int, size: int
    ) -> Iterator[tuple[int, int]]:
        """Where the row goes."""
        yield dst, dst + aligned(size)

    @classmethod
    def events(cls, program: Program, sender: int, dst: int, size: int) -> Counts:
        """Bytes into the buffer."""
        return Counts(instructions=1, buffer_written_bytes=size)

    @classmethod
    def subject(cls, subjects: Subjects, tile: int, sender: int, dst: int, size: int) -> int:
        """The map whose row was sent."""
        index = subjects.receive(sender, tile)
        subjects.put(tile, dst, index)
        return index


def met(machine: Machine, sender: int, receiver: int) -> Tiles:
    """Move a row if a `send` and its `recv` have met: then both are finished, the `send` first."""
    # Either tile may come first, and asks for the other: it may stand anywhere, or not exist.
    for tile, opcode, partner in ((sender, Send.name, receiver), (receiver, Recv.name, sender)):
        instruction = machine.current(tile)
        if instruction is None or instruction.opcode != opcode:
            return ()
        if instruction.operands[0] != partner:
            return ()
    # Both stand at their instruction, and name each other.
    machine.transfer(sender, receiver)
    return sender, receiver
