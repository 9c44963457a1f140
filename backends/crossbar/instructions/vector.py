"""Instructions of the vector unit that compute each element from those at its place."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import numpy as np

from epimc.backends import forms
from epimc.backends.crossbar.core.limits import Activation, Index
from epimc.backends.crossbar.core.program import Maps, Program
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
    MOST_SOURCES,
    Lowering,
    OneSource,
    Sources,
    Stored,
    TableCheck,
    term_of,
)
from epimc.backends.forms import Claim
from epimc.ir.semantics import elementwise, requantization
from epimc.ir.semantics.arrays import Ints

if TYPE_CHECKING:
    # Machine code is loaded where something is simulated.
    from epimc.backends.crossbar.compiled.requantize import Rescaling

Pair = tuple[Index, Index]


@register
@dataclass(frozen=True, eq=False)
class Requantize(Computing):
    """Accumulators or activations to activations, the only rounding.

    clamp(zero point + floor((sum of (source - its zero point) * multiplier + offset + 2^(s-1)) /
    2^s), low, high), by channel.

    Attributes:
        sources: Feature maps, accumulators or activations, of the destination's shape.
        destination: Feature map written (activations).
        multipliers: [sources, C], of at most 31 bits and a sign.
        shifts: [C], from 1 to 62.
        low: Smallest result.
        high: Largest result.
        offsets: [C], added before the shift.
    """

    code = 17
    lowers = "xbar.requantize"
    most_sources = MOST_SOURCES
    takes = None
    rescales = True
    sources_doc = "Rings, as many as the table has sources, with the rows of the source maps."

    sources: Sources
    destination: Index
    multipliers: Annotated[Ints, Stored(np.int32)]
    shifts: Annotated[Ints, Stored(np.int32)]
    low: Activation
    high: Activation
    offsets: Annotated[Ints, Stored(np.int64)]
    type: Literal["requantize"] = "requantize"

    @classmethod
    def of(cls, op: Any, lowering: Lowering) -> Self:
        """The op's numbers as int64; offsets are 0 where it has none."""
        return cls(
            lowering.sources(op),
            lowering.destination(op),
            lowering.array(op.multipliers),
            lowering.array(op.shifts),
            op.low,
            op.high,
            op.added(lowering.array),
        )

    def kernel(self, setting: KernelSetting) -> Kernel:
        """Every source less its zero point, then multiplied, added up, shifted and clamped."""
        maps = setting.program.maps
        zero_points = [maps[source].zero_point for source in self.sources]
        zero_point = maps[self.destination].zero_point
        # Most have none: an addition of zeros to every element is saved.
        offsets = self.offsets if self.offsets.any() else None

        def activations(blocks: list[RowBlock], first: int, end: int) -> Data:
            terms = [
                # Accumulators have the zero point 0 and are int64 already: they are not copied.
                block.data.astype(np.int64) - zero
                if zero
                else block.data.astype(np.int64, copy=False)
                for block, zero in zip(blocks, zero_points, strict=True)
            ]
            return requantization.requantize(
                terms, self.multipliers, self.shifts, zero_point, self.low, self.high, offsets
            )

        return activations

    def rescaling(self, maps: Maps, place: int = 0) -> Rescaling:
        """All its numbers."""
        from epimc.backends.crossbar.compiled.requantize import Rescaling

        target = maps[self.destination]
        return Rescaling(
            self.multipliers,
            self.shifts,
            self.offsets,
            [maps[source].zero_point for source in self.sources],
            target.zero_point,
            self.low,
            self.high,
            target.dtype,
            place,
        )

    def map_kernel(self, setting: KernelSetting) -> MapKernel:
        """All elements in vectors."""
        rescaling = self.rescaling(setting.program.maps)
        return MapKernel(rescaling.dtype, rescaling)

    def claims(self, program: Program) -> Iterator[Claim]:
        """Multipliers, shifts, offsets and bounds."""
        result = program.maps[self.destination]
        to = forms.Rescaling(
            multipliers=self.multipliers,
            shifts=self.shifts,
            offsets=self.offsets,
            bits=result.bits,
            zero_point=result.zero_point,
            low=self.low,
            high=self.high,
        )
        terms = [term_of(program.maps[source]) for source in self.sources]
        return forms.requantization(result.name, terms, to)

    def check(self, check: TableCheck) -> None:
        """Shapes, and numbers that the vector unit takes."""
        check.require_same_shape(check.sources)
        target = check.target
        arrays = (self.multipliers, self.shifts, self.offsets)
        expected = [(len(self.sources), target.channels), (target.channels,), (target.channels,)]
        if check.require(
            [a.shape for a in arrays] == expected
            and {a.dtype for a in arrays} == {np.dtype(np.int64)},
            "Its multipliers must be int64 [sources, channels], its shifts and offsets int64 "
            "[channels].",
        ):
            shifts = bool(
                ((self.shifts >= 1) & (self.shifts <= requantization.MAXIMUM_SHIFT)).all()
            )
            check.require(shifts, f"A shift lies outside [1, {requantization.MAXIMUM_SHIFT}].")
            limit = 2**requantization.MULTIPLIER_BITS
            sizes = bool((np.abs(self.multipliers) < limit).all())
            check.require(sizes, f"A multiplier lies outside [{1 - limit}, {limit - 1}].")
        check.require(
            0 <= self.low <= self.high < 2**target.bits,
            f"Its bounds {self.low} and {self.high} are no range of {target.bits}-bit activations.",
        )

    def check_sums(self, check: TableCheck, bounds: Mapping[int, Ints]) -> None:
        """No sum exceeds 63 bits, whatever the inputs."""
        # Python's integers: the products have up to 2 * 63 bits.
        total = 2 ** (self.shifts.astype(object) - 1) + abs(self.offsets.astype(object))
        for index, source, factors in zip(
            self.sources, check.sources, self.multipliers, strict=True
        ):
            # Activations less their zero point are at most as large as all their values.
            bound = bounds.get(index, np.full(source.channels, 2**source.bits - 1))
            total = total + bound.astype(object) * abs(factors.astype(object))
        check.require(
            max(total) < 2**63, "Its accumulators times its multipliers may exceed 63 bits."
        )


