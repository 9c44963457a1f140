"""Semaphores for rows that lie off chip: who signals, and who has to wait."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from epimc.backends.crossbar.core.program import Instruction
from epimc.backends.crossbar.instructions.control import SIGNAL, WAIT
from epimc.backends.crossbar.isa.clocks import Times, VectorClocks


class Semaphores:
    """One semaphore for each map that one tile stores and others load.

    Attributes:
        numbers: The semaphore of each of these maps, by the map's index.
    """

    def __init__(self, watched: Iterable[int], clocks: VectorClocks) -> None:
        self.numbers = {index: number for number, index in enumerate(watched)}
        self._clocks = clocks
        # For each row that is signalled: its tile and how far that had come, what it knew then, and
        # the count.
        self._signals: dict[tuple[int, int], tuple[int, int, Times, int]] = {}

    def publish(self, tile: int, index: int, rows: Iterable[int], count: int) -> bool:
        """Note that rows of a map are stored and the next signal, the `count`th, says so.

        Returns:
            Whether any other tile loads the map, so that there is a semaphore to signal.
        """
        if index not in self.numbers:
            return False
        time = self._clocks.known(tile, tile)
        signal = tile, time, self._clocks.all_known(tile), count
        self._signals |= {(index, row): signal for row in rows}
        return True

    def wait(self, tile: int, index: int, row: int) -> tuple[int, int] | None:
        """The (semaphore, count) to wait for before a tile loads a row; it knows the rest then.

        None where the row is not signalled, or the tile can know already that it is stored.
        """
        if (index, row) not in self._signals:
            return None
        home, time, times, count = self._signals[index, row]
        if self._clocks.known(tile, home) >= time:
            return None
        # Later loads may profit from it: what this signal tells of is known from here on.
        self._clocks.learn(tile, times)
        return self.numbers[index], count


def without_idle_signals(streams: Sequence[Sequence[Instruction]]) -> list[list[Instruction]]:
    """The streams without the signals that nobody waits for.

    Where every reader knows by other ways that a row is stored, its semaphore has no waiter.
    """
    waited = {i.operands[0] for stream in streams for i in stream if i.opcode == WAIT}
    return [
        [i for i in stream if i.opcode != SIGNAL or i.operands[0] in waited] for stream in streams
    ]
