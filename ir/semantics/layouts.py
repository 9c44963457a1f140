"""What moves where: rearrangements and selections.

A rearrangement permutes the dims of a sample, then cuts it anew, row-major; a selection takes
channels, rows and columns of a map by their indices.

One definition of what moves where, for the IR, the checker and the simulator.  numpy only; no
other module of epimc is imported here.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import accumulate, permutations
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Shape = tuple[int, ...]

Factors = tuple[tuple[int, int], ...]
"""Dims as (size, stride in elements of the source), the outermost first."""


@dataclass(frozen=True)
class Rearrangement:
    """What happens to one sample.

    Attributes:
        source: Shape before.
        perm: Dim k of the permuted sample is dim perm[k] of the source.
        result: Shape to which the permuted sample is cut, row-major; of as many elements.
    """

    source: Shape
    perm: tuple[int, ...]
    result: Shape

    def apply(self, x: Array) -> Array:
        """The rearranged samples [batch, *result] of samples [batch, *source]."""
        permuted = x.transpose(0, *(axis + 1 for axis in self.perm))
        return permuted.reshape(len(x), *self.result)

    @property
    def permuted(self) -> Shape:
        """The shape between both steps."""
        return tuple(self.source[axis] for axis in self.perm)

    @property
    def only_permutes(self) -> bool:
        """Whether the second step changes nothing."""
        return self.permuted == self.result

    @property
    def keeps_order(self) -> bool:
        """Whether the elements come in the order of the source."""
        return self.perm == tuple(range(len(self.source)))

    @property
    def is_identity(self) -> bool:
        """Whether nothing changes at all."""
        return self.keeps_order and self.source == self.result


@lru_cache(maxsize=1024)
def rows_read(move: Rearrangement) -> tuple[tuple[int, ...], ...]:
    """For each row of the result the rows of the source that it reads, ascending; both are maps."""
    _, height, _ = move.source
    rows = np.arange(height, dtype=np.int32)[None, None, :, None]
    moved = move.apply(np.broadcast_to(rows, (1, *move.source)))[0]
    return tuple(tuple(np.unique(moved[:, y]).tolist()) for y in range(moved.shape[1]))


def element_indices(move: Rearrangement) -> NDArray[np.int64]:
    """For each element of the result, in its shape, its index in the flat source."""
    source = np.arange(math.prod(move.source), dtype=np.int64).reshape(1, *move.source)
    moved: NDArray[np.int64] = move.apply(source)[0]
    return moved


def simplified(move: Rearrangement) -> Rearrangement:
    """The same with the first permutation that does it: dims of size 1 move for nothing."""
    canonical = expressed(joined(factors(move.source, move.perm)), move.source, move.result)
    assert canonical is not None
    return canonical


def merged(first: Rearrangement, second: Rearrangement) -> Rearrangement | None:
    """One rearrangement for two after each other; None where it takes two."""
    if simplified(second).keeps_order:
        return expressed(joined(factors(first.source, first.perm)), first.source, second.result)
    dims = cut(factors(first.source, first.perm), first.result)
    if dims is None:
        return None
    moved = tuple(factor for axis in second.perm for factor in dims[axis])
    return expressed(joined(moved), first.source, second.result)


def expressed(wanted: Factors, source: Shape, result: Shape) -> Rearrangement | None:
    """The rearrangement of a source whose elements come in this order, if there is one."""
    for perm in permutations(range(len(source))):
        if joined(factors(source, perm)) == wanted:
            return Rearrangement(source, perm, result)
    return None


def factors(shape: Shape, perm: tuple[int, ...]) -> Factors:
    """The permuted dims of a row-major shape."""
    strides = [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]
    return tuple((shape[axis], strides[axis]) for axis in perm)


def joined(dims: Factors) -> Factors:
    """The same order of elements in the fewest dims: the canonical form."""
    fewest: list[tuple[int, int]] = []
    for size, stride in dims:
        if size == 1:
            continue
        if fewest and fewest[-1][1] == size * stride:
            fewest[-1] = fewest[-1][0] * size, stride
        else:
            fewest.append((size, stride))
    return tuple(fewest)


def cut(dims: Factors, shape: Shape) -> list[Factors] | None:
    """The same order of elements as the dims of a shape; None where a dim has no even strides."""
    rest = list(joined(dims))
    dims_cut: list[Factors] = []
    for wanted in shape:
        parts: list[tuple[int, int]] = []
        while wanted > 1:
            size, stride = rest.pop(0)
            shared = math.gcd(size, wanted)
            if shared != min(size, wanted):
                return None
            inner = size // shared
            if inner > 1:
                rest.insert(0, (inner, stride))
            parts.append((shared, stride * inner))
            wanted //= shared
        dims_cut.append(tuple(parts))
    return dims_cut


# --- selections ----------------------------------------------------------------------------------

Runs = tuple[tuple[int, int, int], ...]
"""Indices as runs (first, count, step), one behind the other; a run of one has the step 0."""


@dataclass(frozen=True)
class Selection:
    """Channels, rows and columns of a map [C, H, W] by their indices: some, none, repeated, turned.

    Attributes:
        channels: The indices of the result's channels; no runs stand for all, in order.
        rows: Those of its rows, likewise.
        columns: Those of its columns, likewise.
    """

    channels: Runs = ()
    rows: Runs = ()
    columns: Runs = ()

    @property
    def runs(self) -> tuple[Runs, Runs, Runs]:
        """The runs of the three dims."""
        return self.channels, self.rows, self.columns

    def shape(self, source: Shape) -> Shape:
        """[C, H, W] of the result."""
        return tuple(
            sum(count for _, count, _ in runs) if runs else size
            for runs, size in zip(self.runs, source, strict=True)
        )

    def fits(self, source: Shape) -> bool:
        """Whether every run has an index, none that the map lacks, and one form only."""
        return all(
            count > 0
            and (count > 1 or step == 0)
            and min(first, first + (count - 1) * step) >= 0
            and max(first, first + (count - 1) * step) < size
            for runs, size in zip(self.runs, source, strict=True)
            for first, count, step in runs
        )

    @cached_property
    def _first_rows(self) -> list[int]:
        """The rows of the result at which the runs begin."""
        counts = (count for _, count, _ in self.rows)
        return list(accumulate(counts, initial=0))[: len(self.rows)]

    def row(self, y: int) -> int:
        """The row of the source that row `y` of the result is taken from."""
        run = bisect_right(self._first_rows, y) - 1
        if run < 0:
            return y
        first, _, step = self.rows[run]
        return first + (y - self._first_rows[run]) * step

    def apply(self, x: Array) -> Array:
        """What is selected of maps [batch, C, H, W]."""
        for axis, runs in enumerate(self.runs, 1):
            x = x if not runs else x.take(indices(runs), axis)
        return x


def indices(runs: Runs) -> NDArray[np.int64]:
    """The indices that runs stand for, in order."""
    parts = [first + step * np.arange(count, dtype=np.int64) for first, count, step in runs]
    return np.concatenate(parts)


def runs_of(numbers: Iterable[int]) -> Runs:
    """The runs of indices, each as long as it can be, from the first on."""
    runs: list[tuple[int, int, int]] = []
    for number in numbers:
        first, count, step = runs[-1] if runs else (0, 0, 0)
        if count == 1:
            runs[-1] = first, 2, number - first
        elif count and number == first + count * step:
            runs[-1] = first, count + 1, step
        else:
            runs.append((number, 1, 0))
    return tuple(runs)
