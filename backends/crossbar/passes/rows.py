"""Which rows an `xbar` op reads, and for how long each row is needed: shared by two passes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate

from epimc import layouts
from epimc.backends.crossbar.program import ELEMENT_BYTES, aligned
from epimc.ir.core import Op, Value
from epimc.ir.dialects import xbar
from epimc.ir.dialects.nn import Windowed
from epimc.ir.types import as_map

Span = tuple[int, int]
"""First and last step."""


def height(value: Value) -> int:
    """Rows of a value."""
    return as_map(value.type.shape)[1]


def row_stride(value: Value) -> int:
    """Bytes from a row to the next, in a ring and off chip."""
    channels, _, width = as_map(value.type.shape)
    element = "i64" if value.type.element == "i64" else "u8"
    return aligned(channels * width * ELEMENT_BYTES[element])


def rows_read(op: Op, index: int, y: int) -> list[int]:
    """The rows of one operand that output row `y` of an op reads, ascending."""
    operand = op.operands[index]
    if isinstance(op, Windowed):
        return op.window.rows(y, height(operand))
    if isinstance(op, xbar.Rearrange):
        return list(layouts.rows_read(op.map_move)[y])
    if isinstance(op, xbar.Host):
        return list(range(height(operand)))
    if isinstance(op, xbar.Pad):
        return [row] if 0 <= (row := y - op.pads[0]) < height(operand) else []
    if isinstance(op, xbar.Multiply):
        return [min(y, height(operand) - 1)]
    if isinstance(op, xbar.Select):
        return [op.selection.row(y)]
    if isinstance(op, xbar.Concat) and op.map_axis == 1:
        row = y - op.tops[index]
        return [row] if 0 <= row < height(operand) else []
    return [y]


def reads(op: Op, index: int, order: Sequence[int]) -> dict[int, Span]:
    """For each row of an operand that an op reads: the first and the last step at which it does."""
    spans: dict[int, Span] = {}
    for y in reading_rows(op, index):
        step = order[y]
        for row in rows_read(op, index, y):
            spans[row] = (spans[row][0] if row in spans else step, step)
    return spans


def reading_rows(op: Op, index: int) -> range:
    """The output rows that may read one operand: all, but for one of many that are joined."""
    if isinstance(op, xbar.Concat) and op.map_axis == 1:
        return range(op.tops[index], op.tops[index + 1])
    return range(height(op.output))


def ring_rows(spans: Mapping[int, Span]) -> int:
    """Rows of a ring that keeps each row from its first to its last step.

    A ring of R rows serves when any two rows that are live together differ by less than R.
    """
    rows = sorted(spans)
    # A dilated window reads a row below before one above: a row counts from the first step at
    # which it or any row below it is there, which lets the oldest row only move on.
    starts = list(accumulate((spans[row][0] for row in reversed(rows)), min))[::-1]
    size, oldest = 1, 0
    for row, start in zip(rows, starts, strict=True):
        while spans[rows[oldest]][1] < start:
            oldest += 1
        size = max(size, row - rows[oldest] + 1)
    return size
