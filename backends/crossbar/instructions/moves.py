"""Instructions that move activations without computing any."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from epimc.backends import forms
from epimc.backends.crossbar.core.limits import Count, Index, Offset
from epimc.backends.crossbar.core.program import ALIGNMENT, FeatureMap, Maps, Program
from epimc.backends.crossbar.instructions.computing import (
    Computing,
    Data,
    Kernel,
    KernelSetting,
    MapKernel,
    RowBlock,
)
from epimc.backends.crossbar.instructions.registry import register
from epimc.backends.crossbar.instructions.table import (
    MOST_SOURCES,
    Lowering,
    OneSource,
    Sources,
    Stored,
    TableCheck,
    activation_of,
)
from epimc.backends.forms import Claim
from epimc.ir.semantics import arrays, joins
from epimc.ir.semantics.layouts import Rearrangement, Selection, element_indices, rows_read


def moving(kind: np.dtype[Any], move: Callable[[Data], Data]) -> MapKernel:
    """The kernel of a move, which is one of maps [batch, C, H, W]."""

    def moved(sources: Sequence[Data], out: Data) -> None:
        out[...] = move(sources[0].transpose(0, 3, 1, 2)).transpose(0, 2, 3, 1)

    return MapKernel(kind, moved)


class Taking(Computing):
    """What takes each of its elements from one place: `direct` reads no others."""

    def window_bytes(self, maps: Maps) -> int:
        """One element."""
        return ALIGNMENT

    def direct_bytes(self, maps: Maps, y: int) -> int:
        """As many as it writes."""
        return maps[self.destination].row_bytes


@register
@dataclass(frozen=True)
class Rearrange(OneSource, Taking):
    """Moves activations: the dims of a map [C, H, W] permuted, then cut anew, row-major.

    A flatten is the case that permutes nothing.

    Attributes:
        source: Feature map read (activations).
        destination: Feature map written, of the same type.
        perm: Dim k of the permuted map is dim perm[k] of the source's [C, H, W].
        shape: [C, H, W] of the destination.
    """

    code = 19
    lowers = "xbar.rearrange"

    source: Index
    destination: Index
    perm: tuple[Index, Index, Index]
    shape: tuple[Count, Count, Count]
    type: Literal["rearrange"] = "rearrange"

    @classmethod
    def of(cls, op: Any, lowering: Lowering) -> Self:
        """The same move, from map to map."""
        first, second, third = op.map_move.perm
        source, destination = lowering.sources(op)[0], lowering.destination(op)
        return cls(source, destination, (first, second, third), lowering.map_shape(op))

    def move(self, source: FeatureMap) -> Rearrangement:
        """The rearrangement, by which dims of a source it moves what where."""
        return Rearrangement(source.dims, self.perm, self.shape)

    def rows(self, maps: Maps, y: int) -> Sequence[Sequence[int]]:
        """Those from which its elements come."""
        return [rows_read(self.move(maps[self.source]))[y]]

    def kernel(self, setting: KernelSetting) -> Kernel:
        """Elements by their places in the rows that are read."""
        source = setting.program.maps[self.source]
        indices = element_indices(self.move(source))
        height, width = source.height, source.width

        def moved(blocks: list[RowBlock], first: int, end: int) -> Data:
            start, data = blocks[0]
            channel, place = np.divmod(indices[:, first:end], height * width)
            row, column = np.divmod(place, width)
            # The block holds the rows from `start` on of every channel: fewer than the map does.
            result: Data = data[:, channel, row - start, column]
            return result

        return moved

    def map_kernel(self, setting: KernelSetting) -> MapKernel:
        """Dims permuted, and cut anew."""
        source = setting.program.maps[self.source]
        return moving(source.dtype, self.move(source).apply)

    def made(self, maps: Maps) -> Mapping[str, int]:
        """Where each element comes from."""
        return {f"moves of {self.destination}": math.prod(maps[self.source].dims)}

    def claims(self, program: Program) -> Iterator[Claim]:
        """Permuted dims and the result's."""
        name, source = program.maps[self.destination].name, program.maps[self.source].name
        return forms.rearrangement(name, source, self.perm, self.shape)

    def check(self, check: TableCheck) -> None:
        """It permutes three dims, and loses no element."""
        (source,) = check.sources
        check.require_kept(source)
        permuted = sorted(self.perm) == [0, 1, 2]
        check.require(permuted, f"{list(self.perm)} does not permute 3 dims.")
        shape = list(self.shape)
        made = check.target.dims == self.shape
        check.require(made, f"Its result must have the shape {shape}.")
        size = math.prod(source.dims)
        kept = math.prod(self.shape) == size
        check.require(kept, f"Its shape {shape} has not the {size} elements of its source.")


