"""The split between chip and host, against every split that there is."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from epimc.frontend.partition import Graph, Node, Partition, Tensor, partition


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Graphs of a few nodes; a reader comes behind what it reads."""
    count = draw(st.integers(1, 7))
    nodes = tuple(
        Node(draw(st.booleans()), draw(st.sampled_from((0, 0, 0, 1, 5)))) for _ in range(count)
    )
    tensors = []
    for producer in (None, *range(count)):
        behind = range(0 if producer is None else producer + 1, count)
        for _ in range(draw(st.integers(0, 2))):
            readers = tuple(number for number in behind if draw(st.booleans()))
            size = draw(st.integers(0, 3))
            crosses = draw(st.sampled_from((True, True, True, False)))
            enters = draw(st.sampled_from((True, True, True, False)))
            tensors.append(Tensor(producer, readers, size, crosses, enters))
    return Graph(nodes, tuple(tensors))


def crosses_well(graph: Graph, chip: frozenset[int]) -> bool:
    """Whether nothing crosses that may not, and no node is where it cannot be."""
    for tensor in graph.tensors:
        if tensor.producer is None:
            continue
        sides = {reader in chip for reader in tensor.readers}
        if tensor.producer in chip and False in sides and not tensor.leaves:
            return False
        if tensor.producer not in chip and True in sides and not tensor.enters:
            return False
    return all(graph.nodes[number].on_chip for number in chip)


def bytes_of(graph: Graph, chip: frozenset[int]) -> tuple[int, int]:
    """What leaves the chip, and what enters it."""
    leaving = entering = 0
    for tensor in graph.tensors:
        readers = {reader in chip for reader in tensor.readers}
        if tensor.producer is not None and tensor.producer in chip:
            leaving += tensor.size * (False in readers)
        elif tensor.producer is not None:
            entering += tensor.size * (True in readers)
    return leaving, entering


def fewest_parts(graph: Graph, chip: frozenset[int]) -> int:
    """One more than the changes host, chip, host on the longest path; by all paths."""
    following: dict[int, list[int]] = {}
    for start, end in graph.edges():
        following.setdefault(start, []).append(end)

    best = 0
    stack = [(number, number not in chip, number not in chip, int(number not in chip))
             for number in range(len(graph.nodes))]  # fmt: skip
    while stack:
        number, on_host, was_host, count = stack.pop()
        best = max(best, count)
        for each in following.get(number, ()):
            host = each not in chip
            again = host and not on_host
            first = host and not was_host
            stack.append((each, host, was_host or host, count + (again or first)))
    return best


def score(graph: Graph, chip: frozenset[int]) -> tuple[int, int, int, int]:
    """What is best has the largest."""
    work = sum(graph.nodes[number].work for number in chip)
    return work, -sum(bytes_of(graph, chip)), len(chip), -fewest_parts(graph, chip)


def best_score(graph: Graph) -> tuple[int, int, int, int]:
    """That of the best of all splits."""
    splits = (
        frozenset(number for number, there in enumerate(sides) if there)
        for sides in product((False, True), repeat=len(graph.nodes))
    )
    return max(score(graph, chip) for chip in splits if crosses_well(graph, chip))


def check(graph: Graph, split: Partition) -> None:
    """Parts hold the host's nodes; the order keeps them together, and runs."""
    host = set(range(len(graph.nodes))) - split.chip
    assert sorted(number for part in split.parts for number in part) == sorted(host)
    assert all(part == tuple(sorted(part)) for part in split.parts)
    assert sorted(split.order) == list(range(len(graph.nodes)))
    place = {number: k for k, number in enumerate(split.order)}
    assert all(place[start] < place[end] for start, end in graph.edges())
    for part in split.parts:
        places = sorted(place[number] for number in part)
        assert places == list(range(places[0], places[0] + len(places)))
    assert (split.leaving, split.entering) == bytes_of(graph, split.chip)


@settings(max_examples=300, deadline=None)
@given(graphs())
def test_no_split_is_better(graph: Graph) -> None:
    split = partition(graph)
    assert crosses_well(graph, split.chip)
    check(graph, split)
    assert score(graph, split.chip) == best_score(graph)
    assert len(split.parts) == fewest_parts(graph, split.chip)


def chain(*sides: bool, size: int = 4) -> Graph:
    """Nodes one behind the other, on the chip or not; those that can be have work."""
    nodes = tuple(Node(side, int(side)) for side in sides)
    tensors = tuple(
        Tensor(number, (number + 1,), size, True, True) for number in range(len(sides) - 1)
    )
    return Graph(nodes, tensors)


def test_a_graph_for_the_chip_stays_in_order() -> None:
    split = partition(chain(True, True, True))
    assert split == Partition(frozenset({0, 1, 2}), (), (0, 1, 2), 0, 0)


def test_a_chain_that_leaves_and_comes_back() -> None:
    split = partition(chain(False, True, False, True, False))
    assert split.parts == ((0,), (2,), (4,))
    assert (split.leaving, split.entering) == (8, 8)


def test_branches_of_the_host_are_one_part() -> None:
    nodes = (Node(True, 1), Node(False, 0), Node(True, 1), Node(False, 0))
    tensors = (Tensor(0, (1, 2), 4, True, True), Tensor(2, (3,), 4, True, True))
    split = partition(Graph(nodes, tensors))
    assert split.parts == ((1, 3),)
    assert split.order == (0, 2, 1, 3)


def test_what_costs_more_to_bring_than_it_is_worth_stays_on_the_host() -> None:
    nodes = (Node(False, 0), Node(True, 0), Node(False, 0))
    tensors = tuple(Tensor(number, (number + 1,), 4, True, True) for number in range(2))
    split = partition(Graph(nodes, tensors))
    assert split.chip == frozenset()
    assert split.parts == ((0, 1, 2),)


def test_a_tensor_that_cannot_enter_draws_its_readers_to_the_host() -> None:
    nodes = (Node(False, 0), Node(True, 9))
    split = partition(Graph(nodes, (Tensor(0, (1,), 4, True, False),)))
    assert split.chip == frozenset()


def test_reading_before_making_is_refused() -> None:
    with pytest.raises(ValueError, match="node 0 reads what node 1 makes"):
        Graph((Node(True, 0), Node(True, 0)), (Tensor(1, (0,), 1, True, True),))


def test_it_does_not_depend_on_hashes() -> None:
    code = (
        "from tests.frontend.partition.test_partition import chain, partition;"
        "print(partition(chain(*[k % 3 > 0 for k in range(40)])))"
    )
    texts = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("0", "1")
    }
    assert len(texts) == 1
