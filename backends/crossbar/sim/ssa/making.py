"""Steps of units: each kind of table has a function here, or is computed as its rows are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from epimc.backends.crossbar.compiled.elementwise import lookup, multiply
from epimc.backends.crossbar.compiled.pools import NO_SHARES, max_pool, sum_pool
from epimc.backends.crossbar.compiled.requantize import Rescaling
from epimc.backends.crossbar.core.program import Program
from epimc.backends.crossbar.instructions.computing import Computing, KernelSetting
from epimc.backends.crossbar.instructions.host import HostStep
from epimc.backends.crossbar.instructions.moves import Concat, Pad, Rearrange, Select
from epimc.backends.crossbar.instructions.pool import Pool
from epimc.backends.crossbar.instructions.vector import Add, Lookup, Multiply, Requantize
from epimc.backends.crossbar.sim.paths import product_of
from epimc.backends.crossbar.sim.ssa.plan import AnyStep
from epimc.backends.crossbar.sim.ssa.products import AnyProduct, product_of_layer
from epimc.backends.crossbar.sim.ssa.steps import Array, Step, by_rows, element_type
from epimc.backends.crossbar.sim.ssa.units import Layer, Unit
from epimc.ir.semantics.windows import window_shares


class Workshop:
    """Makes the steps of a program; what its tables have in common is made once."""

    def __init__(self, program: Program, path: str) -> None:
        """Take a program, and how crossbars compute, one of `paths.PATHS`."""
        self.program, self.path = program, path
        self.setting = KernelSetting(program, product_of(program.chip, path))
        self.products: dict[tuple[int, ...], AnyProduct] = {}

    def step(self, unit: Unit) -> AnyStep:
        """The step of a unit."""
        if isinstance(unit, HostStep):
            return unit
        if isinstance(unit, Layer):
            return self.layer(unit)
        make = MAKERS.get(type(unit))
        if make is not None:
            return make(self, unit)
        assert isinstance(unit, Computing)
        kind = element_type(self.program.maps[unit.destination])
        return Step(unit.destination, tuple(unit.sources), kind, by_rows(unit, self.setting))

    def layer(self, layer: Layer) -> Step:
        """The step of a layer."""
        # Plans share the products: they hold the weights.
        key = tuple(part.destination for part in layer.parts)
        if key not in self.products:
            self.products[key] = product_of_layer(self.program, layer, self.path)
        product = self.products[key]
        if layer.after is None:
            return Step(layer.sum, layer.sources, product.dtype, product.accumulate)
        rescaling = self.rescaling(layer.after, layer.after.sources.index(layer.sum))
        compute = partial(product.activations, rescaling)
        return Step(layer.destination, layer.sources, rescaling.dtype, compute)

    def rescaling(self, table: Requantize, place: int = 0) -> Rescaling:
        """The numbers of a requantization; source number `place` is that of a layer."""
        maps = self.program.maps
        target = maps[table.destination]
        return Rescaling(
            table.multipliers,
            table.shifts,
            table.offsets,
            [maps[source].zero_point for source in table.sources],
            target.zero_point,
            table.low,
            table.high,
            element_type(target),
            place,
        )


def requantizing(workshop: Workshop, table: Any) -> Step:
    """The step of a `requantize` by itself."""
    rescaling = workshop.rescaling(table)
    return Step(table.destination, table.sources, rescaling.dtype, rescaling)


def adding(workshop: Workshop, table: Any) -> Step:
    """The step of an `add`."""

    def add(sources: Sequence[Array], out: Array) -> None:
        np.add(sources[0], sources[1], out=out)

    return Step(table.destination, table.sources, np.dtype(np.int64), add)


def looking_up(workshop: Workshop, table: Any) -> Step:
    """The step of a `lookup`."""
    kind = element_type(workshop.program.maps[table.destination])
    values = np.ascontiguousarray(table.values, kind)

    def look_up(sources: Sequence[Array], out: Array) -> None:
        lookup(sources[0], values, out)

    return Step(table.destination, table.sources, kind, look_up)


def multiplying(workshop: Workshop, table: Any) -> Step:
    """The step of a `multiply`."""
    maps = workshop.program.maps
    first, second = (maps[source].zero_point for source in table.sources)

    def product(sources: Sequence[Array], out: Array) -> None:
        multiply(sources[0], sources[1], (first, second), out)

    kind = accumulators(table.bound(maps))
    return Step(table.destination, table.sources, kind, product)


def joining(workshop: Workshop, table: Any) -> Step:
    """The step of a `concat`."""
    kind, axis = element_type(workshop.program.maps[table.destination]), (3, 1, 2)[table.axis]

    def join(sources: Sequence[Array], out: Array) -> None:
        np.concatenate(sources, axis, out=out)

    return Step(table.destination, table.sources, kind, join)


def padding(workshop: Workshop, table: Any) -> Step:
    """The step of a `pad`."""
    source = workshop.program.maps[table.source]
    (before, _), (top, left, _, _) = table.channels, table.pads
    rows, columns = slice(top, top + source.height), slice(left, left + source.width)
    channels = slice(before, before + source.channels)

    def pad(sources: Sequence[Array], out: Array) -> None:
        out[...] = source.zero_point
        out[:, rows, columns, channels] = sources[0]

    return Step(table.destination, table.sources, element_type(source), pad)


def rearranging(workshop: Workshop, table: Any) -> Step:
    """The step of a `rearrange`."""
    source = workshop.program.maps[table.source]
    move = table.move(source)

    def rearrange(sources: Sequence[Array], out: Array) -> None:
        # Moves are of maps with the channels before rows and columns.
        moved = move.apply(sources[0].transpose(0, 3, 1, 2))
        out[...] = moved.transpose(0, 2, 3, 1)

    return Step(table.destination, table.sources, element_type(source), rearrange)


def selecting(workshop: Workshop, table: Any) -> Step:
    """The step of a `select`."""
    kind = element_type(workshop.program.maps[table.destination])

    def select(sources: Sequence[Array], out: Array) -> None:
        chosen = table.selection.apply(sources[0].transpose(0, 3, 1, 2))
        out[...] = chosen.transpose(0, 2, 3, 1)

    return Step(table.destination, table.sources, kind, select)


def pooling(workshop: Workshop, table: Any) -> Step:
    """The step of a `pool`."""
    maps = workshop.program.maps
    source, window = maps[table.source], table.window
    if table.kind == "max":

        def maximum(sources: Sequence[Array], out: Array) -> None:
            max_pool(sources[0], window, out)

        return Step(table.destination, table.sources, element_type(source), maximum)
    shares = NO_SHARES
    if table.counted is not None:
        _, shares = window_shares(window, table.counted, source.dims[1:])

    def sums(sources: Sequence[Array], out: Array) -> None:
        sum_pool(sources[0], window, source.zero_point, out, shares)

    return Step(table.destination, table.sources, accumulators(table.bound(maps)), sums)


def accumulators(bound: int) -> np.dtype[Any]:
    """The type of accumulators of at most some magnitude."""
    return np.dtype(np.int32 if bound < 2**31 else np.int64)


MAKERS: Mapping[type[Any], Callable[[Workshop, Any], Step]] = {
    Add: adding,
    Concat: joining,
    Lookup: looking_up,
    Multiply: multiplying,
    Pad: padding,
    Pool: pooling,
    Rearrange: rearranging,
    Requantize: requantizing,
    Select: selecting,
}
"""How the steps of tables are made, by their class."""