@register
@dataclass(frozen=True)
class Add(Computing):
    """Adds the accumulators of two parts of one layer.

    Attributes:
        sources: The feature maps of the two parts.
        destination: Feature map written (accumulators).
    """

    code = 20
    lowers = "xbar.add"
    least_sources = most_sources = 2
    takes = makes = ACCUMULATORS
    joins_parts = True
    sources_doc = "The two rings of accumulators."

    sources: Pair
    destination: Index
    type: Literal["add"] = "add"

    @classmethod
    def of(cls, op: Any, lowering: Lowering) -> Self:
        """The maps of the two parts, in the order of the op."""
        first, second = lowering.sources(op)
        return cls((first, second), lowering.destination(op))

    def kernel(self, setting: KernelSetting) -> Kernel:
        """The sum in int64, which the checker has seen to hold it."""

        def accumulators(blocks: list[RowBlock], first: int, end: int) -> Data:
            total: Data = blocks[0].data + blocks[1].data
            return total

        return accumulators

    def map_kernel(self, setting: KernelSetting) -> MapKernel:
        """The same sum of narrower accumulators."""

        def accumulators(sources: Sequence[Data], out: Data) -> None:
            np.add(sources[0], sources[1], out=out)

        return MapKernel(np.dtype(np.int64), accumulators)

    def claims(self, program: Program) -> Iterator[Claim]:
        """Nothing: what it adds are parts of a layer that the reference has in one piece."""
        return iter(())

    def check(self, check: TableCheck) -> None:
        """Two maps of one shape."""
        first, second = self.sources
        check.require(first != second, "It must add two different maps.")
        check.require_same_shape(check.sources)


