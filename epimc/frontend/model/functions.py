"""Functions that a model defines: each call gives way to the nodes of the function."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import TypeAlias

import onnx
from onnx import inliner

from epimc.frontend.model.scopes import nested_nodes, refuse_deep
from epimc.frontend.model.standard import DEFAULT_DOMAINS, opsets_of, short
from epimc.support.diagnostics import error, shortened
from epimc.support.limits import DEEPEST, MOST_NODES, Budget

Key: TypeAlias = tuple[str, str, str]
"""Domain, name and overload."""


@dataclass(frozen=True)
class Extent:
    """What the calls among some nodes come to, once all of them are inlined.

    Attributes:
        nodes: How many there are then.
        size: Their bytes.
        depth: How deep calls lie in one another.
    """

    nodes: int
    size: int
    depth: int


def inlined(model: onnx.ModelProto, budget: Budget) -> onnx.ModelProto:
    """The model without calls of its own functions.

    Initializers have no contents in it: the caller has them, and they may be large.

    Args:
        model: That has passed ONNX's checker.
        budget: What the nodes may take.

    Raises:
        EpimcError: Functions call themselves, come to too many nodes, or cannot be inlined.
    """
    extent = _extent(model)
    if extent.nodes > MOST_NODES:
        raise error(
            f"The model has {extent.nodes} nodes with its functions inlined; "
            f"the limit is {MOST_NODES}."
        )
    if extent.depth > DEEPEST:
        raise error(f"The model's functions call one another more than {DEEPEST} deep.")
    budget.require(extent.size, "the model with its functions inlined")
    skeleton = _without_contents(model)
    for function in skeleton.functions:
        _adopt_opsets(function, opsets_of(model))
    try:
        result = inliner.inline_local_functions(skeleton)
    # It is C++ behind a binding: what does not fit is a RuntimeError, or a message too deep.
    except Exception as problem:
        raise error(
            "The functions of the model cannot be inlined.", notes=[short(str(problem))]
        ) from None
    refuse_deep(result.graph)
    left = {_key(function) for function in result.functions}
    for node in nested_nodes(result.graph.node):
        if (key := _called(node)) in left:
            raise error(
                f"The function {_shown(key)} cannot be inlined: it uses other opsets than the "
                "model.",
                hint="Export the model with one opset, or inline its functions with onnx.inliner.",
            )
    return result


def _without_contents(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy whose initializers have nothing but their names, so that none is made anew."""
    copy = onnx.ModelProto(
        ir_version=model.ir_version,
        opset_import=model.opset_import,
        functions=model.functions,
        graph=onnx.GraphProto(
            name=model.graph.name,
            node=model.graph.node,
            input=model.graph.input,
            output=model.graph.output,
            value_info=model.graph.value_info,
        ),
    )
    names = [tensor.name for tensor in model.graph.initializer]
    names.extend(sparse.values.name for sparse in model.graph.sparse_initializer)
    for name in names:
        copy.graph.initializer.add(name=name, data_type=onnx.TensorProto.FLOAT, dims=[0])
    return copy


def _extent(model: onnx.ModelProto) -> Extent:
    """What the whole graph comes to, in Python's integers: calls in calls double with each level.

    Raises:
        EpimcError: A function calls itself.
    """
    functions = {_key(function): function for function in model.functions}
    calls = {
        key: [
            called for node in nested_nodes(function.node) if (called := _called(node)) in functions
        ]
        for key, function in functions.items()
    }
    try:
        order = [*TopologicalSorter(calls).static_order()]
    except CycleError as problem:
        circle = " -> ".join(_shown(key) for key in problem.args[1][::-1][:8])
        raise error(
            f"Functions of the model call themselves: {circle}.", hint="Export the model again."
        ) from None
    known: dict[Key, Extent] = {}
    for key in order:
        known[key] = _sum(functions[key].node, known)
    return _sum(model.graph.node, known)


def _sum(nodes: Iterable[onnx.NodeProto], known: Mapping[Key, Extent]) -> Extent:
    count, size, depth = 0, 0, 0
    for node in nodes:
        # With the graphs in it, and with what they call.
        size += node.ByteSize()
        for inner in nested_nodes([node]):
            called = known.get(_called(inner))
            count += 1 if called is None else called.nodes
            if called is not None:
                size, depth = size + called.size, max(depth, called.depth + 1)
    return Extent(count, size, depth)


def _adopt_opsets(function: onnx.FunctionProto, opsets: Mapping[str, int]) -> None:
    """State the model's opsets for a function whose operators mean the same in both."""
    for entry in function.opset_import:
        wanted = opsets.get("" if entry.domain in DEFAULT_DOMAINS else entry.domain)
        if wanted is not None and wanted != entry.version:
            used = [node for node in nested_nodes(function.node) if node.domain == entry.domain]
            if all(same_operator(node, entry.version, wanted) for node in used):
                entry.version = wanted


def same_operator(node: onnx.NodeProto, first: int, second: int) -> bool:
    """Whether an operator of ONNX is the same in two opsets of its domain."""
    try:
        schemas = [
            onnx.defs.get_schema(node.op_type, version, node.domain) for version in (first, second)
        ]
    except onnx.defs.SchemaError:
        return False
    return schemas[0].since_version == schemas[1].since_version


def _key(function: onnx.FunctionProto) -> Key:
    return function.domain, function.name, function.overload


def _called(node: onnx.NodeProto) -> Key:
    return node.domain, node.op_type, node.overload


def _shown(key: Key) -> str:
    return f"'{shortened('.'.join(filter(None, key[:2])))}'"
