"""What each computing instruction does with data: rows of source maps to rows of its destination.

A kernel is made once a table and called once an instruction.  Arrays are [batch, C, rows, W].
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from epimc.backends.crossbar import arrays, fused
from epimc.backends.crossbar.program import (
    AddTable,
    ConcatTable,
    ConstantTable,
    FeatureMap,
    HostTable,
    LookupTable,
    MultiplyTable,
    MvmTable,
    PadTable,
    PoolTable,
    Program,
    RearrangeTable,
    RequantizeTable,
    SelectTable,
    Table,
)
from epimc.ir import integers
from epimc.layouts import element_indices, rows_read

Data = NDArray[Any]


class Kernel(Protocol):
    """A computing instruction's work, prepared for one table."""

    def span(self, first: int, end: int, source: int = 0) -> tuple[int, int]:
        """The rows [first, end) of a source that output rows [first, end) may read."""

    def __call__(self, sources: list[Data], first: int, end: int) -> Data:
        """Output rows [first, end) as integers [batch, C, end - first, W].

        `sources` hold the rows of `span`, in order.
        """


class Rowwise:
    """Output row y reads row y of every source."""

    def span(self, first: int, end: int, source: int = 0) -> tuple[int, int]:
        """The same rows."""
        return first, end


class Windowed:
    """Output rows read the source through a sliding window."""

    def __init__(self, window: integers.Window, source: FeatureMap) -> None:
        self.window, self.source = window, source
        self._shifted: dict[int, integers.Window] = {}

    def span(self, first: int, end: int, source: int = 0) -> tuple[int, int]:
        """The rows inside the image between the windows' first and last."""
        top = first * self.window.strides[0] - self.window.pads[0]
        bottom = top + (end - 1 - first) * self.window.strides[0] + self.window.extent(0)
        return max(top, 0), max(min(bottom, self.source.height), max(top, 0))

    def gather(self, x: Data, fill: int, first: int, end: int) -> Data:
        """The windows [batch, C, Kh, Kw, rows, W] of output rows; `x` holds the rows of `span`."""
        above = max(self.window.pads[0] - first * self.window.strides[0], 0)
        window = self._shifted.get(above)
        if window is None:
            window = replace(self.window, pads=(above, *self.window.pads[1:]))
            self._shifted[above] = window
        return integers.gather(x, window, fill, 0, end - first)


class Mvm(Windowed):
    """`mvm`: through the crossbars, by one of the paths of `arrays`."""

    def __init__(self, table: MvmTable, program: Program, path: str) -> None:
        source = program.maps[table.source]
        super().__init__(table.window, source)
        self.product: fused.FusedMvm | arrays.BitSerialMvm
        if path == "fused" or (path == "auto" and arrays.lossless(table, program.chip)):
            self.product = fused.fused(table, source.channels, source.bits, source.zero_point)
        else:
            self.product = arrays.bit_serial(table, source.bits, source.zero_point, program.chip)

    def __call__(self, sources: list[Data], first: int, end: int) -> Data:
        """Accumulators."""
        windows = self.gather(sources[0], self.source.zero_point, first, end)
        batch, channels, height, width, rows, columns = windows.shape
        flat = windows.transpose(1, 2, 3, 0, 4, 5).reshape(channels * height * width, -1)
        return self.product(flat).reshape(-1, batch, rows, columns).transpose(1, 0, 2, 3)


class Requantize(Rowwise):
    """`requantize`: accumulators or activations to activations."""

    def __init__(self, table: RequantizeTable, program: Program, path: str) -> None:
        self.table = table
        self.zero_points = [program.maps[source].zero_point for source in table.sources]
        self.zero_point = program.maps[table.destination].zero_point
        self.offsets = table.offsets if table.offsets.any() else None

    def __call__(self, sources: list[Data], first: int, end: int) -> Data:
        """Activations."""
        table = self.table
        terms = [
            x.astype(np.int64) - zero_point if zero_point else x.astype(np.int64, copy=False)
            for x, zero_point in zip(sources, self.zero_points, strict=True)
        ]
        return integers.requantize(
            terms,
            table.multipliers,
            table.shifts,
            self.zero_point,
            table.low,
            table.high,
            self.offsets,
        )


class Pool(Windowed):
    """`pool`: the maximum of activations, or the sum of q - zero point."""

    def __init__(self, table: PoolTable, program: Program, path: str) -> None:
        super().__init__(table.window, program.maps[table.source])
        self.kind = table.kind
        self.shares: Data | None = None
        if table.counted is not None:
            size = self.source.height, self.source.width
            _, self.shares = integers.window_shares(table.window, table.counted, size)

    def __call__(self, sources: list[Data], first: int, end: int) -> Data:
        """Activations for `max`, accumulators for `sum`."""
        if self.kind == "max":
            result: Data = self.gather(sources[0].astype(np.int16), -1, first, end).max(axis=(2, 3))
            return result
        centred = sources[0].astype(np.int64) - self.source.zero_point
        total: Data = self.gather(centred, 0, first, end).sum(axis=(2, 3))
        return total if self.shares is None else total * self.shares[first:end]