@register
@dataclass(frozen=True)
class Multiply(Computing):
    """Multiplies activations less their zero points: activations to accumulators.

    Element by element or, by a map [C, 1, 1], whole channels.

    Attributes:
        sources: The feature maps; the second is of the first one's shape, or [C, 1, 1].
        destination: Feature map written (accumulators).
    """

    code = 24
    lowers = "xbar.multiply"
    least_sources = most_sources = 2
    makes = ACCUMULATORS
    sources_doc = (
        "The two rings of activations; a map [C, 1, 1] as the second gives its one row every time."
    )

    sources: Pair
    destination: Index
    type: Literal["multiply"] = "multiply"

    @classmethod
    def of(cls, op: Any, lowering: Lowering) -> Self:
        """The maps of the two factors; the second may have one number a channel."""
        first, second = lowering.sources(op)
        return cls((first, second), lowering.destination(op))

    def rows(self, maps: Maps, y: int) -> Sequence[Sequence[int]]:
        """The same row, or the one row that there is."""
        return [[min(y, maps[source].height - 1)] for source in self.sources]

    def kernel(self, setting: KernelSetting) -> Kernel:
        """The product of both less their zero points, in int64."""
        first_zero, second_zero = (setting.program.maps[s].zero_point for s in self.sources)

        def accumulators(blocks: list[RowBlock], first: int, end: int) -> Data:
            a, b = (block.data.astype(np.int64) for block in blocks)
            return elementwise.multiply(a, b, (first_zero, second_zero))

        return accumulators

    def map_kernel(self, setting: KernelSetting) -> MapKernel:
        """The product of a map."""
        from epimc.backends.crossbar.compiled.elementwise import multiply

        maps = setting.program.maps
        first_zero, second_zero = (maps[source].zero_point for source in self.sources)

        def accumulators(sources: Sequence[Data], out: Data) -> None:
            multiply(sources[0], sources[1], (first_zero, second_zero), out)

        return MapKernel(accumulator_type(self.bound(maps)), accumulators)

    def claims(self, program: Program) -> Iterator[Claim]:
        """The zero points of the factors."""
        terms = [term_of(program.maps[source]) for source in self.sources]
        return forms.product(program.maps[self.destination].name, terms)

    def check(self, check: TableCheck) -> None:
        """Two maps of one shape, or a map and a number for each of its channels."""
        first, second = check.sources
        channelwise = second.dims == (check.target.channels, 1, 1)
        check.require_same_shape([first] if channelwise else [first, second])

    def bound(self, maps: Maps) -> int:
        """The product of the largest magnitudes."""
        return math.prod(2 ** maps[source].bits - 1 for source in self.sources)


@register
@dataclass(frozen=True, eq=False)
class Lookup(OneSource, Computing):
    """Replaces each activation by what the table, or its row for the channel, has for it.

    Attributes:
        source: Feature map read (activations).
        destination: Feature map written, of the same shape.
        values: [1, 2^bits of source], or [C, 2^bits] with a row for each channel.
    """

    code = 25
    lowers = "xbar.lookup"

    source: Index
    destination: Index
    values: Annotated[Ints, Stored(np.uint8, np.uint16)]
    type: Literal["lookup"] = "lookup"

    @classmethod
    def of(cls, op: Any, lowering: Lowering) -> Self:
        """The values of the op, as int64."""
        return cls(lowering.sources(op)[0], lowering.destination(op), lowering.array(op.table))

    def kernel(self, setting: KernelSetting) -> Kernel:
        """Each activation is the index of its result, in its channel's row if there are several."""

        def activations(blocks: list[RowBlock], first: int, end: int) -> Data:
            return elementwise.lookup(blocks[0].data, self.values)

        return activations

    def map_kernel(self, setting: KernelSetting) -> MapKernel:
        """The look-ups of a map."""
        from epimc.backends.crossbar.compiled.elementwise import lookup

        values = self.values.astype(setting.program.maps[self.destination].dtype)

        def activations(sources: Sequence[Data], out: Data) -> None:
            lookup(sources[0], values, out)

        return MapKernel(values.dtype, activations)

    def claims(self, program: Program) -> Iterator[Claim]:
        """The values, every one: samples need not reach them all."""
        target, source = program.maps[self.destination], program.maps[self.source].name
        return forms.look_up(target.name, source, self.values, target.bits)

    def check(self, check: TableCheck) -> None:
        """A value for every activation of the source, an activation of the destination."""
        (source,) = check.sources
        check.require_same_shape([source])
        shapes = [(rows, 2**source.bits) for rows in (1, source.channels)]
        if check.require(
            self.values.shape in shapes and self.values.dtype == np.int64,
            f"Its values must be int64 [1 or {source.channels}, {2**source.bits}].",
        ):
            check.require_activations(self.values)
