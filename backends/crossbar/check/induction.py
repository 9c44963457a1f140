"""Loops that are checked by induction: a few iterations are walked, the others follow.

A loop that concerns its own tile alone does the same again after some iterations, its period: rows
lie in the same slots, and all row numbers of a map have grown by the same step.  Whatever a read
meets in the buffer was then written in the same period or in the one before, or before the loop.
Once three periods are walked and good, every later one is: rows that were equal stay equal, since
both grow alike, and a row from before the loop fits three times only where the step is 0.  What
grows with the iterations is checked of all of them at once: that each row is computed and stored
once, and that off chip a row is stored before it is loaded.  Decision 0019 has the argument.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from epimc.backends.crossbar.check.bodies import Body, BodyReader, Step, Verb, period_of
from epimc.backends.crossbar.check.off_chip import OffChipRows
from epimc.backends.crossbar.check.order import Order
from epimc.backends.crossbar.core.program import Program, Ring
from epimc.backends.crossbar.isa.buffers import BufferTags
from epimc.backends.crossbar.isa.loops import Cursor
from epimc.ir.semantics.arrays import Ints

# Fewer iterations than these are walked: to look for a period takes as long.
WORTHWHILE = 256

# So many periods are walked before the others follow.
WALKED = 3


@dataclass
class CheckState:
    """What the checker keeps of a program's execution so far.

    Attributes:
        program: The program.
        tags: What lies in the buffers.
        off_chip: What has been stored.
        order: What tiles know of each other.
        computed: Of each map, for each row: 1 where it has been computed.
        rings: For (tile, map): the rings from which instructions of the tile read the map.
    """

    program: Program
    tags: BufferTags
    off_chip: OffChipRows
    order: Order
    computed: list[bytearray]
    rings: dict[tuple[int, int], set[Ring]]


@dataclass(frozen=True)
class Jump:
    """Iterations [start, end) that need not be walked."""

    body: Body
    start: int
    end: int


class Induction:
    """Finds the loops of a program that can be jumped, and jumps."""

    def __init__(self, state: CheckState) -> None:
        self.state = state
        # Of each tile and `loop` the iterations of the loops around it, and what was seen then.
        self._jumps: dict[tuple[int, int], tuple[tuple[int, ...], Jump | None]] = {}

    def after(self, tile: int, cursor: Cursor) -> None:
        """Behind an iteration: jump, if what comes follows from what was walked."""
        if not cursor.loops:
            return
        *around, loop = cursor.loops
        if loop.count < WORTHWHILE:
            return
        outer = tuple(each.iteration for each in around)
        key = tile, loop.start
        if self._jumps.get(key, ((-1,), None))[0] != outer:
            self._jumps[key] = outer, self._jump(tile, cursor)
        jump = self._jumps[key][1]
        if jump is not None and loop.iteration == jump.start:
            self._apply(tile, cursor, jump)

    # --- whether a loop repeats itself ------------------------------------------------------------

    def _jump(self, tile: int, cursor: Cursor) -> Jump | None:
        """The jump of the innermost loop, none of whose iterations but the first is done."""
        body = BodyReader(self.state.program, self.state.off_chip, cursor).read()
        if body is None:
            return None
        alike = self._repeats(tile, body)
        if alike is None:
            return None
        first, end = longest_run(alike)
        start = first + WALKED * body.period
        # The last iteration is walked, since its `end` leaves the loop.
        last = min(end + body.period, body.iterations - 1)
        count = (last - start) // body.period * body.period
        return Jump(body, start, start + count) if count >= WORTHWHILE else None

    def _repeats(self, tile: int, body: Body) -> Ints | None:
        """Whether each iteration is like that a period later; None where no two are alike."""
        regions = [period_of(step.addresses) for step in body.steps]
        body.period = math.lcm(body.period, *regions)
        period = body.period
        if (WALKED + 1) * period + WORTHWHILE > body.iterations:
            return None
        alike = np.ones(body.iterations - period, bool)
        grown: dict[int, int] = {}
        for step in body.steps:
            growth = step.rows[period:] - step.rows[:-period]
            if grown.setdefault(step.map, int(growth[0])) != growth[0] or np.ptp(growth):
                return None
            alike &= step.addresses[period:] == step.addresses[:-period]
        for read in body.reads:
            first, count, step_ = read.rows
            growth = first[period:] - first[:-period]
            some = (count[period:] > 0) & (count[:-period] > 0)
            # The first and the last iterations read less, where a window hangs over the border.
            middle = growth[some]
            known = grown.setdefault(read.map, int(middle[len(middle) // 2]) if len(middle) else 0)
            same = (count[period:] == count[:-period]) & (step_[period:] == step_[:-period])
            alike &= same & ((growth == known) | ~some)
        return alike if self._keeps_slots(tile, body, grown) else None

    def _keeps_slots(self, tile: int, body: Body, grown: dict[int, int]) -> bool:
        """Whether all rings give a row and that a period later the same slot."""
        rings = [(read.map, read.ring) for read in body.reads]
        rings += [
            (index, ring) for index in grown for ring in self.state.rings.get((tile, index), ())
        ]
        return all(grown[index] % ring.rows == 0 for index, ring in rings)

    # --- jumping ----------------------------------------------------------------------------------

    def _apply(self, tile: int, cursor: Cursor, jump: Jump) -> None:
        """Jump, unless something is wrong with what grows: then it is walked, and reported."""
        body, chosen = jump.body, slice(jump.start, jump.end)
        iterations = np.arange(jump.end - jump.start)
        # An event at a time is the one behind which so many instructions lie, as for `_tick`.
        times = {
            step.place: cursor.executed + 2 + step.place + iterations * body.length
            for step in body.steps
        }
        computed: dict[int, list[Ints]] = {}
        stored: dict[int, list[tuple[Ints, Ints]]] = {}
        for step in body.steps:
            if step.verb is Verb.COMPUTE:
                computed.setdefault(step.map, []).append(step.rows[chosen])
            elif step.verb is Verb.STORE:
                stored.setdefault(step.map, []).append((step.rows[chosen], times[step.place]))
        new = {index: np.concatenate(parts) for index, parts in computed.items()}
        stores = {index: np.concatenate(parts, axis=1) for index, parts in stored.items()}
        if not (
            all(self._is_new(index, rows) for index, rows in new.items())
            and all(self._is_storable(tile, index, rows) for index, (rows, _) in stores.items())
        ):
            return
        for index, (rows, when) in stores.items():
            self.state.off_chip.store_rows(tile, index, rows, when)
        loads = [(step, times[step.place]) for step in body.steps if step.verb is Verb.LOAD]
        if not all(self._is_ordered(tile, step, chosen, when) for step, when in loads):
            for index, (rows, when) in stores.items():
                self.state.off_chip.store_rows(tile, index, rows, np.zeros_like(when))
            return
        for index, rows in new.items():
            np.frombuffer(self.state.computed[index], np.uint8)[rows] = 1
        for rows, _ in stores.values():
            self.state.order.store(tile, len(rows))
        if stores:
            self.state.order.tick(tile, max(int(when.max()) for _, when in stores.values()))
        self._fill(tile, jump)
        cursor.skip(len(iterations), len(iterations) * body.length)

    def _is_new(self, index: int, rows: Ints) -> bool:
        """Whether each of the rows is computed once, and has not been yet."""
        marks = np.frombuffer(self.state.computed[index], np.uint8)
        return len(np.unique(rows)) == len(rows) and not marks[rows].any()

    def _is_storable(self, tile: int, index: int, rows: Ints) -> bool:
        """Whether each of the rows is stored once, by the only tile that stores rows of the map."""
        off_chip = self.state.off_chip
        times = np.frombuffer(off_chip.times[index], np.int64)
        own = index not in off_chip.inputs and off_chip.writer(index) == tile
        return own and len(np.unique(rows)) == len(rows) and not times[rows].any()

    def _is_ordered(self, tile: int, step: Step, chosen: slice, when: Ints) -> bool:
        """Whether every row that is loaded has been stored, as the tile knows."""
        off_chip, order = self.state.off_chip, self.state.order
        if step.map in off_chip.inputs:
            return True
        needed = np.frombuffer(off_chip.times[step.map], np.int64)[step.rows[chosen]]
        writer = off_chip.writer(step.map)
        if writer is None or not needed.all():
            return False
        if writer == tile:
            return bool((needed < when).all())
        return order.knows(tile, writer, int(needed.max())) and order.is_quiet(tile, writer)

    def _fill(self, tile: int, jump: Jump) -> None:
        """Let lie in the buffer what lies there behind the last iteration."""
        # All that a loop writes, it writes again in each period.
        for iteration in range(jump.end - jump.body.period, jump.end):
            for step in jump.body.steps:
                if step.verb is not Verb.STORE:
                    row = step.map, int(step.rows[iteration])
                    self.state.tags.put(tile, int(step.addresses[iteration]), row)


def longest_run(marks: Ints) -> tuple[int, int]:
    """Where the longest run of true values begins and ends."""
    edges = np.flatnonzero(np.diff(np.pad(marks, 1).astype(np.int8)))
    begins, ends = edges[::2], edges[1::2]
    if not len(begins):
        return 0, 0
    longest = int(np.argmax(ends - begins))
    return int(begins[longest]), int(ends[longest])
