"""The parts of the host, against every other grouping; named graphs, and very long ones."""

from __future__ import annotations

from itertools import product

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from epimc.frontend.partition import Graph, Node, Partition, Tensor, cut, partition
from tests.frontend.partition.test_partition import bytes_of, chain, crosses_well, graphs

HOST, FREE, WORK = Node(False, 0), Node(True, 0), Node(True, 1)


def tensor(producer: int | None, *readers: int, size: int = 4) -> Tensor:
    """One that may cross either way."""
    return Tensor(producer, readers, size, leaves=True, enters=True)


def edges(graph: Graph) -> nx.DiGraph[int]:
    """The nodes, and who reads what whom has made."""
    arrows: nx.DiGraph[int] = nx.DiGraph()
    arrows.add_nodes_from(range(len(graph.nodes)))
    for each in graph.tensors:
        if each.producer is not None:
            arrows.add_edges_from((each.producer, reader) for reader in each.readers)
    return arrows


def runs(graph: Graph, group_of: dict[int, int]) -> bool:
    """Whether all nodes can run, each group at once and the others one by one."""
    groups: nx.DiGraph[tuple[bool, int]] = nx.DiGraph()
    for ends in edges(graph).edges:
        start, end = ((each in group_of, group_of.get(each, each)) for each in ends)
        if start != end:
            groups.add_edge(start, end)
    return nx.is_directed_acyclic_graph(groups)


@st.composite
def alternating(draw: st.DrawFn) -> Graph:
    """Graphs whose nodes are decided, so that many parts are needed."""
    count = draw(st.integers(1, 9))
    nodes = tuple(draw(st.sampled_from((HOST, WORK))) for _ in range(count))
    spans = [range(number + 1, min(count, number + 4)) for number in range(count)]
    readers = [tuple(each for each in span if draw(st.booleans())) for span in spans]
    return Graph(nodes, tuple(tensor(number, *many) for number, many in enumerate(readers)))


def check_parts(graph: Graph, split: Partition) -> None:
    """They can run, no path leaves one and comes back, and no smaller number of parts can run."""
    arrows = edges(graph)
    for part in split.parts:
        inside = {*part}
        behind = set().union(*(nx.descendants(arrows, number) for number in part)) - inside
        before = set().union(*(nx.ancestors(arrows, number) for number in part)) - inside
        assert behind.isdisjoint(before)
    group_of = {number: k for k, part in enumerate(split.parts) for number in part}
    assert runs(graph, group_of)
    hosts = sorted(group_of)
    fewer = product(range(len(split.parts) - 1), repeat=len(hosts)) if hosts else ()
    assert not any(runs(graph, dict(zip(hosts, labels, strict=True))) for labels in fewer)


@settings(max_examples=150, deadline=None)
@given(graphs() | alternating())
def test_no_grouping_has_fewer_parts(graph: Graph) -> None:
    check_parts(graph, partition(graph))


@settings(max_examples=150, deadline=None)
@given(graphs())
def test_only_one_split_is_best(graph: Graph) -> None:
    count = len(graph.nodes)
    sets = (frozenset(n for n in range(count) if code >> n & 1) for code in range(2**count))
    ranks = {
        chip: (sum(graph.nodes[n].work for n in chip), -sum(bytes_of(graph, chip)), len(chip))
        for chip in sets
        if crosses_well(graph, chip)
    }
    best = max(ranks.values())
    assert [chip for chip, rank in ranks.items() if rank == best] == [partition(graph).chip]


def test_a_diamond_of_chip_and_host() -> None:
    nodes = (WORK, HOST, WORK, WORK)
    graph = Graph(nodes, (tensor(0, 1, 2), tensor(1, 3), tensor(2, 3)))
    assert partition(graph) == Partition(frozenset({0, 2, 3}), ((1,),), (0, 1, 2, 3), 4, 4)


def test_a_tensor_costs_its_size_once_for_many_readers() -> None:
    """To read one of 5 bytes is cheaper than to bring two of 3."""
    nodes = (WORK, FREE, FREE, HOST)
    tensors = (tensor(0, 1, 2, size=5), tensor(1, 3, size=3), tensor(2, 3, size=3))
    split = partition(Graph(nodes, tensors))
    assert (split.chip, split.leaving) == (frozenset({0}), 5)


def test_an_input_that_both_read_costs_nothing() -> None:
    graph = Graph((HOST, FREE), (tensor(None, 0, 1, size=1000),))
    assert partition(graph) == Partition(frozenset({1}), ((0,),), (0, 1), 0, 0)


def test_where_bytes_are_equal_the_chip_computes_more() -> None:
    split = partition(Graph((WORK, FREE, HOST), (tensor(0, 1), tensor(1, 2))))
    assert split.chip == {0, 1}
    split = partition(Graph((HOST, FREE, WORK), (tensor(0, 1), tensor(1, 2))))
    assert split.chip == {1, 2}


def test_work_outweighs_any_number_of_bytes() -> None:
    split = partition(Graph((HOST, WORK, HOST), (tensor(0, 1, size=10**30), tensor(1, 2))))
    assert (split.chip, split.entering) == (frozenset({1}), 10**30)


def test_what_may_not_leave_keeps_others_on_the_chip() -> None:
    """The free node follows the work, though the host would be nearer by bytes."""
    stays = Tensor(0, (1,), 1, leaves=False, enters=True)
    split = partition(Graph((WORK, FREE, HOST), (stays, tensor(1, 2, size=99))))
    assert (split.chip, split.leaving) == (frozenset({0, 1}), 99)


def test_a_part_waits_for_nodes_of_the_chip_behind_it() -> None:
    nodes = (HOST, WORK, WORK, HOST)
    split = partition(Graph(nodes, (tensor(0, 1), tensor(2, 3))))
    assert split.parts == ((0, 3),)
    assert split.order == (2, 0, 3, 1)


@pytest.mark.parametrize("count", [0, 1])
def test_a_graph_of_almost_nothing(count: int) -> None:
    assert partition(Graph((HOST,) * count, ())).parts == ((0,),) * count


def test_a_chain_of_thousands() -> None:
    count = 5000
    sides = [number % 3 > 0 for number in range(count)]
    split = partition(chain(*sides))
    assert split.parts == tuple((number,) for number in range(0, count, 3))
    assert split.order == tuple(range(count))


def test_a_long_chain_without_work_is_cut_at_its_smallest_tensor() -> None:
    count, smallest = 5000, 1234
    tensors = tuple(
        tensor(number, number + 1, size=3 if number == smallest else 7)
        for number in range(count - 1)
    )
    split = partition(Graph((WORK, *(FREE,) * (count - 2), HOST), tensors))
    assert split.chip == set(range(smallest + 1))
    assert split.leaving == 3


def branches(*lengths: int) -> Graph:
    """Between one node of the host and another, chains of free nodes."""
    nodes, tensors = [HOST], []
    end = sum(lengths) + 1
    for length in lengths:
        first = len(nodes)
        nodes += [FREE] * length
        tensors.append(tensor(0, first))
        tensors += [tensor(number, number + 1) for number in range(first, first + length - 1)]
        tensors.append(tensor(first + length - 1, end))
    return Graph((*nodes, HOST), tuple(tensors))


def test_what_is_too_much_for_a_cut_is_on_the_chip(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = branches(2, 5, 3)
    assert partition(graph).chip == frozenset()
    monkeypatch.setattr(cut, "MOST_CUT", 6)
    split = partition(graph)
    assert split.chip == {3, 4, 5, 6, 7}
    assert (split.leaving, split.entering) == (4, 4)
    check_parts(graph, split)
