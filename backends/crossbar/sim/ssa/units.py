"""What a plan computes at once: a layer with all its parts, with its requantization behind it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from epimc.backends.crossbar.core.program import Program, ProgramTable
from epimc.backends.crossbar.instructions.mvm import Mvm
from epimc.backends.crossbar.instructions.vector import Requantize


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
    after: Requantize | None = None

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


def single_units(tables: Sequence[ProgramTable]) -> Iterator[Unit]:
    """Each table by itself, so that every map is there."""
    return map(single, tables)


def single(table: ProgramTable) -> Unit:
    """The unit of one table."""
    return Layer((table,), table.destination) if isinstance(table, Mvm) else table


def joined_units(program: Program, tables: Sequence[ProgramTable]) -> Iterator[Unit]:
    """As few units as give the outputs.

    Args:
        program: A good program.
        tables: All its tables, in an order in which they can be done.
    """
    places = {table.destination: place for place, table in enumerate(tables)}
    layers = {layer.sum: layer for layer in whole_layers(program)}
    # What only a part of a layer reads goes with it, and a layer with what requantizes it.
    dropped = {
        table.destination
        for layer in layers.values()
        for table in program.layer_tables[layer.sum]
        if table.destination != layer.sum
    }
    readers = _readers(program)
    joined: dict[int, Layer] = {}
    for table in tables:
        if isinstance(table, Requantize):
            own = [s for s in table.sources if s in layers and readers[s] == 1]
            if own:
                # The layer that comes last: the others are there when it is computed.
                last = max(own, key=places.__getitem__)
                joined[table.destination] = Layer(layers.pop(last).parts, last, table)
                dropped.add(last)
    for table in tables:
        number = table.destination
        if number not in dropped:
            yield joined.get(number) or layers.get(number) or single(table)


def whole_layers(program: Program) -> Iterator[Layer]:
    """Layers with all their parts, where nothing else reads these."""
    readers = _readers(program)
    for number, tables in program.layer_tables.items():
        parts = tuple(table for table in tables if isinstance(table, Mvm))
        inner = [table.destination for table in tables if table.destination != number]
        if parts and all(readers[index] == 1 for index in inner):
            yield Layer(parts, number)


def _readers(program: Program) -> Counter[int]:
    """How often each map is read, by tables and as an output."""
    readers = Counter(source for table in program.tables for source in table.sources)
    readers.update(port.map for port in program.outputs)
    return readers
