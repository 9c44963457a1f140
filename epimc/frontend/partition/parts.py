"""How the nodes of the host are grouped into parts, and in which order everything runs.

A path that comes from the host, over the chip, back to the host needs a new part there.  So there
are at least as many parts as the longest path changes to the host, and no more are needed: the
number of the part, counted along paths, never falls.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import networkx as nx

from epimc.frontend.partition.cut import chip_nodes
from epimc.frontend.partition.graph import Graph, Partition


def partition(graph: Graph) -> Partition:
    """Divide a graph between chip and host.

    Best is, one after the other: most work on the chip, fewest bytes between chip and host, most
    nodes on the chip, fewest host parts.
    """
    chip = chip_nodes(graph)
    parts = host_parts(graph, chip)
    leaving, entering = crossing_bytes(graph, chip)
    return Partition(chip, parts, execution_order(graph, parts), leaving, entering)


def crossing_bytes(graph: Graph, chip: Collection[int]) -> tuple[int, int]:
    """Bytes of one sample that the host reads from the chip, and the chip from the host."""
    leaving = entering = 0
    for tensor in graph.tensors:
        if tensor.producer is None:
            continue
        sides = {reader in chip for reader in tensor.readers}
        if tensor.producer in chip:
            leaving += tensor.size if False in sides else 0
        else:
            entering += tensor.size if True in sides else 0
    return leaving, entering


def host_parts(graph: Graph, chip: Collection[int]) -> tuple[tuple[int, ...], ...]:
    """The fewest parts, in the order in which they run."""
    before: list[list[int]] = [[] for _ in graph.nodes]
    for producer, reader in graph.edges():
        before[reader].append(producer)
    # Of a node of the host its part; of one of the chip how many parts must have run before.
    levels: list[int] = []
    for number, producers in enumerate(before):
        there = number in chip
        behind = (levels[each] + (there and each not in chip) for each in producers)
        levels.append(max(behind, default=0))
    parts: dict[int, list[int]] = {}
    for number, level in enumerate(levels):
        if number not in chip:
            parts.setdefault(level, []).append(number)
    return tuple(tuple(parts[level]) for level in sorted(parts))


def execution_order(graph: Graph, parts: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    """All nodes, those of a part together, as near to the order of the graph as that allows."""
    units: list[tuple[int, ...]] = [*parts]
    inside = {number for part in parts for number in part}
    units += [(number,) for number in range(len(graph.nodes)) if number not in inside]
    unit_of = {number: k for k, unit in enumerate(units) for number in unit}
    quotient: nx.DiGraph[int] = nx.DiGraph()
    quotient.add_nodes_from(range(len(units)))
    for producer, reader in graph.edges():
        if unit_of[producer] != unit_of[reader]:
            quotient.add_edge(unit_of[producer], unit_of[reader])
    order = nx.lexicographical_topological_sort(quotient, key=lambda unit: units[unit][0])
    return tuple(number for unit in order for number in units[unit])
