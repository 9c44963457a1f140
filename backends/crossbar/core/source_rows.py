"""Which rows a table reads: what checker, simulator, counters and scheduler ask alike."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


class SourceRows:
    """Which rows of its sources a table reads, for every row of its destination.

    Args:
        lines: For each row of the destination and each source the rows that it reads, ascending.
    """

    def __init__(self, lines: list[Sequence[Sequence[int]]]) -> None:
        self.lines = lines
        self._ranges: dict[int, NDArray[np.int64] | None] = {}
        self._ends = [
            [(rows[0], rows[-1] + 1) if rows else (0, 0) for rows in lines] for lines in self.lines
        ]

    def ranges(self, source: int) -> NDArray[np.int64] | None:
        """The rows of a source as ranges: first, how many, step; int64 [3, rows].

        None where some are no range.
        """
        if source not in self._ranges:
            self._ranges[source] = _ranges([lines[source] for lines in self.lines])
        return self._ranges[source]

    def span(self, first: int, end: int, source: int) -> tuple[int, int]:
        """The rows [first, end) of a source between which all are that output rows read."""
        # Programs of the compiler compute row by row: no list is made for one row.
        if end == first + 1:
            return self._ends[first][source]
        spans = [ends[source] for ends in self._ends[first:end] if ends[source] != (0, 0)]
        if not spans:
            return 0, 0
        return min(start for start, _ in spans), max(stop for _, stop in spans)


def _ranges(lines: list[Sequence[int]]) -> NDArray[np.int64] | None:
    ranges = np.zeros((3, len(lines)), np.int64)
    for number, rows in enumerate(lines):
        count = len(rows)
        step = rows[1] - rows[0] if count > 1 else 0
        if count > 2 and list(rows) != list(range(rows[0], rows[0] + count * step, step)):
            return None
        ranges[:, number] = rows[0] if count else 0, count, step
    return ranges