@register
@dataclass(frozen=True)
class Concat(Taking):
    """Puts the source maps one behind the other, along channels, rows or columns.

    Along the rows, an output row reads a row of one source.

    Attributes:
        sources: Feature maps read (activations).
        destination: Feature map written.
        axis: Along channels (0), rows (1) or columns (2).
    """

    code = 26
    lowers = "xbar.concat"
    most_sources = MOST_SOURCES
    sources_doc = "Rings, as many as the table has sources, with the rows of the source maps."

    sources: Sources
    destination: Index
    axis: Annotated[int, Field(ge=0, le=2)] = 0
    type: Literal["concat"] = "concat"

    @classmethod
    def of(cls, op: Any, lowering: Lowering) -> Self:
        """The maps of the op in its order; its axis is counted among [C, H, W]."""
        return cls(lowering.sources(op), lowering.destination(op), op.map_axis)

    def rows(self, maps: Maps, y: int) -> Sequence[Sequence[int]]:
        """The same row; along the rows, that of the source in which it lies."""
        if self.axis != 1:
            return [[y]] * len(self.sources)
        lines, top = [], 0
        for source in self.sources:
            height = maps[source].height
            # The other sources are not read: their rows may not be there yet.
            lines.append([y - top] if 0 <= y - top < height else [])
            top += height
        return lines

    def kernel(self, setting: KernelSetting) -> Kernel:
        """One source behind the other; along the rows, the one that has the row."""

        def joined(blocks: list[RowBlock], first: int, end: int) -> Data:
            return joins.concat([block.data for block in blocks], self.axis)

        return joined

    def map_kernel(self, setting: KernelSetting) -> MapKernel:
        """One map behind the other."""
        axis = (3, 1, 2)[self.axis]

        def joined(sources: Sequence[Data], out: Data) -> None:
            np.concatenate(sources, axis, out=out)

        return MapKernel(setting.program.maps[self.destination].dtype, joined)

    def claims(self, program: Program) -> Iterator[Claim]:
        """What comes behind what."""
        sources = [program.maps[source].name for source in self.sources]
        return forms.concatenation(program.maps[self.destination].name, sources, self.axis)

    def check(self, check: TableCheck) -> None:
        """The sources make up the destination."""
        for source in check.sources:
            check.require_kept(source)
        axis = self.axis
        if not check.require(0 <= axis <= 2, f"There is no axis {axis}."):
            return
        shapes = [source.dims for source in check.sources]
        total = list(check.target.dims)
        others = {(*shape[:axis], *shape[axis + 1 :]) for shape in shapes}
        size = sum(shape[axis] for shape in shapes)
        check.require(
            others == {(*total[:axis], *total[axis + 1 :])} and size == total[axis],
            f"Its sources do not make up the shape {total}.",
        )


@register
@dataclass(frozen=True)
class Pad(OneSource, Computing):
    """Puts zero points around a map: channels before and after, rows and columns.

    Attributes:
        source: Feature map read (activations).
        destination: Feature map written.
        channels: How many channels before and after.
        pads: How many rows and columns: (top, left, bottom, right).
    """

    code = 27
    lowers = "xbar.pad"

    source: Index
    destination: Index
    channels: tuple[Offset, Offset]
    pads: tuple[Offset, Offset, Offset, Offset]
    type: Literal["pad"] = "pad"

    @classmethod
    def of(cls, op: Any, lowering: Lowering) -> Self:
        """The widths of the op, already counted in channels, rows and columns."""
        return cls(lowering.sources(op)[0], lowering.destination(op), op.channels, op.pads)

    def rows(self, maps: Maps, y: int) -> Sequence[Sequence[int]]:
        """The row that lies there; above and below the source none."""
        row = y - self.pads[0]
        return [[row] if 0 <= row < maps[self.source].height else []]

    def kernel(self, setting: KernelSetting) -> Kernel:
        """The rows of the block with zero points around, above and below as far as they go."""
        zero_point = setting.program.maps[self.source].zero_point
        top, left, _, right = self.pads

        def padded(blocks: list[RowBlock], first: int, end: int) -> Data:
            data = blocks[0].data
            # Of the rows above the source those from `first` on, and no more than are asked for.
            above = min(max(top - first, 0), end - first)
            below = end - first - above - data.shape[2]
            return joins.pad(data, self.channels, (above, left, below, right), zero_point)

        return padded

    def map_kernel(self, setting: KernelSetting) -> MapKernel:
        """A map among zero points."""
        source = setting.program.maps[self.source]
        (before, _), (top, left, _, _) = self.channels, self.pads
        rows, columns = slice(top, top + source.height), slice(left, left + source.width)

        def padded(sources: Sequence[Data], out: Data) -> None:
            out[...] = source.zero_point
            out[:, rows, columns, before : before + source.channels] = sources[0]

        return MapKernel(source.dtype, padded)

    def claims(self, program: Program) -> Iterator[Claim]:
        """The widths; what fills them is the zero point of the source."""
        name, source = program.maps[self.destination].name, program.maps[self.source]
        return forms.padding(name, activation_of(source), self.channels, self.pads)

    def check(self, check: TableCheck) -> None:
        """The destination is the source with its pads."""
        (source,) = check.sources
        check.require_kept(source)
        (before, after), (top, left, bottom, right) = self.channels, self.pads
        size = [
            source.channels + before + after,
            source.height + top + bottom,
            source.width + left + right,
        ]
        positive = min(*self.channels, *self.pads) >= 0
        check.require(positive, "It pads with less than nothing.")
        made = size == list(check.target.dims)
        check.require(made, f"Its result must have the shape {size}.")


