"""Arrays of integers, and how large ones are gone through."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]
Cells = NDArray[np.uint8]
Array = NDArray[Any]
T = TypeVar("T")


def pieces(count: int, size: int, limit: int = 2**20) -> Iterator[slice]:
    """Slices of `count` rows of `size` elements, each of at most `limit` elements or one row.

    What is computed from small integers takes many times their memory: large layers go through
    such steps piece by piece.
    """
    step = max(1, limit // max(1, size))
    for first in range(0, count, step):
        yield slice(first, min(first + step, count))


def grouped(sizes: Mapping[T, int], most: int) -> Iterator[list[T]]:
    """What has sizes, in its order, in groups of no more together; what is larger is alone."""
    group: list[T] = []
    taken = 0
    for each, size in sizes.items():
        if group and taken + size > most:
            yield group
            group, taken = [], 0
        group.append(each)
        taken += size
    if group:
        yield group
