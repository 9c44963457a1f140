"""An If whose condition is known: the nodes of the branch that is taken stand in its place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import onnx
from onnx import helper

from epimc.frontend.model.scopes import defined_in, renamed
from epimc.frontend.model.standard import where_of
from epimc.support.diagnostics import error


@dataclass(frozen=True)
class Branch:
    """What stands for a decided If.

    Attributes:
        nodes: In order; the last of them give the outputs of the If.
        initializers: The constants of the branch, by the names that the nodes use.
    """

    nodes: list[onnx.NodeProto]
    initializers: list[onnx.TensorProto]


def taken_branch(node: onnx.NodeProto, condition: bool, fresh: Callable[[str], str]) -> Branch:
    """The branch of an If that is taken.

    Args:
        node: The If.
        condition: Its condition.
        fresh: Makes of a name one that nothing has yet (`scopes.fresh_names`), in all calls for
            one model the same: two branches may use a name twice.

    Raises:
        EpimcError: There is no such branch, or it has not the outputs of the If.
    """
    key = "then_branch" if condition else "else_branch"
    graph = next((item.g for item in node.attribute if item.name == key), None)
    if graph is None or len(graph.output) != len(node.output):
        count = 0 if graph is None else len(graph.output)
        raise error(
            f"The {key} of the If has {count} outputs, and the If has {len(node.output)}.",
            where=where_of(node),
            hint="Export the model again.",
        )
    # Sorted, so that names depend on nothing but the model.
    names = {name: fresh(name) for name in sorted(filter(None, defined_in(graph)))}
    nodes = [renamed(inner, names) for inner in graph.node]
    for inner in nodes:
        inner.name = f"{node.name}/{inner.name}" if node.name and inner.name else inner.name
    for source, target in zip(graph.output, node.output, strict=True):
        if target:
            read = names.get(source.name, source.name)
            nodes.append(helper.make_node("Identity", [read], [target], name=target))
    return Branch(nodes, [_renamed_tensor(tensor, names) for tensor in graph.initializer])


def _renamed_tensor(tensor: onnx.TensorProto, names: dict[str, str]) -> onnx.TensorProto:
    copy = onnx.TensorProto()
    copy.CopyFrom(tensor)
    copy.name = names[tensor.name]
    return copy
