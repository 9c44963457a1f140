"""Vector clocks: what each tile can know of how far the others have come."""

from __future__ import annotations

import numpy as np

from epimc.ir.semantics.arrays import Ints

Times = Ints
"""[tiles]: how far each tile has come, as one of them knows it at some moment."""


class VectorClocks:
    """For each tile how far every tile is known to have come.

    A tile learns of the others only by what the program itself puts in order: a row that goes
    over, or a signal that is waited for.  Times count from 0 and never go back.
    """

    def __init__(self, tiles: int) -> None:
        self._own = [0] * tiles
        # Only of tiles that have learned something: most programs have many that never do.
        self._known: dict[int, Ints] = {}

    def known(self, tile: int, other: int) -> int:
        """How far another tile has come for all that a tile knows."""
        if tile == other:
            return self._own[tile]
        return int(self._known[tile][other]) if tile in self._known else 0

    def set(self, tile: int, time: int) -> None:
        """Let a tile's own time go on."""
        self._own[tile] = time

    def all_known(self, tile: int) -> Times:
        """What a tile knows now, as it is to be kept."""
        times: Times = self._times(tile).copy()
        return times

    def learn(self, tile: int, times: Times) -> None:
        """Let a tile know what another one knew."""
        mine = self._times(tile)
        np.maximum(mine, times, out=mine)

    def meet(self, one: int, other: int) -> None:
        """Let two tiles know all that either does."""
        self.learn(one, self._times(other))
        self._known[other][:] = self._known[one]

    def _times(self, tile: int) -> Times:
        """What a tile knows, its own time included."""
        times = self._known.get(tile)
        if times is None:
            times = self._known[tile] = np.zeros(len(self._own), np.int64)
        times[tile] = self._own[tile]
        return times