def sane(selection: Selection) -> Selection:
    """The selection of a file, if its numbers are sane.

    Raises:
        PydanticCustomError: One is not.
    """
    for runs in selection.runs:
        for first, count, step in runs:
            if not (0 <= first < 2**31 and 1 <= count < 2**31 and abs(step) < 2**31):
                text = f"{[first, count, step]} is no run of indices"
                raise PydanticCustomError("run", text)
    return selection


@register
@dataclass(frozen=True)
class Select(OneSource, Taking):
    """Takes channels, rows and columns of a map by their indices.

    Some of them, in any order, any number of times.

    Attributes:
        source: Feature map read (activations).
        destination: Feature map written.
        selection: Which ones: for channels, rows and columns runs (first, count, step) of indices.
    """

    code = 28
    lowers = "xbar.select"

    source: Index
    destination: Index
    selection: Annotated[Selection, AfterValidator(sane)]
    type: Literal["select"] = "select"

    @classmethod
    def of(cls, op: Any, lowering: Lowering) -> Self:
        """The selection of the op, already counted in channels, rows and columns."""
        return cls(lowering.sources(op)[0], lowering.destination(op), op.selection)

    def rows(self, maps: Maps, y: int) -> Sequence[Sequence[int]]:
        """The row that is taken."""
        return [[self.selection.row(y)]]

    def kernel(self, setting: KernelSetting) -> Kernel:
        """Rows by their places in the block, then channels and columns."""
        height = setting.program.maps[self.destination].height
        rows = np.array([self.selection.row(y) for y in range(height)])
        within = replace(self.selection, rows=())

        def chosen(blocks: list[RowBlock], first: int, end: int) -> Data:
            start, data = blocks[0]
            return within.apply(data[:, :, rows[first:end] - start])

        return chosen

    def map_kernel(self, setting: KernelSetting) -> MapKernel:
        """Channels, rows and columns of a map."""
        return moving(setting.program.maps[self.source].dtype, self.selection.apply)

    def claims(self, program: Program) -> Iterator[Claim]:
        """The indices of every dim in which not all is taken as it lies."""
        name, source = program.maps[self.destination].name, program.maps[self.source].name
        return forms.selection(name, source, self.selection.runs)

    def check(self, check: TableCheck) -> None:
        """What it takes is there, and makes the destination."""
        (source,) = check.sources
        check.require_kept(source)
        shape = source.dims
        if check.require(
            self.selection.fits(shape),
            f"It takes what the shape {list(shape)} of '{source.name}' lacks.",
        ):
            size = list(self.selection.shape(shape))
            made = size == list(check.target.dims)
            check.require(made, f"Its result must have the shape {size}.")


@register
@dataclass(frozen=True, eq=False)
class Constant(Computing):
    """Writes rows of activations that the table holds, the same for every sample.

    Attributes:
        destination: Feature map written.
        values: [C, H, W].
    """

    code = 29
    lowers = "xbar.constant"
    least_sources = most_sources = 0
    takes = None

    destination: Index
    values: Annotated[arrays.Ints, Stored(np.uint8, np.uint16)]
    type: Literal["constant"] = "constant"

    @property
    def sources(self) -> tuple[int, ...]:
        """It reads no map: the rows are in the table."""
        return ()

    @classmethod
    def of(cls, op: Any, lowering: Lowering) -> Self:
        """The same values, as a map."""
        return cls(lowering.destination(op), lowering.array(op.value, lowering.map_shape(op)))

    def kernel(self, setting: KernelSetting) -> Kernel:
        """The rows of one sample, which stands for all."""

        def rows(blocks: list[RowBlock], first: int, end: int) -> Data:
            return self.values[None, :, first:end]

        return rows

    def claims(self, program: Program) -> Iterator[Claim]:
        """The values, for as many samples as the reference runs at once."""
        target = program.maps[self.destination]
        return forms.fixed(target.name, program.counted_by, self.values, target.bits)

    def check(self, check: TableCheck) -> None:
        """A value for every element."""
        shape = check.target.dims
        if check.require(
            self.values.shape == shape and self.values.dtype == np.int64,
            f"Its values must be int64 {list(shape)}.",
        ):
            check.require_activations(self.values)
