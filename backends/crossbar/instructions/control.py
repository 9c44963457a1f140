"""Instructions that steer a stream: its end, its loops, and what orders it with others."""

from __future__ import annotations

from epimc.backends.crossbar.core.counts import Counts
from epimc.backends.crossbar.core.operands import COUNT, ITERATIONS, SEMAPHORE
from epimc.backends.crossbar.core.program import Program
from epimc.backends.crossbar.instructions.declaration import (
    DeclaredInstruction,
    Machine,
    Operand,
    Subjects,
    Tiles,
)
from epimc.backends.crossbar.instructions.registry import register


@register
class Halt(DeclaredInstruction):
    """Ends the stream of a tile; the last instruction of each stream, and only there."""

    name = "halt"
    code = 0
    is_last = True
    orders_tiles = True

    @classmethod
    def execute(cls, machine: Machine, tile: int) -> Tiles:
        """A tile stays at it."""
        return ()


@register
class Signal(DeclaredInstruction):
    """Adds 1 to the count of a semaphore.

    Counts start at 0 and are never taken down.
    """

    name = "signal"
    code = 5
    operands = (Operand("sem", SEMAPHORE, "The semaphore."),)
    example = ("3",)
    orders_tiles = True

    @classmethod
    def execute(cls, machine: Machine, tile: int, semaphore: int) -> Tiles:
        """Count up, without waiting for anybody."""
        machine.signal(tile, semaphore)
        return (tile,)

    @classmethod
    def subject(cls, subjects: Subjects, tile: int, semaphore: int) -> int | None:
        """What the tile has last stored."""
        subjects.signal(semaphore, subjects.stored(tile))
        return subjects.stored(tile)


@register
class Wait(DeclaredInstruction):
    """Holds the tile until the count of a semaphore has reached a number."""

    name = "wait"
    code = 6
    operands = (
        Operand("sem", SEMAPHORE, "The semaphore."),
        Operand("count", COUNT, "The count to reach."),
    )
    example = ("3", "5")
    orders_tiles = True

    @classmethod
    def execute(cls, machine: Machine, tile: int, semaphore: int, count: int) -> Tiles:
        """Once the count is reached."""
        return (tile,) if machine.wait(tile, semaphore, count) else ()

    @classmethod
    def subject(cls, subjects: Subjects, tile: int, semaphore: int, count: int) -> int | None:
        """What the semaphore tells of."""
        return subjects.signalled(semaphore)


@register
class Loop(DeclaredInstruction):
    """Repeats the instructions up to its `end`.

    Up to 4 loops may enclose an instruction.
    """

    name = "loop"
    code = 14
    nesting = 1
    operands = (Operand("count", ITERATIONS, "Iterations, at least 1."),)
    example = ("28",)

    @classmethod
    def execute(cls, machine: Machine, tile: int, count: int) -> Tiles:
        """Begin the first iteration; loops end at their `end`."""
        machine.loop(tile, count)
        return (tile,)

    @classmethod
    def events(cls, program: Program, count: int) -> Counts:
        """None: a program means what it means with all loops written out."""
        return Counts()


@register
class End(DeclaredInstruction):
    """Ends the innermost loop."""

    name = "end"
    code = 15
    nesting = -1

    @classmethod
    def execute(cls, machine: Machine, tile: int) -> Tiles:
        """Go back to the instruction behind the `loop`, or go on after the last iteration."""
        machine.end(tile)
        return (tile,)

    @classmethod
    def events(cls, program: Program) -> Counts:
        """None, as for `loop`."""
        return Counts()


# What walks through a stream has to know these by name.
HALT, SIGNAL, WAIT, LOOP, END = (kind.name for kind in (Halt, Signal, Wait, Loop, End))
