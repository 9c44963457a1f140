"""Which rows an `xbar` op reads, and for how long each row is needed: shared by two passes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from weakref import WeakKeyDictionary

from epimc.backends.crossbar.core.program import aligned
from epimc.backends.crossbar.lower.lowering import RowsOnly, feature_map
from epimc.ir.core.op import Op, Value
from epimc.ir.core.traits import CallsHost
from epimc.ir.core.types import as_map

Span = tuple[int, int]
"""First and last step."""


def height(value: Value) -> int:
    """Rows of a value."""
    return as_map(value.type.shape)[1]


def row_stride(value: Value) -> int:
    """Bytes from a row to the next, in a ring and off chip."""
    return feature_map(value).row_stride


def map_bytes(value: Value) -> int:
    """Bytes of all rows of a value."""
    return height(value) * row_stride(value)


_READERS: WeakKeyDictionary[Op, RowsOnly] = WeakKeyDictionary()


def rows_read(op: Op, index: int, y: int) -> Sequence[int]:
    """The rows of one operand that output row `y` of an op reads, ascending."""
    return lines_of(op)[y][index]


def lines_of(op: Op) -> list[Sequence[Sequence[int]]]:
    """For each output row of an op, and each operand, the rows that are read, ascending."""
    return _reader_of(op).lines


def resident_bytes(op: Op) -> int:
    """The bytes of a buffer that an op needs at least: those through which it works off chip."""
    return aligned(_reader_of(op).window_bytes)


def line_bytes(op: Op) -> int:
    """The bytes of all line buffers of an op and of a row of its result; 0 where the host runs it.

    So many it needs where all that it reads and writes is stored off chip.
    """
    if isinstance(op, CallsHost):
        return 0
    # Only the order of the steps counts, which is that of the rows.
    steps = range(height(op.output))
    lines = (
        ring_rows(reads(op, k, steps)) * row_stride(operand)
        for k, operand in enumerate(op.operands)
    )
    return sum(lines) + row_stride(op.output)


def _reader_of(op: Op) -> RowsOnly:
    reader = _READERS.get(op)
    if reader is None:
        # Once an op, since several passes ask for every row.
        reader = _READERS[op] = RowsOnly(op)
    return reader


def reads(op: Op, index: int, order: Sequence[int]) -> dict[int, Span]:
    """For each row of an operand that an op reads: the first and the last step at which it does."""
    firsts: dict[int, int] = {}
    lasts: dict[int, int] = {}
    for step, line in zip(order, lines_of(op), strict=True):
        for row in line[index]:
            if row not in firsts:
                firsts[row] = step
            lasts[row] = step
    return {row: (first, lasts[row]) for row, first in firsts.items()}


def ring_rows(spans: Mapping[int, Span]) -> int:
    """Rows of a ring that keeps each row from its first to its last step.

    A ring of R rows serves when any two rows that are live together differ by less than R.
    """
    rows = sorted(spans)
    # A dilated window reads a row below before one above: a row counts from the first step at
    # which it or any row below it is there, which lets the oldest row only move on.
    starts = list(accumulate((spans[row][0] for row in reversed(rows)), min))[::-1]
    # A row takes room even where it is never read.
    size, oldest = 1, 0
    for row, start in zip(rows, starts, strict=True):
        while spans[rows[oldest]][1] < start:
            oldest += 1
        size = max(size, row - rows[oldest] + 1)
    return size
