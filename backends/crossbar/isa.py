"""The instruction set: every instruction declared once.

A declaration gives the name, the opcode number, the operands, what it does (for the documentation)
and the function that executes it.  The assembler, the binary encoding, the checker, the simulator
and docs/isa.md derive all they know of an instruction from it.  To add one: write its semantics
function and its declaration below.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from epimc.backends.crossbar.operands import (
    BUFFER_ADDRESS,
    COUNT,
    ITERATIONS,
    NO_RINGS,
    OFF_CHIP_ADDRESS,
    RING,
    RINGS,
    ROWS,
    SEMAPHORE,
    SIZE,
    TABLE,
    TILE,
    Kind,
)
from epimc.backends.crossbar.program import (
    AddTable,
    ConcatTable,
    ConstantTable,
    HostTable,
    Instruction,
    LookupTable,
    MultiplyTable,
    MvmTable,
    PadTable,
    PoolTable,
    RearrangeTable,
    RequantizeTable,
    Ring,
    SelectTable,
)

Streams = tuple[tuple[Instruction, ...], ...]

HALT, LOOP, END = "halt", "loop", "end"


# --- semantics ----------------------------------------------------------------------------------


class Machine(Protocol):
    """What executes instructions: the simulator with data, the checker with tags for data."""

    def current(self, tile: int) -> Instruction | None:
        """The instruction at which a tile stands; None when there is no such tile."""

    def advance(self, tile: int) -> None:
        """Let a tile go on to its next instruction."""

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
        self,
        tile: int,
        operation: str,
        table: int,
        rows: tuple[int, int],
        dst: Ring,
        sources: tuple[Ring, ...],
    ) -> None:
        """Compute output rows of a table's destination map, in order."""


def _loop(machine: Machine, tile: int, count: int) -> bool:
    machine.loop(tile, count)
    return True


def _end(machine: Machine, tile: int) -> bool:
    machine.end(tile)
    return True


def _load(machine: Machine, tile: int, dst: int, src: int, size: int) -> bool:
    machine.load(tile, dst, src, size)
    return True


def _store(machine: Machine, tile: int, dst: int, src: int, size: int) -> bool:
    machine.store(tile, dst, src, size)
    return True


def _stands_at(machine: Machine, tile: int, opcode: str, partner: int) -> bool:
    instruction = machine.current(tile)
    return (
        instruction is not None
        and instruction.opcode == opcode
        and instruction.operands[0] == partner
    )


def _send(machine: Machine, tile: int, receiver: int, src: int, size: int) -> bool:
    if not _stands_at(machine, receiver, "recv", tile):
        return False
    machine.transfer(tile, receiver)
    machine.advance(receiver)
    return True


def _recv(machine: Machine, tile: int, sender: int, dst: int, size: int) -> bool:
    if not _stands_at(machine, sender, "send", tile):
        return False
    machine.transfer(sender, tile)
    machine.advance(sender)
    return True


def _signal(machine: Machine, tile: int, semaphore: int) -> bool:
    machine.signal(tile, semaphore)
    return True


def _wait(machine: Machine, tile: int, semaphore: int, count: int) -> bool:
    return machine.wait(tile, semaphore, count)


def _host(machine: Machine, tile: int, table: int) -> bool:
    machine.host(tile, table)
    return True


def _compute(
    operation: str,
    machine: Machine,
    tile: int,
    table: int,
    rows: tuple[int, int],
    dst: Ring,
    sources: tuple[Ring, ...],
) -> bool:
    machine.compute(tile, operation, table, rows, dst, sources)
    return True


def _halt(machine: Machine, tile: int) -> bool:
    return False


# --- declarations -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Operand:
    """An operand of an instruction: its name in the text, its kind, and what it means."""

    name: str
    kind: Kind
    doc: str


@dataclass(frozen=True)
class Spec:
    """The declaration of one instruction.

    Attributes:
        name: In the text.
        code: Opcode number in the binary.
        operands: In the order of the text, the binary and `Instruction.operands`.
        doc: What it does, one paragraph.
        execute: Called with the machine, the tile and the operands; returns whether the
            instruction is finished (False: the tile stays at it).
        table: The class of table that its `table` operand must name; None when it has none.
        example: Operand texts of the documentation's example, in order.
    """

    name: str
    code: int
    operands: tuple[Operand, ...]
    doc: str
    execute: Callable[..., bool]
    example: tuple[str, ...]
    table: type | None = None


def _computing(name: str, code: int, table: type, sources: str, doc: str) -> Spec:
    operands = (
        Operand("table", TABLE, f"The table: {table.__name__}."),
        Operand("rows", ROWS, "Output rows first to end - 1, at least one, in order."),
        Operand("dst", RING, "Where the output rows go."),
        Operand("src", RINGS if sources else NO_RINGS, sources or "Nothing is read."),
    )
    rings = "[0x0:3, 0x800:2]" if "several" in sources or "two" in sources else "[0x0:3]"
    example = ("7", "4:5", "0x400:2", rings if sources else "[]")
    return Spec(name, code, operands, doc, partial(_compute, name), example, table)


_ONE_SOURCE = "One ring, with the rows of the source map."
_NO_SOURCE = ""

