"""The instruction that pools."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np

from epimc.backends import forms
from epimc.backends.crossbar.core.limits import Index, Padding
from epimc.backends.crossbar.core.program import ELEMENTS, Maps, Program
from epimc.backends.crossbar.instructions.computing import (
    Computing,
    Data,
    Kernel,
    KernelSetting,
    MapKernel,
    RowBlock,
    accumulator_type,
)
from epimc.backends.crossbar.instructions.registry import register
from epimc.backends.crossbar.instructions.table import (
    ACCUMULATORS,
    ACTIVATIONS,
    Lowering,
    OneSource,
    TableCheck,
    activation_of,
)
from epimc.backends.crossbar.instructions.windows import (
    SaneWindow,
    Windows,
    check_window,
    window_elements,
)
from epimc.backends.forms import Claim
from epimc.ir.semantics.windows import window_shares

# Windows that are looked at together.
_PIECE = 2**16


@register
@dataclass(frozen=True)
class Pool(OneSource, Computing):
    """The maximum, or the sum, over a sliding window.

    `max` makes activations of activations, and nothing outside the image wins; `sum` makes
    accumulators of q - zero point.  Where the table says what counts, a sum is multiplied by the
    least common multiple of the numbers of elements that the windows count, over the window's own.

    Attributes:
        kind: `max` or `sum`.
        source: Feature map read (activations).
        destination: Feature map written.
        window: Slides over the map.
        counted: Of sums that become means over windows with different numbers of elements: how
            much of the padding counts, (top, left, bottom, right).
    """

    code = 18
    lowers = "xbar.pool"

    kind: Literal["max", "sum"]
    source: Index
    destination: Index
    window: SaneWindow
    counted: tuple[Padding, Padding, Padding, Padding] | None = None
    type: Literal["pool"] = "pool"

    @property
    def contents(self) -> tuple[str | None, str]:
        """A maximum is an activation, a sum an accumulator."""
        return ACTIVATIONS, ACTIVATIONS if self.kind == "max" else ACCUMULATORS

    @classmethod
    def of(cls, op: Any, lowering: Lowering) -> Self:
        """The window of the op, and the padding that counts in a mean."""
        source, destination = lowering.sources(op)[0], lowering.destination(op)
        return cls(op.kind, source, destination, op.window, op.counted)

    def rows(self, maps: Maps, y: int) -> Sequence[Sequence[int]]:
        """Those of the window."""
        return [self.window.rows(y, maps[self.source].height)]

    def direct_bytes(self, maps: Maps, y: int) -> int:
        """Every window of the row, of all channels."""
        source = maps[self.source]
        elements = source.channels * window_elements(self.window, source, y)
        return elements * ELEMENTS[source.element].size

    def kernel(self, setting: KernelSetting) -> Kernel:
        """The maximum of each window, or its sum and perhaps its share."""
        source = setting.program.maps[self.source]
        windows = Windows(self.window)
        shares: Data | None = None
        if self.counted is not None:
            _, shares = window_shares(self.window, self.counted, source.dims[1:])

        def maxima(blocks: list[RowBlock], first: int, end: int) -> Data:
            # In a type that holds -1 as well, which is less than any activation.
            signed = np.promote_types(blocks[0].data.dtype, np.int8)
            block = RowBlock(blocks[0].first, blocks[0].data.astype(signed))
            result: Data = windows.gather(block, -1, first, end).max(axis=(2, 3))
            return result

        def sums(blocks: list[RowBlock], first: int, end: int) -> Data:
            block = RowBlock(blocks[0].first, blocks[0].data.astype(np.int64) - source.zero_point)
            total: Data = windows.gather(block, 0, first, end).sum(axis=(2, 3))
            return total if shares is None else total * shares[first:end]

        return maxima if self.kind == "max" else sums

    def map_kernel(self, setting: KernelSetting) -> MapKernel:
        """The maxima, or the sums, of a map."""
        from epimc.backends.crossbar.compiled.pools import NO_SHARES, max_pool, sum_pool

        maps = setting.program.maps
        source, bound = maps[self.source], self.bound(maps)

        def maxima(sources: Sequence[Data], out: Data) -> None:
            max_pool(sources[0], self.window, out)

        if bound is None:
            return MapKernel(source.dtype, maxima)
        shares = NO_SHARES
        if self.counted is not None:
            _, shares = window_shares(self.window, self.counted, source.dims[1:])

        def sums(sources: Sequence[Data], out: Data) -> None:
            sum_pool(sources[0], self.window, source.zero_point, out, shares)

        return MapKernel(accumulator_type(bound), sums)

    def made(self, maps: Maps) -> Mapping[str, int]:
        """What every window counts."""
        _, height, width = maps[self.destination].dims
        edges = height * self.window.kernel[0] + width * self.window.kernel[1]
        counted = 0 if self.counted is None else height * width + edges
        return {f"shares of {self.destination}": counted}

    def claims(self, program: Program) -> Iterator[Claim]:
        """The window, and the shares of sums."""
        source, name = program.maps[self.source], program.maps[self.destination].name
        if self.kind == "max":
            return forms.maximum(name, activation_of(source), self.window)
        return forms.sums(name, activation_of(source), source.dims, self.window, self.counted)

    def check(self, check: TableCheck) -> None:
        """The window fits; a maximum has something to choose from."""
        if not check.require(self.kind in ("max", "sum"), f"Unknown kind of pool '{self.kind}'."):
            return
        (source,), target = check.sources, check.target
        same = source.channels == target.channels
        check.require(same, "It changes the number of channels.")
        if not check_window(check, self.window):
            return
        if self.kind == "sum":
            self._check_counted(check)
            return
        check.require(self.counted is None, "Nothing is counted for a maximum.")
        check.require_kept(source)
        for axis, (size, outputs) in enumerate(zip(source.dims[1:], target.dims[1:], strict=True)):
            inside = all(
                self._is_inside(axis, size, first, min(first + _PIECE, outputs))
                for first in range(0, outputs, _PIECE)
            )
            check.require(inside, "One of its windows lies outside the image.")

    def _is_inside(self, axis: int, size: int, begin: int, end: int) -> bool:
        """Whether each of the windows [begin, end) along an axis reads something of the image."""
        step, kernel = self.window.dilations[axis], self.window.kernel[axis]
        first = np.arange(begin, end) * self.window.strides[axis] - self.window.pads[axis]
        # Steps to the first element that is not before the image, and to the first behind it.
        before, behind = (
            np.maximum(-(first // step), 0),
            np.minimum(-((first - size) // step), kernel),
        )
        return bool((before < behind).all())

    def _check_counted(self, check: TableCheck) -> None:
        """What counts is padding, and the sums have a common multiple."""
        if self.counted is None or not check.require(
            all(
                0 <= some <= every
                for some, every in zip(self.counted, self.window.pads, strict=True)
            ),
            "It counts more padding than there is.",
        ):
            return
        (source,) = check.sources
        try:
            window_shares(self.window, self.counted, source.dims[1:])
        except ValueError as problem:
            check.require(False, f"Its sums have no common step: {problem}.")

    def bound(self, maps: Maps) -> int | None:
        """All elements of a window at their largest magnitude."""
        if self.kind == "max":
            return None
        source = maps[self.source]
        elements = self.window.kernel[0] * self.window.kernel[1]
        if self.counted is not None:
            # A sum times its share is at most the common multiple times the largest element.
            elements, _ = window_shares(self.window, self.counted, source.dims[1:])
        return int(elements * (2**source.bits - 1))
