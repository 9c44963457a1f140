"""Memory of which only some regions are there, for a batch of samples."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from epimc.backends.crossbar.isa.regions import Region

Bytes = NDArray[np.uint8]


class Memory:
    """The bytes [batch, size] of regions that lie apart, in order; at first all are 0."""

    def __init__(self, batch: int, regions: Sequence[Region]) -> None:
        self._starts = [begin for begin, _ in regions]
        self._parts = [np.zeros((batch, end - begin), np.uint8) for begin, end in regions]

    def at(self, address: int, size: int) -> Bytes:
        """The bytes [batch, size] at an address, not copied: all of one region."""
        number = bisect_right(self._starts, address) - 1
        first = address - self._starts[number]
        part = self._parts[number][:, first : first + size]
        return part
