"""First fit: addresses for the blocks of one tile's buffer, by the steps at which they are busy."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from epimc.backends.crossbar.lower.liveness import Region
from epimc.backends.crossbar.lower.rows import Span, ring_rows, row_stride
from epimc.ir.semantics.arrays import Ints

NEVER = -1
"""The first step of a block that is never busy."""


@dataclass(frozen=True)
class BufferBlock:
    """A region to place: its bytes, and the steps at which it holds a row that is still needed.

    `busy` has bit k set for step `first + k`: a region that is empty between two rows, as those of
    accumulators are, can share its place with another.
    """

    region: Region
    rows: int
    size: int
    first: int
    busy: int

    @property
    def byte_steps(self) -> int:
        """Its bytes, counted once for every step at which it is busy."""
        return self.size * self.busy.bit_count()

    def of_bytes(self, size: int) -> BufferBlock:
        """Busy at the same steps, with so many bytes in the place of rows."""
        return replace(self, rows=size, size=size)


def block_of(region: Region, spans: dict[int, Span]) -> BufferBlock:
    """The block of a region; one that is never read still takes a row."""
    rows = ring_rows(spans)
    first, busy = busy_steps(spans.values())
    return BufferBlock(region, rows, rows * row_stride(region.value), first, busy)


def busy_steps(spans: Iterable[Span]) -> tuple[int, int]:
    """The first step of all spans, and the steps in any of them: bit k for the k-th from there."""
    starts: list[int] = []
    ends: list[int] = []
    for first, last in sorted(spans):
        # What overlaps is one span: `_powers` takes each exponent once.
        if ends and first <= ends[-1]:
            ends[-1] = max(ends[-1], last + 1)
        else:
            starts.append(first)
            ends.append(last + 1)
    if not starts:
        return NEVER, 0
    base, size = starts[0], ends[-1] - starts[0]
    # Bits [start, end) are 2^end - 2^start: two numbers in all, instead of one for each span.
    return base, _powers(ends, base, size) - _powers(starts, base, size)


def _powers(exponents: Iterable[int], base: int, largest: int) -> int:
    """The sum of 2^(exponent - base) over different exponents."""
    bits = bytearray(largest // 8 + 1)
    for exponent in exponents:
        byte, bit = divmod(exponent - base, 8)
        bits[byte] |= 1 << bit
    return int.from_bytes(bits, "little")


class Load:
    """The bytes of a buffer that are busy at each step: what no addresses can bring down."""

    def __init__(self, blocks: Iterable[BufferBlock]) -> None:
        """Add up the blocks of a tile."""
        self._bytes: Ints = np.zeros(0, np.int64)
        for block in blocks:
            self.add(block)

    @property
    def most(self) -> int:
        """The bytes at the step with most of them."""
        return int(self._bytes.max(initial=0))

    def add(self, block: BufferBlock, count: int = 1) -> None:
        """Add a block, or take it away: `count` -1."""
        if not block.busy:
            return
        raw = block.busy.to_bytes(block.busy.bit_length() // 8 + 1, "little")
        steps = np.unpackbits(np.frombuffer(raw, np.uint8), bitorder="little")
        end = block.first + len(steps)
        if end > len(self._bytes):
            self._bytes = np.pad(self._bytes, (0, end - len(self._bytes)))
        self._bytes[block.first : end] += steps * np.int64(count * block.size)


def first_fit(blocks: Iterable[BufferBlock]) -> Iterator[tuple[BufferBlock, int]]:
    """Give each block the lowest address that is free whenever it is busy.

    Blocks come in the order of their first step, the larger first, and each as soon as its address
    is known: whoever has seen enough need not wait for the others.
    """
    # (address, size) of what has been placed -> the steps from `now` on at which it is taken.
    # Blocks that were put into the very same place count as one, and those that are no longer
    # needed as none, so that there are never more than are alive at a time.
    taken: dict[tuple[int, int], int] = {}
    now = 0
    for block in sorted(blocks, key=lambda b: (b.first, -b.size)):
        if block.first > now:
            passed, now = block.first - now, block.first
            taken = {place: left for place, steps in taken.items() if (left := steps >> passed)}
        address = 0
        for place in sorted(taken):
            start, size = place
            # Places come in the order of their addresses: the gap before this one is large enough.
            if start >= address + block.size:
                break
            # `taken` counts steps from `now`, which is the first step of the block: the bits match.
            if taken[place] & block.busy:
                address = max(address, start + size)
        yield block, address
        if block.busy:
            place = address, block.size
            taken[place] = taken.get(place, 0) | block.busy
