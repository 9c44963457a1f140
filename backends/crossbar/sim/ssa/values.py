"""Where the maps of a block of samples lie in memory: arrays [samples, H, W, C] in one arena."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

# A cache line, which is also the widest vector.
LINE = 64


@dataclass(frozen=True)
class Value:
    """A map of which a plan keeps the integers.

    Attributes:
        number: Of the map.
        shape: [H, W, C].
        dtype: Of its elements.
        first: The step that computes it.
        last: The last step that reads it; the map is kept until that is done.
    """

    number: int
    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    first: int
    last: int

    @property
    def size(self) -> int:
        """Bytes of a sample, up to the next line, so that those of any number begin on a line."""
        return -(-math.prod(self.shape) * self.dtype.itemsize // LINE) * LINE


class Layout:
    """Places for values, of which two share one where none is needed while the other is.

    Attributes:
        values: By the number of the map.
        sample_bytes: The bytes that a sample takes: the highest end of a place.
    """

    def __init__(self, values: Sequence[Value]) -> None:
        """Place values, the largest first: each at the lowest address that is free for it."""
        self.values: Mapping[int, Value] = {value.number: value for value in values}
        self._addresses: dict[int, int] = {}
        placed: list[Value] = []
        for value in sorted(values, key=lambda value: (-value.size, value.number)):
            others = [other for other in placed if overlap(value, other)]
            self._addresses[value.number] = self._lowest(value, others)
            placed.append(value)
        ends = (self._addresses[value.number] + value.size for value in values)
        self.sample_bytes = max(ends, default=0)

    def _lowest(self, value: Value, others: Sequence[Value]) -> int:
        address = 0
        for begin, size in sorted((self._addresses[other.number], other.size) for other in others):
            if begin - address >= value.size:
                break
            address = max(address, begin + size)
        return address

    def arena(self, samples: int, memory: NDArray[np.uint8] | None = None) -> dict[int, Array]:
        """Memory for a block: for each map, by its number, an array [samples, H, W, C].

        What lies in it is of no value.  Behind each array a line can be read.

        Args:
            samples: Of the block.
            memory: Of `bytes_of` as many samples or more; None: new memory.
        """
        if memory is None:
            memory = np.empty(self.bytes_of(samples), np.uint8)
        begin = -memory.ctypes.data % LINE
        arrays = {}
        for number, value in self.values.items():
            first = begin + self._addresses[number] * samples
            size = math.prod(value.shape) * value.dtype.itemsize * samples
            flat = memory[first : first + size].view(value.dtype)
            arrays[number] = flat.reshape(samples, *value.shape)
        return arrays

    def bytes_of(self, samples: int) -> int:
        """How much memory a block takes: from the next line on, with a line behind it."""
        return self.sample_bytes * samples + 2 * LINE


class Arenas:
    """The arenas of a layout, which blocks take and give back: memory is asked for once.

    There are never more of them than blocks were in work at the same time, and each is as large as
    the largest block that it was taken for.
    """

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        # Threads append to a list and pop from it without getting in each other's way.
        self._free: list[tuple[NDArray[np.uint8], int, dict[int, Array]]] = []

    @contextmanager
    def taken(self, samples: int) -> Iterator[dict[int, Array]]:
        """An arena for so many samples, which nobody else has until the end of the block."""
        needed = self.layout.bytes_of(samples)
        try:
            memory, before, arrays = self._free.pop()
        except IndexError:
            memory, before, arrays = np.empty(needed, np.uint8), 0, {}
        if memory.size < needed:
            # The smaller one goes first: both need not have room.
            del memory, arrays
            memory, before, arrays = np.empty(needed, np.uint8), 0, {}
        if before != samples:
            arrays = self.layout.arena(samples, memory)
        yield arrays
        self._free.append((memory, samples, arrays))


def overlap(one: Value, other: Value) -> bool:
    """Whether both values are needed at some step."""
    return one.first <= other.last and other.first <= one.last