SPECS: tuple[Spec, ...] = (
    Spec(
        "halt",
        0,
        (),
        "Ends the stream of a tile; the last instruction of each stream, and only there.",
        _halt,
        (),
    ),
    Spec(
        "load",
        1,
        (
            Operand("dst", BUFFER_ADDRESS, "Where the row goes."),
            Operand("src", OFF_CHIP_ADDRESS, "Where the row lies."),
            Operand("bytes", SIZE, "Bytes of the row."),
        ),
        "Copies one row from off-chip memory to the buffer of the tile.",
        _load,
        ("0x100", "0x2000", "448"),
    ),
    Spec(
        "store",
        2,
        (
            Operand("dst", OFF_CHIP_ADDRESS, "Where the row goes."),
            Operand("src", BUFFER_ADDRESS, "Where the row lies."),
            Operand("bytes", SIZE, "Bytes of the row."),
        ),
        "Copies one row from the buffer of the tile to off-chip memory.",
        _store,
        ("0x2000", "0x100", "448"),
    ),
    Spec(
        "send",
        3,
        (
            Operand("tile", TILE, "The tile that receives."),
            Operand("src", BUFFER_ADDRESS, "Where the row lies."),
            Operand("bytes", SIZE, "Bytes of the row."),
        ),
        "Copies one row to another tile.  It meets that tile's `recv`: neither goes on before "
        "both have arrived, and nothing is buffered between them.",
        _send,
        ("2", "0x100", "448"),
    ),
    Spec(
        "recv",
        4,
        (
            Operand("tile", TILE, "The tile that sends."),
            Operand("dst", BUFFER_ADDRESS, "Where the row goes."),
            Operand("bytes", SIZE, "Bytes of the row."),
        ),
        "Takes one row from another tile: the n-th `recv` from a tile meets its n-th `send`.",
        _recv,
        ("1", "0x100", "448"),
    ),
    Spec(
        "signal",
        5,
        (Operand("sem", SEMAPHORE, "The semaphore."),),
        "Adds 1 to the count of a semaphore.  Counts start at 0 and are never taken down.",
        _signal,
        ("3",),
    ),
    Spec(
        "wait",
        6,
        (
            Operand("sem", SEMAPHORE, "The semaphore."),
            Operand("count", COUNT, "The count to reach."),
        ),
        "Holds the tile until the count of a semaphore has reached a number.",
        _wait,
        ("3", "5"),
    ),
    Spec(
        "loop",
        14,
        (Operand("count", ITERATIONS, "Iterations, at least 1."),),
        "Repeats the instructions up to its `end`.  Up to 4 loops may enclose an instruction.",
        _loop,
        ("28",),
    ),
    Spec(
        "end",
        15,
        (),
        "Ends the innermost loop.",
        _end,
        (),
    ),
    _computing(
        "mvm",
        16,
        MvmTable,
        _ONE_SOURCE,
        "Drives the tile's crossbars: activations to accumulators, as the table's activation "
        "rounds say.  A read outside the image delivers the zero point.",
    ),
    _computing(
        "requantize",
        17,
        RequantizeTable,
        "Rings, as many as the table has sources (possibly several), with the rows of the "
        "source maps.",
        "Accumulators or activations to activations, the only rounding: "
        "clamp(zero point + floor((sum of (source - its zero point) * multiplier + offset "
        "+ 2^(s-1)) / 2^s), low, high).",
    ),
    _computing(
        "pool",
        18,
        PoolTable,
        _ONE_SOURCE,
        "The maximum over a sliding window (activations to activations, nothing outside the "
        "image wins), or the sum of q - zero point over it (activations to accumulators).  Where "
        "the table says what counts, a sum is multiplied by the least common multiple of the "
        "numbers of elements that the windows count, over the window's own.",
    ),
    _computing(
        "rearrange",
        19,
        RearrangeTable,
        _ONE_SOURCE,
        "Moves activations: the dims of a map [C, H, W] permuted, then cut anew, row-major.  A "
        "flatten is the case that permutes nothing.",
    ),
    _computing(
        "add",
        20,
        AddTable,
        "The two rings of accumulators.",
        "Adds the accumulators of two parts of one layer.",
    ),
    _computing(
        "multiply",
        24,
        MultiplyTable,
        "The two rings of activations; a map [C, 1, 1] as the second gives its one row every time.",
        "Multiplies activations less their zero points, element by element or, by a map [C, 1, 1], "
        "whole channels: activations to accumulators.",
    ),
    _computing(
        "lookup",
        25,
        LookupTable,
        _ONE_SOURCE,
        "Replaces each activation by what the table, or its row for the channel, has for it.",
    ),
    _computing(
        "concat",
        26,
        ConcatTable,
        "Rings, as many as the table has sources (possibly several), with the rows of the "
        "source maps.",
        "Puts the source maps one behind the other, along channels, rows or columns.  Along the "
        "rows, an output row reads a row of one source.",
    ),
    _computing(
        "pad",
        27,
        PadTable,
        _ONE_SOURCE,
        "Puts zero points around a map: channels before and after, rows and columns.",
    ),
    _computing(
        "select",
        28,
        SelectTable,
        _ONE_SOURCE,
        "Takes channels, rows and columns of a map by their indices: some of them, in any order, "
        "any number of times.",
    ),
    _computing(
        "constant",
        29,
        ConstantTable,
        _NO_SOURCE,
        "Writes rows of activations that the table holds.",
    ),
    Spec(
        "host",
        32,
        (Operand("table", TABLE, "The table: HostTable."),),
        "Has the host compute a whole map from whole maps, by the ONNX model that the table "
        "names: from off-chip memory to off-chip memory.  The tile waits for it.",
        _host,
        ("7",),
        HostTable,
    ),
)

BY_NAME = {spec.name: spec for spec in SPECS}
BY_CODE = {spec.code: spec for spec in SPECS}


def format_instruction(instruction: Instruction) -> str:
    """The canonical text of one instruction, on one line, without indentation."""
    spec = BY_NAME[instruction.opcode]
    pairs = zip(spec.operands, instruction.operands, strict=True)
    operands = ", ".join(f"{op.name}={op.kind.format(value)}" for op, value in pairs)
    return f"{spec.name} {operands}" if operands else spec.name
