"""What loops do with rows, in all of their iterations at once: the ground of an induction."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum, auto

import numpy as np

from epimc.backends.crossbar.check.off_chip import OffChipRows
from epimc.backends.crossbar.core.operands import Operands
from epimc.backends.crossbar.core.program import Advance, Instruction, Program, Ring
from epimc.backends.crossbar.instructions.computing import Computing
from epimc.backends.crossbar.instructions.registry import BY_NAME
from epimc.backends.crossbar.isa.loops import Cursor, RunningLoop, resolved, value_of
from epimc.ir.semantics.arrays import Ints


class Verb(Enum):
    """What becomes of a row."""

    LOAD = auto()
    STORE = auto()
    COMPUTE = auto()


@dataclass(frozen=True)
class Step:
    """An instruction of a loop's body, with inner loops written out, in all iterations.

    Attributes:
        place: How many instructions of the iteration come before it, `loop` and `end` included.
        verb: What is done with them.
        map: The map whose row it moves or computes.
        rows: The row, int64 [iterations].
        addresses: Where in the buffer it lies, int64 [iterations].
    """

    place: int
    verb: Verb
    map: int
    rows: Ints
    addresses: Ints


@dataclass(frozen=True)
class Read:
    """The rows of a map that an instruction reads from a ring, in all iterations.

    Attributes:
        map: The map.
        ring: The ring.
        rows: First row, how many, and the step between them, int64 [3, iterations].
    """

    map: int
    ring: Ring
    rows: Ints


@dataclass
class Body:
    """What a loop does with rows, in all of its iterations.

    Attributes:
        iterations: How many there are.
        length: Instructions that one executes, its `end` included.
        steps: What is moved and computed.
        reads: What is read from rings.
        period: After so many iterations ring slots and addresses are the same.
    """

    iterations: int
    length: int
    steps: list[Step] = field(default_factory=list)
    reads: list[Read] = field(default_factory=list)
    period: int = 1


@dataclass(frozen=True)
class BodyReader:
    """Reads the body of the innermost loop at a place in a stream.

    Attributes:
        program: The program.
        off_chip: Which rows lie where off chip.
        cursor: The place.
    """

    program: Program
    off_chip: OffChipRows
    cursor: Cursor

    def read(self) -> Body | None:
        """What the innermost loop does; None where it concerns other tiles, or jumps wildly."""
        *around, loop = self.cursor.loops
        outer = [each.iteration for each in around]
        body = Body(loop.count, 0)
        for place, instruction, inner in written_out(self.cursor.stream, loop.start + 1):
            body.length = place + 1
            kind = BY_NAME[instruction.opcode]
            if kind.off_chip:
                good = self._add_transfer(body, place, instruction, outer, inner)
            elif issubclass(kind, Computing):
                good = self._add_computation(body, place, instruction, outer, inner)
            else:
                good = kind.nesting != 0
            if not good:
                return None
        return body

    def _add_transfer(
        self, body: Body, place: int, instruction: Instruction, outer: list[int], inner: list[int]
    ) -> bool:
        loads = BY_NAME[instruction.opcode].off_chip > 0
        operands = [lined(operand, body, outer, inner) for operand in instruction.operands[:2]]
        off_chip, buffer = operands[::-1] if loads else operands
        if off_chip is None or buffer is None:
            return False
        row = self.off_chip.row_at(int(off_chip[0]))
        if row is None:
            return False
        feature = self.program.maps[row[0]]
        rows, rest = np.divmod(off_chip - feature.address, feature.row_stride)
        if rest.any() or rows.min() < 0 or rows.max() >= feature.height:
            return False
        verb = Verb.LOAD if loads else Verb.STORE
        body.steps.append(Step(place, verb, row[0], rows, buffer))
        return True

    def _add_computation(
        self, body: Body, place: int, instruction: Instruction, outer: list[int], inner: list[int]
    ) -> bool:
        program = self.program
        match resolved(instruction, [*outer, 0, *inner]).operands:
            case (int() as number, (int() as first, int() as end), Ring() as dst, tuple() as rings):
                table, lines = program.tables[number], program.source_rows[number]
            case _:
                return False
        target = program.maps[table.destination]
        places = lined(instruction.operands[1], body, outer, inner)
        # More than there are: some row is computed a second time.
        if places is None or (end - first) * body.iterations > target.height:
            return False
        body.period = math.lcm(body.period, dst.rows)
        for y in range(end - first):
            rows = places + y
            slots = dst.address + rows % dst.rows * target.row_stride
            body.steps.append(Step(place, Verb.COMPUTE, table.destination, rows, slots))
            for source, (ring, index) in enumerate(zip(rings, table.sources, strict=True)):
                assert isinstance(ring, Ring)
                ranges = lines.ranges(source)
                if ranges is None:
                    return False
                body.reads.append(Read(index, ring, ranges[:, rows]))
                body.period = math.lcm(body.period, ring.rows)
        return True


def written_out(
    stream: tuple[Instruction, ...], first: int
) -> Iterator[tuple[int, Instruction, list[int]]]:
    """What one iteration of a loop executes, from the instruction behind its `loop` to its `end`.

    Yields:
        How many instructions came before, the instruction, and the iterations of the loops inside.
    """
    inner: list[RunningLoop] = []
    index, place = first, 0
    while True:
        instruction = stream[index]
        yield place, instruction, [loop.iteration for loop in inner]
        place, index = place + 1, index + 1
        nesting = BY_NAME[instruction.opcode].nesting
        if nesting > 0:
            (count,) = instruction.operands
            assert isinstance(count, int)
            inner.append(RunningLoop(index, count))
        elif nesting < 0:
            if not inner:
                return
            inner[-1].iteration += 1
            if inner[-1].iteration < inner[-1].count:
                index = inner[-1].start
            else:
                inner.pop()


def lined(operand: Operands, body: Body, outer: list[int], inner: list[int]) -> Ints | None:
    """An operand, or the first number of a range, in all iterations of a loop.

    Args:
        operand: As it is written.
        body: Of the loop.
        outer: The iterations of the loops around it.
        inner: Those of the loops inside it.

    Returns:
        int64 [iterations]; None where that does not hold it.
    """
    value, stride, region = operand, 0, None
    if isinstance(operand, Advance):
        value, region = value_of(operand, [*outer, 0, *inner]), operand.region
        stride = operand.strides[len(inner)] if len(inner) < len(operand.strides) else 0
    first = value[0] if isinstance(value, tuple) else value
    assert isinstance(first, int)
    if first + abs(stride) * body.iterations >= 2**63:
        return None
    line = first + stride * np.arange(body.iterations, dtype=np.int64)
    if region is None:
        return line
    low, size = region
    return low + (line - low) % size


def period_of(numbers: Ints) -> int:
    """After how many numbers the first one comes again; their number where it does not."""
    again = np.flatnonzero(numbers[1:] == numbers[0])
    return int(again[0]) + 1 if len(again) else len(numbers)
