"""A graph of nodes that chip or host may compute, and its split: data alone."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Tensor:
    """What one node makes, or the graph's user gives, and some nodes read.

    Attributes:
        producer: The number of the node that makes it; None for an input of the graph, which any
            node reads for nothing.
        readers: The numbers of the nodes that read it, each once.  To be an output of the graph
            makes no reader, and costs nothing.
        size: Bytes of one sample.
        leaves: Whether the host may read it where the chip makes it.
        enters: Whether the chip may read it where the host makes it.
    """

    producer: int | None
    readers: tuple[int, ...]
    size: int
    leaves: bool
    enters: bool


@dataclass(frozen=True)
class Node:
    """What is computed in one place.

    Attributes:
        on_chip: Whether the chip can compute it at all.
        work: Its multiply-accumulates by constant weights; 0 for all nodes that have none.
    """

    on_chip: bool
    work: int


@dataclass(frozen=True)
class Graph:
    """Nodes, numbered in an order in which they can run, and the tensors between them.

    Raises:
        ValueError: A tensor is read before it is made.
    """

    nodes: tuple[Node, ...]
    tensors: tuple[Tensor, ...]

    def __post_init__(self) -> None:
        for producer, reader in self.edges():
            if producer >= reader:
                raise ValueError(f"node {reader} reads what node {producer} makes")

    def edges(self) -> list[tuple[int, int]]:
        """(producer, reader) for each reader of each tensor that a node makes."""
        made = [(tensor.producer, tensor.readers) for tensor in self.tensors]
        return [(first, then) for first, many in made if first is not None for then in many]


@dataclass(frozen=True)
class Partition:
    """Which nodes run where, and when.

    Attributes:
        chip: The nodes on the chip.
        parts: The nodes of each host part, ascending; the parts in the order in which they run.
            No path leaves a part and comes back.
        order: All nodes, in an order in which they can run and the nodes of each part stand
            together.  Where no node is on the host, that of the graph.
        leaving: Bytes of one sample that the chip makes and the host reads, each tensor once.
        entering: Bytes of one sample that the host makes and the chip reads, each tensor once.
    """

    chip: frozenset[int]
    parts: tuple[tuple[int, ...], ...]
    order: tuple[int, ...]
    leaving: int
    entering: int