class Rearrange:
    """`rearrange`: the same integers elsewhere."""

    def __init__(self, table: RearrangeTable, program: Program, path: str) -> None:
        move = table.move(program.maps[table.source])
        self.rows, self.source = rows_read(move), move.source
        self.indices = element_indices(move)

    def span(self, first: int, end: int, source: int = 0) -> tuple[int, int]:
        """The rows between the first and the last that are read."""
        read = self.rows[first:end]
        return min(rows[0] for rows in read), max(rows[-1] for rows in read) + 1

    def __call__(self, sources: list[Data], first: int, end: int) -> Data:
        """The same integers."""
        start, stop = self.span(first, end)
        _, height, width = self.source
        channel, place = np.divmod(self.indices[:, first:end], height * width)
        flat = channel * ((stop - start) * width) + place - start * width
        moved: Data = sources[0].reshape(len(sources[0]), -1)[:, flat]
        return moved


class Add(Rowwise):
    """`add`: two accumulators."""

    def __init__(self, table: AddTable, program: Program, path: str) -> None:
        pass

    def __call__(self, sources: list[Data], first: int, end: int) -> Data:
        """Accumulators."""
        total: Data = sources[0] + sources[1]
        return total


class Multiply(Rowwise):
    """`multiply`: two activations.

    A map of one row lies in a ring of one row, which delivers it wherever a row is asked for.
    """

    def __init__(self, table: MultiplyTable, program: Program, path: str) -> None:
        first, second = (program.maps[source].zero_point for source in table.sources)
        self.zero_points = first, second

    def __call__(self, sources: list[Data], first: int, end: int) -> Data:
        """Accumulators."""
        a, b = (x.astype(np.int64) for x in sources)
        return integers.multiply(a, b, self.zero_points)


class LookUp(Rowwise):
    """`lookup`: activations by a table."""

    def __init__(self, table: LookupTable, program: Program, path: str) -> None:
        self.values = table.values

    def __call__(self, sources: list[Data], first: int, end: int) -> Data:
        """Activations."""
        return integers.lookup(sources[0], self.values)


class Concat:
    """`concat`: several maps, one behind the other."""

    def __init__(self, table: ConcatTable, program: Program, path: str) -> None:
        self.axis = table.axis
        self.heights = [program.maps[source].height for source in table.sources]

    def span(self, first: int, end: int, source: int = 0) -> tuple[int, int]:
        """The same rows; along the rows, those that lie in the source."""
        if self.axis != 1:
            return first, end
        top, height = sum(self.heights[:source]), self.heights[source]
        return min(max(first - top, 0), height), min(max(end - top, 0), height)

    def __call__(self, sources: list[Data], first: int, end: int) -> Data:
        """The same integers."""
        return integers.concat(sources, self.axis)


class Select:
    """`select`: channels, rows and columns of a map."""

    def __init__(self, table: SelectTable, program: Program, path: str) -> None:
        self.selection, height = table.selection, program.maps[table.destination].height
        self.rows = np.array([table.selection.row(y) for y in range(height)])
        self.within = replace(table.selection, rows=())

    def span(self, first: int, end: int, source: int = 0) -> tuple[int, int]:
        """The rows between the first and the last that are taken."""
        taken = self.rows[first:end]
        return int(taken.min()), int(taken.max()) + 1

    def __call__(self, sources: list[Data], first: int, end: int) -> Data:
        """The same integers."""
        start, _ = self.span(first, end)
        return self.within.apply(sources[0][:, :, self.rows[first:end] - start])


class Constant(Rowwise):
    """`constant`: rows of a table."""

    def __init__(self, table: ConstantTable, program: Program, path: str) -> None:
        self.values = table.values

    def __call__(self, sources: list[Data], first: int, end: int) -> Data:
        """The activations of one sample, which stands for all."""
        return self.values[None, :, first:end]


class Pad:
    """`pad`: a map with zero points around it."""

    def __init__(self, table: PadTable, program: Program, path: str) -> None:
        self.table, self.source = table, program.maps[table.source]

    def span(self, first: int, end: int, source: int = 0) -> tuple[int, int]:
        """The rows less those above the map, as far as there are any."""
        top, height = self.table.pads[0], self.source.height
        return min(max(first - top, 0), height), min(max(end - top, 0), height)

    def __call__(self, sources: list[Data], first: int, end: int) -> Data:
        """The same integers and zero points."""
        begin, stop = self.span(first, end)
        _, left, _, right = self.table.pads
        above = min(max(self.table.pads[0] - first, 0), end - first)
        below = end - first - above - (stop - begin)
        pads = above, left, below, right
        return integers.pad(sources[0], self.table.channels, pads, self.source.zero_point)


def kernel(table: Table, program: Program, path: str) -> Kernel:
    """The kernel of a table; `path` is `auto`, `fused` or `bit-serial`."""
    match table:
        case MvmTable():
            return Mvm(table, program, path)
        case RequantizeTable():
            return Requantize(table, program, path)
        case PoolTable():
            return Pool(table, program, path)
        case RearrangeTable():
            return Rearrange(table, program, path)
        case AddTable():
            return Add(table, program, path)
        case MultiplyTable():
            return Multiply(table, program, path)
        case LookupTable():
            return LookUp(table, program, path)
        case ConcatTable():
            return Concat(table, program, path)
        case SelectTable():
            return Select(table, program, path)
        case ConstantTable():
            return Constant(table, program, path)
        case PadTable():
            return Pad(table, program, path)
        case HostTable():
            raise TypeError("the host has no kernel on the chip")
