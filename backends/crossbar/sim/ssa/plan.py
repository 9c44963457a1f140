"""A plan: the steps of a program in an order in which they can be done, and what they need.

The checker has seen that each row of each map is computed once, by the one table that makes the
map, and that every read finds the row that it expects.  So the rings of a program are whole maps,
and its tables, in any order in which sources come first, give what the streams give.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from epimc.backends.crossbar.core.program import Program, ProgramTable
from epimc.backends.crossbar.sim.ssa.steps import AnyStep, Step
from epimc.backends.crossbar.sim.ssa.values import Arenas, Layout, Value


@dataclass(frozen=True)
class Plan:
    """Steps in order, and where their maps lie.

    Attributes:
        steps: What is done, in this order.
        layout: Of all maps that the steps and the ports name, but for tokens.
        arenas: Memory of this layout.
    """

    steps: tuple[AnyStep, ...]
    layout: Layout
    arenas: Arenas


def ordered(tables: Sequence[ProgramTable]) -> list[ProgramTable]:
    """Tables, each behind those that make its sources, and else as they come."""
    makers = {table.destination: number for number, table in enumerate(tables)}
    needed = [{makers[s] for s in table.sources if s in makers} for table in tables]
    readers: list[list[int]] = [[] for _ in tables]
    for number, sources in enumerate(needed):
        for source in sources:
            readers[source].append(number)
    waiting = [len(sources) for sources in needed]
    ready = [number for number, count in enumerate(waiting) if not count]
    result = []
    while ready:
        number = heapq.heappop(ready)
        result.append(tables[number])
        for reader in readers[number]:
            waiting[reader] -= 1
            if not waiting[reader]:
                heapq.heappush(ready, reader)
    return result


def planned(program: Program, steps: Iterable[AnyStep]) -> Plan:
    """A plan of steps, which come in an order in which they can be done."""
    order = tuple(steps)
    maps = program.maps
    # Inputs are there before the first step, and outputs are read behind the last.
    first = {port.map: -1 for port in program.chip_inputs}
    last = {port.map: -1 for port in program.chip_inputs}
    types = {port.map: maps[port.map].dtype for port in program.chip_inputs}
    for place, step in enumerate(order):
        first[step.destination] = last[step.destination] = place
        kind = step.dtype if isinstance(step, Step) else maps[step.destination].dtype
        types[step.destination] = kind
        last.update((source, place) for source in step.sources)
    last.update((port.map, len(order)) for port in program.chip_outputs)
    values = [
        Value(
            number,
            (maps[number].height, maps[number].width, maps[number].channels),
            types[number],
            begin,
            last[number],
        )
        for number, begin in first.items()
        if not maps[number].is_token
    ]
    layout = Layout(values)
    return Plan(order, layout, Arenas(layout))
