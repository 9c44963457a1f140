"""Repetition: where items repeat evenly, for every period and over a whole stream at once.

The cost is the items times the largest period, were it not for stretches that go on evenly for
tens of thousands of items, as a tall map's rows do: of such a stretch only the ends are looked at.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from epimc.ir.semantics.arrays import Ints

MAXIMUM_PERIOD = 2048


class Run(NamedTuple):
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
    def repetitions(self) -> int:
        """Those that a loop stands for: all of a regular run, else two."""
        return (self.end - self.start) // self.period if self.regular else 2

    @property
    def folded(self) -> int:
        """Behind the last item that is folded."""
        return self.start + self.repetitions * self.period


def run_of(period: int, start: int, end: int, regular: bool) -> Run:
    """The run of these items."""
    count = (end - start) // period
    count = count if regular else min(count, 2)
    return Run(2 - (count - 1) * period, period, start, end, regular)


@dataclass(frozen=True)
class Columns:
    """Items as arrays.

    Attributes:
        ids: [items]: equal for items that differ in nothing but their numbers.
        numbers: [items, k]: what may advance.
        sizes: [items, k]: the bytes of the ring that a number goes round; 0: none.
    """

    ids: Ints
    numbers: Ints
    sizes: Ints

    def part(self, start: int, end: int) -> Columns:
        """The items [start, end)."""
        return Columns(self.ids[start:end], self.numbers[start:end], self.sizes[start:end])

    def same(self, period: int) -> NDArray[np.bool_]:
        """For each item but the last `period`: whether the one a period later has its id."""
        flags: NDArray[np.bool_] = self.ids[:-period] == self.ids[period:]
        return flags

    def alike(self, period: int) -> NDArray[np.bool_]:
        """For each item but the last `2 * period`: whether it advances as the next one does.

        For items all of which are `same`.
        """
        steps = self.numbers[period:] - self.numbers[:-period]
        around = self.sizes[:-period]
        # Going round its ring an address falls by its size less a stride: modulo the size that is
        # the same stride.
        np.remainder(steps, around, out=steps, where=around > 0)
        flags: NDArray[np.bool_] = (steps[:-period] == steps[period:]).all(axis=1)
        return flags


def runs(columns: Columns) -> Iterator[Run]:
    """All runs of repetition, of every period, that may be folded before a longer one is."""
    pieces = _pieces(columns)
    # (period, regular) of runs that go on behind a gap -> where they start.
    opened: dict[tuple[int, bool], int] = {}
    for number, piece in enumerate(pieces):
        for run in _runs_of(columns.part(piece.start, piece.end)):
            kind = run.period, run.regular
            start, end = piece.start + run.start, piece.start + run.end
            if number and start == piece.start:
                # One that does not come out of the gap lies in it: a longer run covers it.
                if kind not in opened:
                    continue
                start = opened.pop(kind)
            if end == piece.end and number < len(pieces) - 1:
                if start <= piece.end - piece.reach:
                    opened[kind] = start
                continue
            yield run_of(run.period, start, end, run.regular)


def _runs_of(columns: Columns) -> Iterator[Run]:
    """All runs of repetition, of every period."""
    for period in range(1, min(len(columns.ids) // 2, MAXIMUM_PERIOD) + 1):
        for start, end in _stretches(columns.same(period), period):
            yield run_of(period, start, end + period, False)
            alike = columns.part(start, end + period).alike(period)
            for first, last in _stretches(alike, period):
                yield run_of(period, start + first, start + last + 2 * period, True)


def _stretches(flags: NDArray[np.bool_], least: int) -> list[tuple[int, int]]:
    """Where at least so many flags follow one another: [first, end)."""
    borders = np.concatenate([[-1], np.flatnonzero(~flags), [len(flags)]])
    long = np.flatnonzero(np.diff(borders) > least)
    return [(int(borders[k]) + 1, int(borders[k + 1])) for k in long]


# --- long even stretches ------------------------------------------------------------------------
#
# Let items [a, b) repeat regularly with period p.  Whether an item has the id of the one q later
# depends on its place in the period alone, and so p such flags in a row make all of [a, b) `same`.
# Whether it is `alike`, of period q, changes by a constant from a period p to the next: where it
# is true twice it stays true, and 2p such flags in a row make all of [a, b) alike.  Therefore a
# run of any period q either goes through all of [a, b) or reaches less than 2(p + q) items into
# it.  What lies inside it alone saves less than the run of period p, which covers it, and is never
# folded.  So nothing is lost with the middle of [a, b): runs that reach its borders from far
# enough go through it, and all others there are of no use.


class _Piece(NamedTuple):
    """Items [start, end) between two gaps; `reach` is what runs reach into the gap behind it."""

    start: int
    end: int
    reach: int


def _pieces(columns: Columns) -> list[_Piece]:
    """The items less the middles of long even stretches."""
    pieces: list[_Piece] = []
    start = 0
    for first, end, period in _even_stretches(columns):
        reach = _reach(period)
        pieces.append(_Piece(start, first + 2 * reach, reach))
        start = end - 2 * reach
    return [*pieces, _Piece(start, len(columns.ids), 0)]


def _even_stretches(columns: Columns) -> Iterator[tuple[int, int, int]]:
    """(start, end, period) of regular runs so long that leaving out their middles pays."""
    position, window = 0, 3 * MAXIMUM_PERIOD
    while position + 2 * window <= len(columns.ids):
        period = _period_of(columns.part(position, position + window))
        end = _end_of(columns, position, period) if period else position
        # The two ends that are kept are half of it at most.
        if period and end - position >= 8 * _reach(period):
            yield position, end, period
        position = max(end, position + window)


def _reach(period: int) -> int:
    """How far at most runs of any period reach into a stretch without going through it."""
    # 2(p + q), and some more: what is left out must lie within the run that covers it, though parts
    # of that one's ends may have been folded before.
    return 3 * (period + MAXIMUM_PERIOD)


def _period_of(window: Columns) -> int:
    """The smallest period with which all items of a window repeat regularly; 0: none."""
    (candidates,) = np.nonzero(window.ids[1 : MAXIMUM_PERIOD + 1] == window.ids[0])
    for period in (candidates + 1).tolist():
        if window.same(period).all() and window.alike(period).all():
            return int(period)
    return 0


# Items that are compared at once.
_CHUNK = 2**16


def _end_of(columns: Columns, start: int, period: int) -> int:
    """Behind the last item that repeats regularly with a period, of those from `start` on."""
    end, size = start + 2 * period, len(columns.ids)
    while end < size:
        # Chunk by chunk: behind the stretch nothing is looked at.
        last = min(end + _CHUNK, size)
        chunk = columns.part(end - 2 * period, last)
        broken = ~chunk.same(period)
        same = int(broken.argmax()) if broken.any() else len(broken)
        broken = ~chunk.part(0, same + period).alike(period)
        alike = int(broken.argmax()) if broken.any() else len(broken)
        end = end + alike
        if end < last:
            break
    return end
