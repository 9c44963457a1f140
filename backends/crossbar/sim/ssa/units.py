"""What a plan computes at once: a layer with all its parts, with its requantization behind it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from epimc.backends.crossbar.core.program import Program, ProgramTable
from epimc.backends.crossbar.instructions.computing import Computing
from epimc.backends.crossbar.instructions.layers import mvm_layers
from epimc.backends.crossbar.instructions.mvm import Mvm


@dataclass(frozen=True)
class Layer:
    """The parts of a layer that are computed as one, and the requantization of their sum.

    Attributes:
        parts: Tables that read the same map by the same window.
        sum: The map of accumulators that they add up to.
        after: What requantizes the sum; None where the accumulators are wanted.
    """

    parts: tuple[Mvm, ...]
    sum: int
    after: Computing | None = None

    @property
    def destination(self) -> int:
        """The map that it computes."""
        return self.sum if self.after is None else self.after.destination

    @property
    def source(self) -> int:
        """The map that the crossbars read."""
        return self.parts[0].source

    @property
    def terms(self) -> tuple[int, ...]:
        """The other maps that are requantized with the sum, in the order of its sources."""
        sources = () if self.after is None else self.after.sources
        return tuple(source for source in sources if source != self.sum)

    @property
    def sources(self) -> tuple[int, ...]:
        """The map that the crossbars read, then the terms."""
        return (self.source, *self.terms)


Unit = Layer | ProgramTable


def single_units(program: Program, tables: Sequence[ProgramTable]) -> Iterator[Unit]:
    """Each table by itself, so that every map is there; `tables` as `joined_units` takes them."""
    parts = _parts(program)
    return (parts.get(table.destination, table) for table in tables)


def joined_units(program: Program, tables: Sequence[ProgramTable]) -> Iterator[Unit]:
    """As few units as give the outputs.

    Args:
        program: A good program.
        tables: All its tables, in an order in which they can be done.
    """
    readers = _readers(program)
    layers = {layer.sum: layer for layer in _complete_layers(program, readers)}
    # What only a part of a layer reads goes with it, and a layer with what requantizes it.
    dropped = {
        table.destination
        for number in layers
        for table in program.layer_tables[number]
        if table.destination != number
    }
    joined: dict[int, Layer] = {}
    places = {table.destination: place for place, table in enumerate(tables)}
    for table in tables:
        if isinstance(table, Computing) and table.rescales:
            own = [s for s in table.sources if s in layers and readers[s] == 1]
            if own:
                # The layer that comes last: the others are there when it is computed.
                last = max(own, key=places.__getitem__)
                joined[table.destination] = Layer(layers.pop(last).parts, last, table)
                dropped.add(last)
    units = {**_parts(program), **layers, **joined}
    for table in tables:
        if table.destination not in dropped:
            yield units.get(table.destination, table)


def _complete_layers(program: Program, readers: Mapping[int, int]) -> Iterator[Layer]:
    """Layers with all their parts, where nothing else reads these."""
    for number, parts in mvm_layers(program).items():
        inner = {table.destination for table in program.layer_tables[number]} - {number}
        if all(readers[index] == 1 for index in inner):
            yield Layer(tuple(parts), number)


def _parts(program: Program) -> dict[int, Layer]:
    """Every part of a layer as if it were one, by the map that it computes."""
    parts = [part for layer in mvm_layers(program).values() for part in layer]
    return {part.destination: Layer((part,), part.destination) for part in parts}


def _readers(program: Program) -> Counter[int]:
    """How often each map is read, by tables and as an output."""
    readers = Counter(source for table in program.tables for source in table.sources)
    readers.update(port.map for port in program.outputs)
    return readers
