"""What operands come to in loops, without walking them: their ends, and what lies between.

An operand that advances is a sum of multiples, so that a bound on it is a bound on two of its
values, and whether all are multiples of a number is known from a few.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from epimc.backends.crossbar.core.operands import Operands
from epimc.backends.crossbar.core.program import ALIGNMENT, Advance, Instruction
from epimc.backends.crossbar.instructions.registry import BY_NAME
from epimc.ir.semantics.arrays import Ints

Counts = Sequence[int]
"""Iterations of the loops around an instruction, the innermost first."""


def with_counts(stream: tuple[Instruction, ...]) -> Iterator[tuple[int, Instruction, Counts]]:
    """Every instruction of a stream with paired loops, with its number and the loops around it."""
    counts: tuple[int, ...] = ()
    for number, instruction in enumerate(stream):
        nesting = BY_NAME[instruction.opcode].nesting
        if nesting > 0:
            (count,) = instruction.operands
            assert isinstance(count, int)
            counts = count, *counts
        elif nesting < 0:
            counts = counts[1:]
        else:
            yield number, instruction, counts


def samples(instruction: Instruction, counts: Counts) -> list[Instruction]:
    """Of an instruction's iterations so many that a rule which none of them breaks, none breaks.

    That is so for rules that bound single operands, or demand multiples of ALIGNMENT.  The first
    has all operands at their lowest, the second all at their highest.
    """
    if not instruction.advances:
        return [instruction] * 2
    choices: list[Sequence[Operands]] = [
        values(operand, counts) if isinstance(operand, Advance) else [operand]
        for operand in instruction.operands
    ]
    most = max(map(len, choices))
    rows = zip(
        *([*choice, *[choice[-1]] * (most - len(choice))] for choice in choices), strict=True
    )
    return [Instruction(instruction.opcode, row) for row in rows]


def values(operand: Advance, counts: Counts) -> Sequence[Operands]:
    """The lowest and the highest value that an operand comes to, and some of every remainder."""
    if operand.region is not None:
        every = addresses(operand, counts)
        odd = every[every % ALIGNMENT != 0][:1]
        return [int(address) for address in (every[0], every[-1], *odd)]
    steps = [(stride, count - 1) for stride, count in zip(operand.strides, counts, strict=False)]
    low = sum(min(stride * most, 0) for stride, most in steps)
    high = sum(max(stride * most, 0) for stride, most in steps)
    # The first value and one step of each loop: if these are multiples, all are.
    return [_moved(operand, n) for n in (low, high, 0, *(step for step, most in steps if most))]


def _moved(operand: Advance, added: int) -> Operands:
    first = operand.first
    return (first[0] + added, first[1] + added) if isinstance(first, tuple) else first + added


def addresses(operand: Advance, counts: Counts) -> Ints:
    """All addresses, ascending, that an operand comes to which goes round a region."""
    assert isinstance(operand.first, int)
    assert operand.region is not None
    low, size = operand.region
    places = np.array([operand.first - low], np.int64)
    for stride, count in zip(operand.strides, counts, strict=False):
        steps = np.unique(np.arange(min(count, size), dtype=np.int64) * stride % size)
        places = np.unique((places[:, None] + steps) % size)
    return low + places
