"""Names in graphs within nodes: which a node reads from around it, and how they are changed.

A graph in an attribute, as the branches of an If are, sees the names of the graphs around it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

import onnx

from epimc.frontend.model.standard import where_of
from epimc.support.diagnostics import error

# How deep graphs may lie in one another: protobuf itself reads some more, three levels for each.
DEEPEST_GRAPHS = 24


def subgraphs(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    """The graphs in a node's attributes."""
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def nested_nodes(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    """The nodes, and all that lie in their graphs, however deep."""
    waiting = [*nodes][::-1]
    while waiting:
        node = waiting.pop()
        yield node
        waiting.extend(inner for graph in subgraphs(node) for inner in graph.node)


def refuse_deep(graph: onnx.GraphProto) -> None:
    """Raise EpimcError where graphs lie in one another deeper than what follows them goes."""
    waiting = [(node, 0) for node in graph.node]
    while waiting:
        node, depth = waiting.pop()
        if depth > DEEPEST_GRAPHS:
            raise error(
                f"The graphs of nodes lie in one another more than {DEEPEST_GRAPHS} deep.",
                where=where_of(node),
            )
        waiting.extend((inner, depth + 1) for graph in subgraphs(node) for inner in graph.node)


def defined_in(graph: onnx.GraphProto) -> set[str]:
    """The tensors that a graph itself defines: inputs, constants and results of its nodes."""
    names = {entry.name for entry in graph.input}
    names.update(tensor.name for tensor in graph.initializer)
    names.update(sparse.values.name for sparse in graph.sparse_initializer)
    names.update(name for node in graph.node for name in node.output)
    return names


def names_read(node: onnx.NodeProto) -> list[str]:
    """The tensors that a node reads, each once: its inputs, and what its graphs see around it."""
    names = dict.fromkeys(filter(None, node.input))
    for graph in subgraphs(node):
        own = defined_in(graph)
        inner = [name for each in graph.node for name in names_read(each)]
        inner.extend(output.name for output in graph.output)
        names.update(dict.fromkeys(name for name in inner if name and name not in own))
    return [*names]


def all_names(graph: onnx.GraphProto) -> set[str]:
    """The names of all tensors in a graph, and in the graphs of its nodes."""
    names = defined_in(graph)
    for node in nested_nodes(graph.node):
        names.update(node.input, node.output)
        for inner in subgraphs(node):
            names |= defined_in(inner)
    return names


def fresh_names(taken: Iterable[str]) -> Callable[[str], str]:
    """What makes of a name one that is not taken yet; what it gives is taken from then on."""
    used, numbers = set(taken), dict[str, int]()

    def fresh(name: str) -> str:
        number, made = numbers.get(name, 0), name
        while made in used:
            number += 1
            made = f"{name}__{number}"
        numbers[name] = number
        used.add(made)
        return made

    return fresh


def renamed(node: onnx.NodeProto, names: Mapping[str, str]) -> onnx.NodeProto:
    """A copy of a node in which tensors have other names, also where its graphs see them.

    Args:
        node: To copy.
        names: The new names of those that change.
    """
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    _rename(copy, names)
    return copy


def _rename(node: onnx.NodeProto, names: Mapping[str, str]) -> None:
    node.input[:] = [names.get(name, name) for name in node.input]
    node.output[:] = [names.get(name, name) for name in node.output]
    for graph in subgraphs(node):
        own = defined_in(graph)
        # What a graph defines hides the same name around it.
        seen = {name: new for name, new in names.items() if name not in own}
        for inner in graph.node:
            _rename(inner, seen)
        for output in graph.output:
            output.name = seen.get(output.name, output.name)
