"""Rolling: repetition in instruction streams becomes loops.  `loops.expand` is the exact inverse.

A block of instructions can repeat when the repetitions differ in nothing but operands that advance
by a constant stride, buffer addresses modulo the ring in which they lie.  For every period, runs
of such repetition are found over the whole stream at once (`repetition.py`); those that save most
instructions are folded first, and bodies are rolled in turn.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from heapq import heapify, heappop, heappush

import numpy as np

from epimc.backends.crossbar.core.operands import NESTING
from epimc.backends.crossbar.core.program import Advance, Instruction, Streams
from epimc.backends.crossbar.instructions.control import END, LOOP
from epimc.backends.crossbar.instructions.registry import BY_NAME
from epimc.backends.crossbar.isa.loops import executed, lowest
from epimc.backends.crossbar.lower.advancing import advancing_operands, joint_ids, read_stream
from epimc.backends.crossbar.lower.repetition import Columns, Run, run_of, runs
from epimc.ir.semantics.arrays import Ints


def roll(streams: Streams) -> Streams:
    """The same streams with loops, in the fewest instructions that a greedy choice finds."""
    return tuple(roll_stream(_plain(stream)) for stream in streams)


def _plain(stream: tuple[Instruction, ...]) -> tuple[Instruction, ...]:
    """A stream without its loops."""
    return tuple(executed(stream)) if any(BY_NAME[i.opcode].nesting for i in stream) else stream


def roll_stream(stream: tuple[Instruction, ...]) -> tuple[Instruction, ...]:
    """One stream without loops, rolled."""
    read = read_stream(stream)
    strides = np.zeros((0, *read.numbers.shape), np.int64)
    items = _Items(stream, read.kinds, read.numbers, read.lows, read.sizes, strides)
    return tuple(_rolled(items, ()))


@dataclass(frozen=True)
class _Items:
    """Instructions whose operands advance with the loops already around them.

    Attributes:
        instructions: In the first iteration of these loops.
        kinds: [items]: equal where all is equal that cannot advance, and the rings.
        numbers: [items, k]: the numbers that may advance, in order.
        lows: [items, k]: where the ring begins in which each goes round.
        sizes: [items, k]: the bytes of that ring; 0: none.
        strides: [loops, items, k]: what a further iteration of each loop adds, innermost first.
    """

    instructions: Sequence[Instruction]
    kinds: Ints
    numbers: Ints
    lows: Ints
    sizes: Ints
    strides: Ints

    @property
    def columns(self) -> Columns:
        """The items as they are compared: what is equal has equal ids, strides included."""
        ids = self.kinds
        for level in self.strides:
            for column in level.T:
                ids = joint_ids(ids, column)
        return Columns(ids, self.numbers, self.sizes)

    def body(self, run: Run) -> _Items:
        """The items of one repetition, which go on to those of the next."""
        first = slice(run.start, run.start + run.period)
        second = slice(first.stop, first.stop + run.period)
        sizes = self.sizes[first]
        differences = self.numbers[second] - self.numbers[first]
        np.remainder(differences, sizes, out=differences, where=sizes > 0)
        return _Items(
            self.instructions[first],
            self.kinds[first],
            self.numbers[first],
            self.lows[first],
            sizes,
            np.concatenate([differences[None], self.strides[:, first]]),
        )

    def emit(self, start: int, end: int, counts: tuple[int, ...]) -> Iterator[Instruction]:
        """Items [start, end) as instructions inside loops of the given counts, innermost first."""
        if not counts:
            yield from self.instructions[start:end]
            return
        arrays = self.numbers, self.lows, self.sizes, self.strides.transpose(1, 2, 0)
        # Plain integers: numbers of numpy would end up in the program.
        columns = (array[start:end].tolist() for array in arrays)
        for instruction, *rows in zip(self.instructions[start:end], *columns, strict=True):
            yield _instruction(instruction, list(zip(*rows, strict=True)), counts)


def _rolled(items: _Items, counts: tuple[int, ...]) -> Iterator[Instruction]:
    """Items inside loops of the given counts (innermost first) as instructions and loops."""
    position = 0
    for run in _chosen(items.columns) if len(counts) < NESTING else []:
        yield from items.emit(position, run.start, counts)
        yield Instruction(LOOP, (run.repetitions,))
        # The body is rolled again: what repeats within a repetition becomes an inner loop.
        yield from _rolled(items.body(run), (run.repetitions, *counts))
        yield Instruction(END, ())
        position = run.folded
    yield from items.emit(position, len(items.instructions), counts)


def _instruction(
    instruction: Instruction,
    columns: Sequence[tuple[int, int, int, list[int]]],
    counts: tuple[int, ...],
) -> Instruction:
    """An item as an instruction; an address that never leaves its ring just advances.

    Args:
        instruction: In the first iteration.
        columns: (number, low, size, strides) of each operand that advances, and perhaps others.
        counts: Iterations of the loops around it, the innermost first.
    """
    operands = list(instruction.operands)
    # Arrays have as many columns as the instruction with most operands that advance.
    pairs = zip(advancing_operands(instruction.opcode), columns, strict=False)
    for (index, _), (number, low, size, strides) in pairs:
        used = max((k for k, stride in enumerate(strides, 1) if stride), default=0)
        if not used:
            continue
        last = number + sum(s * (n - 1) for s, n in zip(strides, counts, strict=True))
        region = (low, size) if size and last >= low + size else None
        folded = Advance(operands[index], tuple(strides[:used]), region)  # type: ignore[arg-type]
        if region is not None:
            # From the lowest address that it comes to: one form for one sequence of addresses.
            folded = replace(folded, region=(lowest(folded, counts), size))
        operands[index] = folded
    return Instruction(instruction.opcode, tuple(operands))


def _chosen(columns: Columns) -> list[Run]:
    """The runs to fold, in order: always the one that saves most of what is left."""
    # `saved` is negative where instructions are saved, so that the smallest run saves most.
    heap = [run for run in runs(columns) if run.saved < 0]
    heapify(heap)
    taken: list[Run] = []
    while heap:
        run = heappop(heap)
        parts = _free(run, taken)
        if parts == [(run.start, run.end)]:
            insort(taken, run, key=lambda other: other.start)
            # An irregular run was folded twice at most: what is behind may be a run of its own.
            parts = [(run.folded, run.end)]
        for start, end in parts:
            rest = run_of(run.period, start, end, run.regular)
            if rest.saved < 0:
                heappush(heap, rest)
    return taken


def _free(run: Run, taken: list[Run]) -> list[tuple[int, int]]:
    """The parts of a run that are not folded yet."""
    first = max(bisect_right(taken, run.start, key=lambda other: other.start) - 1, 0)
    position, parts = run.start, []
    for other in taken[first:]:
        if other.start >= run.end:
            break
        if other.start > position:
            parts.append((position, other.start))
        position = max(position, other.folded)
    if position < run.end:
        parts.append((position, run.end))
    return parts
