"""Rolling: repetition in instruction streams becomes loops.  `loops.expand` is the exact inverse.

A block of instructions can repeat when the repetitions differ in nothing but operands that advance
by a constant stride, buffer addresses modulo the ring in which they lie.  For every period, runs
of such repetition are found over the whole stream at once; those that save most instructions are
folded first, and bodies are rolled in turn.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterator
from dataclasses import dataclass, replace
from heapq import heapify, heappop, heappush

import numpy as np
from numpy.typing import NDArray

from epimc.backends.crossbar.core.operands import NESTING, SIZE, OperandKind
from epimc.backends.crossbar.core.program import Advance, Instruction, Ring, Streams, aligned
from epimc.backends.crossbar.instructions.control import END, LOOP
from epimc.backends.crossbar.instructions.registry import BY_NAME
from epimc.backends.crossbar.isa.loops import executed, lowest

MAXIMUM_PERIOD = 2048

Region = tuple[int, int]
"""(low, size) of a ring; size 0: none."""

NOWHERE: Region = (0, 0)


@dataclass(frozen=True)
class Item:
    """An instruction whose operands advance with the loops already around it.

    Attributes:
        instruction: In the first iteration of these loops.
        numbers: The numbers that may advance, in order.
        regions: For each, the ring in which it goes round.
        strides: For each, what a further iteration of each loop adds, innermost first.
    """

    instruction: Instruction
    numbers: tuple[int, ...]
    regions: tuple[Region, ...]
    strides: tuple[tuple[int, ...], ...]

    @property
    def shape(self) -> tuple[object, ...]:
        """All that must be equal in every repetition."""
        return _fixed(self.instruction), self.regions, self.strides


def roll(streams: Streams) -> Streams:
    """The same streams with loops, in the fewest instructions that a greedy choice finds."""
    return tuple(roll_stream(tuple(executed(stream))) for stream in streams)


def roll_stream(stream: tuple[Instruction, ...]) -> tuple[Instruction, ...]:
    """One stream without loops, rolled."""
    regions = _Regions(stream)
    items = [_item(instruction, regions) for instruction in stream]
    return tuple(_rolled(items, ()))


# --- items --------------------------------------------------------------------------------------


def _advancing(instruction: Instruction) -> list[tuple[int, OperandKind]]:
    """The operands that may advance: index and kind."""
    operands = BY_NAME[instruction.opcode].operands
    kinds = [(k, operand.kind) for k, operand in enumerate(operands) if operand.kind.advances]
    # A stride is signed and as wide as the number: differences of larger numbers may not fit.
    return [(k, kind) for k, kind in kinds if _first(instruction, k) < 1 << kind.parts[0].bits - 1]


def _first(instruction: Instruction, index: int) -> int:
    value = instruction.operands[index]
    first = value[0] if isinstance(value, tuple) else value
    assert isinstance(first, int)
    return first


def _fixed(instruction: Instruction) -> tuple[object, ...]:
    """The opcode and what of the operands cannot advance; of rows, their number."""
    operands: list[object] = list(instruction.operands)
    for index, kind in _advancing(instruction):
        numbers = kind.numbers(operands[index])
        operands[index] = tuple(number - numbers[0] for number in numbers)
    return instruction.opcode, *operands


def _item(instruction: Instruction, regions: _Regions) -> Item:
    advancing = _advancing(instruction)
    return Item(
        instruction,
        tuple(_first(instruction, index) for index, _ in advancing),
        tuple(
            regions.around(instruction, index) if kind.wraps else NOWHERE
            for index, kind in advancing
        ),
        ((),) * len(advancing),
    )


class _Regions:
    """The rings between whose slots a stream moves rows.

    Which ring an address belongs to need not be known for certain: where the guess is wrong, the
    addresses do not advance regularly, and nothing is folded.
    """

    def __init__(self, stream: tuple[Instruction, ...]) -> None:
        self.rings = _rings(stream)
        self.groups: dict[tuple[object, ...], set[int]] = {}
        for instruction in stream:
            for index, kind in _advancing(instruction):
                # Only addresses go round a ring; counts and rows just advance.
                if kind.wraps:
                    group = self.groups.setdefault(_group(instruction, index), set())
                    group.add(_first(instruction, index))
        self.known: dict[tuple[object, ...], Region] = {}

    def around(self, instruction: Instruction, index: int) -> Region:
        """The ring with the slot at an address: of several, the one with most slots in use."""
        group, address = _group(instruction, index), _first(instruction, index)
        key = (*group, address)
        if key not in self.known:
            stride = aligned(_size(instruction))
            fitting = [r for r in self.rings if _slot(r, address, stride)] if stride else []
            used = self.groups[group]
            # The smaller ring, then the lower address, decide between rings of equal use: any
            # choice is right, but it must be the same in every run.
            ranked = sorted(
                (-sum(_slot(ring, other, stride) for other in used), ring.rows, ring.address)
                for ring in fitting
            )
            self.known[key] = (ranked[0][2], ranked[0][1] * stride) if ranked else NOWHERE
            if sum(self.known[key]) > 1 << 32:
                self.known[key] = NOWHERE
        return self.known[key]


def _rings(stream: tuple[Instruction, ...]) -> set[Ring]:
    """The rings that instructions name."""
    rings: set[Ring] = set()
    for instruction in stream:
        for operand in instruction.operands:
            items = operand if isinstance(operand, tuple) else (operand,)
            rings.update(item for item in items if isinstance(item, Ring) and item.rows > 1)
    return rings


def _slot(ring: Ring, address: int, stride: int) -> bool:
    """Whether a row of `stride` bytes at an address is in a slot of a ring."""
    slot, rest = divmod(address - ring.address, stride)
    return not rest and 0 <= slot < ring.rows


def _size(instruction: Instruction) -> int:
    """The bytes of the row that an instruction moves; 0 when it moves none."""
    operands = zip(BY_NAME[instruction.opcode].operands, instruction.operands, strict=True)
    sizes = [value for operand, value in operands if operand.kind is SIZE]
    return sizes[0] if sizes and isinstance(sizes[0], int) else 0


def _group(instruction: Instruction, index: int) -> tuple[object, ...]:
    """Instructions that are likely to move rows of the same ring."""
    return instruction.opcode, index, _size(instruction)


# --- folding ------------------------------------------------------------------------------------


@dataclass(frozen=True, order=True)
class Run:
    """Items [start, end) that repeat with a period; ordered by what folding them saves.

    Attributes:
        saved: Less the number of instructions saved.
        period: Items of one repetition.
        start: The first item.
        end: Behind the last item.
        regular: Whether all repetitions advance alike; else only two can be folded.
    """

    saved: int
    period: int
    start: int
    end: int
    regular: bool

    @property
    def count(self) -> int:
        """Repetitions that the loop stands for: all of a regular run, else two."""
        return (self.end - self.start) // self.period if self.regular else 2

    @property
    def folded(self) -> int:
        """Behind the last item that is folded."""
        return self.start + self.count * self.period


def _run(period: int, start: int, end: int, regular: bool) -> Run:
    count = (end - start) // period
    count = count if regular else min(count, 2)
    return Run(2 - (count - 1) * period, period, start, end, regular)


def _rolled(items: list[Item], counts: tuple[int, ...]) -> Iterator[Instruction]:
    """Items inside loops of the given counts (innermost first) as instructions and loops."""
    position = 0
    for run in _chosen(items) if len(counts) < NESTING else []:
        yield from (_instruction(item, counts) for item in items[position : run.start])
        second = run.start + run.period
        pairs = zip(items[run.start : second], items[second : second + run.period], strict=True)
        yield Instruction(LOOP, (run.count,))
        # The body is rolled again: what repeats within a repetition becomes an inner loop.
        yield from _rolled([_advanced(*pair) for pair in pairs], (run.count, *counts))
        yield Instruction(END, ())
        position = run.folded
    yield from (_instruction(item, counts) for item in items[position:])


def _advanced(item: Item, following: Item) -> Item:
    """An item that goes on to the same item of the next repetition."""
    differences = [b - a for a, b in zip(item.numbers, following.numbers, strict=True)]
    strides = [
        (difference % size if size else difference, *outer)
        for difference, (_, size), outer in zip(
            differences, item.regions, item.strides, strict=True
        )
    ]
    return Item(item.instruction, item.numbers, item.regions, tuple(strides))


def _instruction(item: Item, counts: tuple[int, ...]) -> Instruction:
    """An item as an instruction; an address that never leaves its ring just advances."""
    operands = list(item.instruction.operands)
    numbers = zip(
        _advancing(item.instruction), item.numbers, item.regions, item.strides, strict=True
    )
    for (index, _), number, (low, size), strides in numbers:
        used = max((k for k, stride in enumerate(strides, 1) if stride), default=0)
        if not used:
            continue
        last = number + sum(s * (n - 1) for s, n in zip(strides, counts, strict=True))
        region = (low, size) if size and last >= low + size else None
        folded = Advance(operands[index], strides[:used], region)  # type: ignore[arg-type]
        if region is not None:
            # From the lowest address that it comes to: one form for one sequence of addresses.
            folded = replace(folded, region=(lowest(folded, counts), size))
        operands[index] = folded
    return Instruction(item.instruction.opcode, tuple(operands))


def _chosen(items: list[Item]) -> list[Run]:
    """The runs to fold, in order: always the one that saves most of what is left."""
    # `saved` is negative where instructions are saved, so that the smallest run saves most.
    heap = [run for run in _runs(items) if run.saved < 0]
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
            rest = _run(run.period, start, end, run.regular)
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


def _runs(items: list[Item]) -> Iterator[Run]:
    """All runs of repetition, of every period."""
    shapes: dict[tuple[object, ...], int] = {}
    ids = np.array([shapes.setdefault(item.shape, len(shapes)) for item in items], np.int64)
    width = max((len(item.numbers) for item in items), default=0)
    numbers = np.zeros((len(items), width), np.int64)
    sizes = np.zeros((len(items), width), np.int64)
    for k, item in enumerate(items):
        numbers[k, : len(item.numbers)] = item.numbers
        sizes[k, : len(item.numbers)] = [size for _, size in item.regions]
    for period in range(1, min(len(items) // 2, MAXIMUM_PERIOD) + 1):
        for start, end in _stretches(ids[:-period] == ids[period:], period):
            yield _run(period, start, end + period, False)
            steps = numbers[start + period : end + period] - numbers[start:end]
            around = sizes[start:end]
            # Going round its ring an address falls by its size less a stride: modulo the size that
            # is the same stride.
            np.remainder(steps, around, out=steps, where=around > 0)
            alike = (steps[:-period] == steps[period:]).all(axis=1)
            for first, last in _stretches(alike, period):
                yield _run(period, start + first, start + last + 2 * period, True)


def _stretches(flags: NDArray[np.bool_], least: int) -> list[tuple[int, int]]:
    """Where at least so many flags follow one another: [first, end)."""
    borders = np.concatenate([[-1], np.flatnonzero(~flags), [len(flags)]])
    long = np.flatnonzero(np.diff(borders) > least)
    return [(int(borders[k]) + 1, int(borders[k + 1])) for k in long]
