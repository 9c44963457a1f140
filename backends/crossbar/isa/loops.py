"""Loops in instruction streams: walking a stream in the order in which it is executed.

Between `loop count=n` and its `end` operands may advance with the iterations (`program.Advance`).
Nothing here holds more than a place in a stream, however often its loops repeat.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from epimc.backends.crossbar.core.limits import MAXIMUM_EXCHANGES, MAXIMUM_EXECUTED
from epimc.backends.crossbar.core.operands import NESTING
from epimc.backends.crossbar.core.program import Advance, Instruction, Streams
from epimc.backends.crossbar.instructions.control import END, LOOP, SIGNAL, WAIT
from epimc.backends.crossbar.instructions.registry import BY_NAME
from epimc.backends.crossbar.instructions.transfers import Recv, Send
from epimc.ir.semantics.arrays import Ints
from epimc.support.diagnostics import error

EXCHANGES = (Send.name, Recv.name, SIGNAL, WAIT)
"""The instructions by which tiles learn of each other."""


@dataclass
class RunningLoop:
    """A loop that is being executed.

    Attributes:
        start: The number of its `loop` in the stream.
        count: Its iterations.
        iteration: The current one, from 0.
    """

    start: int
    count: int
    iteration: int = 0


class Cursor:
    """A place in a stream whose loops are paired.

    Attributes:
        executed: Instructions that lie behind it, `loop` and `end` of every iteration included.
    """

    def __init__(self, stream: tuple[Instruction, ...]) -> None:
        self.executed = 0
        self._stream = stream
        self._index = 0
        self._loops: list[RunningLoop] = []
        self._current: Instruction | None = None
        self._resolve()

    @property
    def current(self) -> Instruction | None:
        """The instruction here, with the operands of this iteration; None behind the last."""
        return self._current

    @property
    def index(self) -> int:
        """The number of the instruction here in the stream."""
        return self._index

    @property
    def stream(self) -> tuple[Instruction, ...]:
        """What this is a place in."""
        return self._stream

    @property
    def loops(self) -> list[RunningLoop]:
        """The loops around this place, the outermost first."""
        return self._loops

    @property
    def place(self) -> str:
        """Where this is, in words: the number in the stream, and of each loop the iteration."""
        inside = ".".join(str(loop.iteration) for loop in self._loops)
        return f"instruction {self._index}" + (f" in iteration {inside}" if inside else "")

    def advance(self) -> None:
        """Go on to the next instruction."""
        self._index += 1
        self.executed += 1
        self._resolve()

    def loop(self, count: int) -> None:
        """Begin a loop at the `loop` here."""
        self._loops.append(RunningLoop(self._index, count))

    def end(self) -> None:
        """At an `end`: go back to the `loop`, as if to begin it, or leave it."""
        innermost = self._loops[-1]
        innermost.iteration += 1
        if innermost.iteration < innermost.count:
            # The `advance` that follows every instruction goes on behind the `loop`.
            self._index = innermost.start
        else:
            self._loops.pop()

    def skip(self, iterations: int, executed: int) -> None:
        """Right after `end`, go so many iterations further, in which so much is executed."""
        self._loops[-1].iteration += iterations
        self.executed += executed

    def _resolve(self) -> None:
        stream = self._stream
        # Most instructions advance nowhere, and are handed out as they are written.
        current = stream[self._index] if self._index < len(stream) else None
        if current is not None and self._loops and current.advances:
            current = resolved(current, [loop.iteration for loop in self._loops])
        self._current = current


def resolved(instruction: Instruction, iterations: list[int]) -> Instruction:
    """An instruction in certain iterations of the loops around it, the outermost first."""
    operands = [
        value_of(operand, iterations) if isinstance(operand, Advance) else operand
        for operand in instruction.operands
    ]
    return Instruction(instruction.opcode, tuple(operands))


def value_of(operand: Advance, iterations: list[int]) -> int | tuple[int, int]:
    """What an operand has advanced to."""
    added = 0
    # Strides are of the innermost loops; an operand need not advance in the outer ones.
    for stride, iteration in zip(operand.strides, reversed(iterations), strict=False):
        added += stride * iteration
    if isinstance(operand.first, tuple):
        return operand.first[0] + added, operand.first[1] + added
    if operand.region is None:
        return operand.first + added
    low, size = operand.region
    return low + (operand.first - low + added) % size


def lowest(operand: Advance, counts: Sequence[int]) -> int:
    """The lowest address that an operand comes to which goes round a region.

    Args:
        operand: With a region.
        counts: Iterations of the loops around it, the innermost first.
    """
    assert isinstance(operand.first, int)
    assert operand.region is not None
    low, size = operand.region
    # The longest loop comes last and piece by piece: what the others come to are few addresses.
    *others, (count, stride) = sorted(zip(counts, operand.strides, strict=False))
    places = np.array([operand.first - low], np.int64)
    for times, step in others:
        places = np.unique((places[:, None] + _multiples(step, 0, times, size)) % size)
    pieces = range(0, min(count, size), _PIECE)
    return low + min(
        _least_sum(places, _multiples(stride, start, min(start + _PIECE, count, size), size), size)
        for start in pieces
    )


# Iterations of a loop that are looked at together.
_PIECE = 2**20


def _multiples(stride: int, start: int, end: int, size: int) -> Ints:
    """The multiples start, start + 1 ... end - 1 of a stride in a region, sorted."""
    return np.unique(np.arange(start, min(end, start + size), dtype=np.int64) * stride % size)


def _least_sum(first: Ints, second: Ints, size: int) -> int:
    """The least sum, modulo a size, of two sorted numbers below it, one from each array."""
    least = int(first[0] + second[0])
    around = np.searchsorted(second, size - first)
    wraps = around < len(second)
    sums = first[wraps] + second[around[wraps]] - size
    return min(least if least < size else size, int(sums.min(initial=size)))


def walk(stream: tuple[Instruction, ...]) -> Iterator[Cursor]:
    """A cursor that goes through a stream, standing at each instruction but `loop` and `end`."""
    cursor = Cursor(stream)
    while (instruction := cursor.current) is not None:
        if instruction.opcode == LOOP:
            cursor.loop(*instruction.operands)  # type: ignore[arg-type]
        elif instruction.opcode == END:
            cursor.end()
        else:
            yield cursor
        cursor.advance()


def executed(stream: tuple[Instruction, ...]) -> Iterator[Instruction]:
    """The instructions of a stream in the order of execution, without its loops."""
    for cursor in walk(stream):
        assert cursor.current is not None
        yield cursor.current


def expand(streams: Streams) -> Streams:
    """The same streams without loops."""
    return tuple(tuple(executed(stream)) for stream in streams)


def executed_count(stream: tuple[Instruction, ...], names: Container[str] | None = None) -> int:
    """How many instructions a stream executes, without `loop` and `end`; or those of some names.

    Loops that are not paired count for what they enclose: a checker says so afterwards.
    """
    counts, factors = 0, [1]
    for instruction in stream:
        if instruction.opcode == LOOP:
            factors.append(factors[-1] * max(_iterations(instruction), 1))
        elif instruction.opcode == END:
            factors = factors[:-1] or [1]
        elif names is None or instruction.opcode in names:
            counts += factors[-1]
    return counts


def _iterations(instruction: Instruction) -> int:
    """Those of a `loop`; 1 where its operand is none."""
    match instruction.operands:
        case (int() as count,):
            return count
    return 1


def refuse_long(streams: Streams) -> None:
    """Refuse a program that nobody could check or run in reasonable time.

    Raises:
        EpimcError: It executes more than MAXIMUM_EXECUTED, or its tiles exchange more than
            MAXIMUM_EXCHANGES.
    """
    # Counted, not walked: four nested loops of 2^32 iterations each are a few bytes.
    count, limit = sum(map(executed_count, streams)), MAXIMUM_EXECUTED
    if count > limit:
        raise error(
            f"The program executes {count} instructions; the limit is {limit}.",
            hint="Its loops repeat too often, or its maps have too many rows.",
        )
    exchanges = sum(executed_count(stream, EXCHANGES) for stream in streams)
    if exchanges * len(streams) > MAXIMUM_EXCHANGES:
        raise error(
            f"{len(streams)} tiles exchange rows and signals {exchanges} times; for so many tiles "
            f"the limit is {MAXIMUM_EXCHANGES // len(streams)}."
        )


def loop_problem(stream: tuple[Instruction, ...]) -> tuple[int, str] | None:
    """The first instruction that is wrong about loops, and why; None when all is well.

    Every instruction by itself has the operands of its declaration.
    """
    opened: list[int] = []
    for number, instruction in enumerate(stream):
        if instruction.opcode == LOOP:
            opened.append(number)
            if len(opened) > NESTING:
                return number, f"More than {NESTING} loops enclose each other."
            if instruction.operands == (0,):
                return number, "A loop of 0 iterations."
        elif instruction.opcode == END:
            if not opened:
                return number, "An 'end' without a 'loop'."
            # It would do nothing, and one program could be written in many ways.
            if opened.pop() == number - 1:
                return number, "A loop without instructions."
        elif problem := _advance_problem(instruction, len(opened)):
            return number, problem
    if opened:
        return opened[-1], "A 'loop' without an 'end'."
    return None


def _advance_problem(instruction: Instruction, depth: int) -> str:
    operands = zip(BY_NAME[instruction.opcode].operands, instruction.operands, strict=True)
    for declared, operand in operands:
        if isinstance(operand, Advance) and len(operand.strides) > depth:
            return (
                f"Operand '{declared.name}' has more strides ({len(operand.strides)}) "
                f"than loops around it ({depth})."
            )
    return ""


def region_problem(stream: tuple[Instruction, ...]) -> tuple[int, str] | None:
    """The first operand that goes round a region not its own, and how; None when all is well.

    A region begins at the lowest address that is come to: one form for one sequence of addresses.
    The stream has no `loop_problem`.
    """
    counts: list[int] = []
    for number, instruction in enumerate(stream):
        if instruction.opcode == LOOP:
            # The innermost first, as strides are.
            counts.insert(0, *instruction.operands)  # type: ignore[arg-type]
        elif instruction.opcode == END:
            counts.pop(0)
        for operand in instruction.operands:
            if isinstance(operand, Advance) and operand.region is not None:
                low, size = operand.region
                if not all(0 <= stride < size for stride in operand.strides):
                    return number, "A stride that is not within its region."
                if (begin := lowest(operand, counts)) != low:
                    return number, f"A region at {low:#x} that is never entered below {begin:#x}."
    return None
