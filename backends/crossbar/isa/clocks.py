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
        self._known: Ints = np.zeros((tiles, tiles), np.int64)

    def known(self, tile: int, other: int) -> int:
        """How far another tile has come for all that a tile knows."""
        return int(self._known[tile, other])

    def set(self, tile: int, time: int) -> None:
        """Let a tile's own time go on."""
        self._known[tile, tile] = time

    def all_known(self, tile: int) -> Times:
        """What a tile knows now, as it is to be kept."""
        times: Times = self._known[tile].copy()
        return times

    def learn(self, tile: int, times: Times) -> None:
        """Let a tile know what another one knew."""
        np.maximum(self._known[tile], times, out=self._known[tile])

    def meet(self, one: int, other: int) -> None:
        """Let two tiles know all that either does."""
        self._known[[one, other]] = np.maximum(self._known[one], self._known[other])
