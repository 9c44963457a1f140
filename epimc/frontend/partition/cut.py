"""Which nodes the chip computes: closures of what must be, and a minimum cut for the rest.

Best is, one after the other: most work on the chip, fewest bytes between chip and host, most nodes
on the chip.

- Work: a tensor that may not cross binds its nodes, so that what cannot be on the chip draws others
  to the host.  All that are not drawn may be on the chip together: all work among them is.
- Bytes: what may not cross draws others to the work, too.  Those that neither side has drawn are
  divided by a minimum cut, in which a tensor that crosses costs its size.
- Nodes: if a node is on the chip in any minimum cut, it is so in one that has all such nodes there.
  This cut is the one that leaves the host only what can reach it in the residual graph of a largest
  flow.  Every other minimum cut has fewer nodes on the chip: there are no ties.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping

import networkx as nx
from networkx.algorithms.flow import boykov_kolmogorov

from epimc.frontend.partition.graph import Graph, Tensor

# The two ends of the cut, beside nodes with numbers from 0 on.
CHIP, HOST = -1, -2

# The most nodes of a group that a cut divides, helpers and ends among them: some seconds of work.
# More would take minutes: they are all on the chip.
MOST_CUT = 2**14

Arc = tuple[int, int, int | float]
"""Start, end and capacity: what it costs that the start is on the chip and the end on the host."""


def chip_nodes(graph: Graph) -> frozenset[int]:
    """The nodes that the chip computes."""
    after_host, after_chip = consequences(graph.tensors)
    unable = [number for number, node in enumerate(graph.nodes) if not node.on_chip]
    host = closure(unable, lambda number: after_host.get(number, ()))
    working = [n for n, node in enumerate(graph.nodes) if node.work and n not in host]
    chip = closure(working, lambda number: after_chip.get(number, ()))
    sides = dict.fromkeys(host, HOST) | dict.fromkeys(chip, CHIP)
    if len(sides) < len(graph.nodes):
        for group in groups(flow_graph(graph, sides)):
            if len(group) <= MOST_CUT:
                host |= nearer_to_host(group)
    return frozenset(range(len(graph.nodes))) - host


def consequences(tensors: Iterable[Tensor]) -> tuple[dict[int, list[int]], dict[int, list[int]]]:
    """By node: what must be on the host if it is, and what must be on the chip if it is."""
    after_host: dict[int, list[int]] = {}
    after_chip: dict[int, list[int]] = {}
    for tensor in tensors:
        for start, end in bonds(tensor):
            after_chip.setdefault(start, []).append(end)
            after_host.setdefault(end, []).append(start)
    return after_host, after_chip


def bonds(tensor: Tensor) -> Iterator[tuple[int, int]]:
    """Pairs of nodes: the second must be on the chip if the first is."""
    if tensor.producer is None:
        return
    for reader in tensor.readers:
        if not tensor.leaves:
            yield tensor.producer, reader
        if not tensor.enters:
            yield reader, tensor.producer


def closure(start: Iterable[int], following: Callable[[int], Iterable[int]]) -> set[int]:
    """The nodes of the start, and all that follow from them."""
    closed = set(start)
    waiting = list(closed)
    while waiting:
        new = set(following(waiting.pop())) - closed
        closed |= new
        waiting += new
    return closed


def flow_graph(graph: Graph, sides: Mapping[int, int]) -> nx.DiGraph[int]:
    """The arcs between CHIP, HOST and the nodes that are on neither side.

    A tensor with several readers has helpers, numbered behind all nodes: it costs its size once.
    """
    flow: nx.DiGraph[int] = nx.DiGraph()
    flow.add_nodes_from((CHIP, HOST))
    helper = len(graph.nodes)
    for tensor in graph.tensors:
        if tensor.producer is None:
            continue
        producer = sides.get(tensor.producer, tensor.producer)
        readers = {sides.get(reader, reader) for reader in tensor.readers}
        price = tensor.size if tensor.leaves else math.inf
        for start, end, capacity in crossing(producer, readers, price, helper, HOST):
            add_arc(flow, start, end, capacity)
        price = tensor.size if tensor.enters else math.inf
        for end, start, capacity in crossing(producer, readers, price, helper + 1, CHIP):
            add_arc(flow, start, end, capacity)
        helper += 2
    return flow


def crossing(
    producer: int, readers: set[int], price: float, helper: int, far: int
) -> Iterator[Arc]:
    """The arcs, from the producer on, by which a tensor costs its price when it crosses to a side.

    Args:
        producer: The node that makes it, or the side that it is on.
        readers: The same for the nodes that read it.
        price: What it costs in all, however many readers are there.
        helper: A node of the cut that no other tensor uses.
        far: The side to which it crosses.
    """
    others = readers - {producer}
    if producer == far:
        return
    if far in others:
        others = {far}
    if len(others) == 1:
        yield producer, others.pop(), price
        return
    yield producer, helper, price
    for reader in sorted(others):
        yield helper, reader, math.inf


def add_arc(flow: nx.DiGraph[int], start: int, end: int, capacity: float) -> None:
    """Add a capacity to what the arc has already."""
    known = flow.get_edge_data(start, end, {"capacity": 0})["capacity"]
    flow.add_edge(start, end, capacity=known + capacity)


def groups(flow: nx.DiGraph[int]) -> Iterator[nx.DiGraph[int]]:
    """The nodes that hang together without the two ends, each time with all of their arcs.

    One cut of all groups would begin anew at the ends for each of them.
    """
    between = flow.copy()
    between.remove_nodes_from((CHIP, HOST))
    for together in nx.weakly_connected_components(between):
        group: nx.DiGraph[int] = nx.DiGraph()
        group.add_nodes_from((CHIP, HOST, *together))
        group.add_edges_from(flow.in_edges(together, data=True))
        group.add_edges_from(flow.out_edges(together, data=True))
        yield group


def nearer_to_host(flow: nx.DiGraph[int]) -> set[int]:
    """The fewest nodes that a minimum cut leaves on the host's side, HOST and helpers with them."""
    residual = boykov_kolmogorov(flow, CHIP, HOST)

    def leading(number: int) -> list[int]:
        arcs = residual.pred[number].items()
        return [start for start, arc in arcs if arc["flow"] < arc["capacity"]]

    return closure([HOST], leading)
