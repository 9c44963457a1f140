"""Names of nodes: ONNX lets several have one, and onnxruntime refuses them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import onnx

from epimc.frontend.model.copies import paid_copy
from epimc.frontend.model.scopes import fresh_names, nested_nodes, subgraphs
from epimc.support.diagnostics import counted, shortened
from epimc.support.limits import Budget


def graphs_in(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """A graph, and all that lie in its nodes."""
    yield graph
    for node in nested_nodes(graph.node):
        yield from subgraphs(node)


def shared_names(graph: onnx.GraphProto) -> dict[str, int]:
    """The names that several nodes of one graph have, and how many; in the order of the nodes."""
    shared: dict[str, int] = {}
    for one in graphs_in(graph):
        counts = Counter(node.name for node in one.node if node.name)
        shared |= {name: count for name, count in counts.items() if count > 1}
    return shared


def distinguish(graph: onnx.GraphProto) -> None:
    """Give nodes of one name names of their own, but for the first; in the graph itself."""
    shared = shared_names(graph)
    if not shared:
        return
    fresh = fresh_names({node.name for node in nested_nodes(graph.node)})
    for one in graphs_in(graph):
        met: set[str] = set()
        for node in one.node:
            if node.name in met:
                node.name = fresh(node.name)
            elif node.name in shared:
                met.add(node.name)


def distinct(model: onnx.ModelProto, budget: Budget) -> onnx.ModelProto:
    """The model with nodes that have names of their own.

    Args:
        model: It is left as it is, and returned where there is nothing to do.
        budget: Pays for the copy.

    Raises:
        EpimcError: The limit does not leave enough for the copy.
    """
    if not shared_names(model.graph):
        return model
    copy = paid_copy(model, budget, "the model with other names")
    distinguish(copy.graph)
    return copy


def remarks_on(model: onnx.ModelProto) -> tuple[str, ...]:
    """What a user should know of a model's names, in sentences without a full stop."""
    shared = shared_names(model.graph)
    if not shared:
        return ()
    name, count = next(iter(shared.items()))
    names = counted(len(shared), "name")
    return (
        f"nodes share {names}, as {count} have '{shortened(name)}': "
        "each but the first gets a number behind it",
    )
