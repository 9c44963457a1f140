"""What an `mvm` streams over: activation rounds with their three tables, and arrays of cells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from epimc.backends.crossbar.core.limits import (
    FIRST_MISTAKE,
    STRICT,
    Count,
    Extent,
    Index,
    Offset,
    Signed,
)

Ranges = Annotated[tuple[tuple[Offset, Count], ...], FIRST_MISTAKE]
"""(first, count) pairs, in order."""


def spread(ranges: Ranges) -> NDArray[np.int64]:
    """The numbers that ranges name, in order."""
    parts = [np.arange(first, first + count, dtype=np.int64) for first, count in ranges]
    return np.concatenate(parts) if parts else np.zeros(0, np.int64)


@dataclass(frozen=True)
class OfatEntry:
    """One entry of the output feature address table.

    The column block [column, column + count) of the epitome is multiplied by `multiplier` and
    stored into (or, with `accumulate`, added to) output channels [destination, destination+count).

    Attributes:
        column: The first epitome column.
        count: How many columns, and channels.
        destination: The first output channel.
        multiplier: Of at most 12 bits, not 0.
        accumulate: Whether it adds; the first write to a channel stores.
    """

    __pydantic_config__ = STRICT

    column: Offset
    count: Count
    destination: Offset
    multiplier: Signed
    accumulate: bool


@dataclass(frozen=True)
class Round:
    """One activation round: which channels are fetched, which word lines they drive, what follows.

    Attributes:
        ifat: Input channels to fetch, as ranges.
        ifrt: Epitome rows (word lines before tiling) that they drive, in the order
            (channel of ifat, kernel row, kernel column).
        ofat: What happens to the columns that were read.
    """

    __pydantic_config__ = STRICT

    ifat: Ranges
    ifrt: Ranges
    ofat: Annotated[tuple[OfatEntry, ...], FIRST_MISTAKE]

    @property
    def identity(self) -> tuple[object, ...]:
        """What is the same in all parts of a split layer: all but the place among the rounds."""
        # Which round stores and which accumulate differs from part to part: each begins by storing.
        entries = [(e.column, e.count, e.destination, e.multiplier) for e in self.ofat]
        return self.ifat, self.ifrt, tuple(entries)


@dataclass(frozen=True)
class Array:
    """One crossbar's share of one pack of a layer's groups; a layer without groups is one pack.

    The rows of the epitome are counted group after group.  Physical columns are counted pack after
    pack: the bit slices of the pack's epitome columns, side by side, and then, for mapping
    `offset`, the pack's reference column.  So physical column p of a pack holds bit slice
    p % slices of its epitome column p // slices.  A pack of several groups lies in one array;
    where a row and a column are not of the same group, the weight is 0.

    Attributes:
        crossbar: Its number on the tile.
        row: First epitome row.
        rows: Epitome rows held (word lines used).
        column: First physical column.
        columns: Physical columns held (bit lines used).
    """

    __pydantic_config__ = STRICT

    crossbar: Index
    row: Offset
    rows: Extent
    column: Offset
    columns: Extent
