"""Which rows lie where in the tiles' buffers, as the streams are written."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from epimc.backends.crossbar.core.program import ALIGNMENT, FeatureMap

NOTHING = 0


class Residency:
    """What every word of the buffers holds: so that no row is loaded to where it lies already.

    Each row of each map has a number.  A row lies at an address only while all words there have
    its number: what overwrites a part of it makes it unusable.
    """

    def __init__(self, maps: Sequence[FeatureMap], tiles: int, buffer_bytes: int) -> None:
        heights = [feature_map.height for feature_map in maps]
        self._first_rows = np.cumsum([NOTHING + 1, *heights])[:-1].tolist()
        self._words = [feature_map.row_stride // ALIGNMENT for feature_map in maps]
        # A buffer need not end with a word.  Zeros take no memory where no row ever comes.
        self._contents = np.zeros((tiles, buffer_bytes // ALIGNMENT + 1), np.int64)

    def put(self, tile: int, index: int, row: int, address: int) -> bool:
        """Note that row `row` of map `index` is put at an address; False when it lies there."""
        first = address // ALIGNMENT
        place = self._contents[tile, first : first + self._words[index]]
        number = self._first_rows[index] + row
        if (place == number).all():
            return False
        # Whatever lay here in part is unusable from now on: some of its words have another number.
        place[:] = number
        return True
