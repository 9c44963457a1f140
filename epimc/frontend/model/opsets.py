"""Models brought to a newer opset of ONNX's own operators: those that it has changed are converted.

Node by node: most operators are the same in both opsets, and nodes of other domains stay as they
are.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import helper, numpy_helper, shape_inference, version_converter

from epimc.frontend.model.copies import paid_copy
from epimc.frontend.model.functions import same_operator
from epimc.frontend.model.installed import SMALL
from epimc.frontend.model.old_broadcasts import aligned, is_old_broadcast
from epimc.frontend.model.scopes import all_names, fresh_names, nested_nodes, renamed, subgraphs
from epimc.frontend.model.standard import DEFAULT_DOMAINS, OLDEST_OPSET, opset_of
from epimc.support.limits import Budget

# Since this opset a Resize states by attributes what it did before.
RESIZE_STATES = 11

# What the converter takes for unchanged, and is not, with the opset since which.
CHANGED: Mapping[str, int] = {"GroupNormalization": 21, "Scan": 9}

# What the converter takes for unchanged, and changes as another operator does, which it converts.
CHANGED_ALIKE: Mapping[str, str] = {"Hardmax": "Softmax"}

Kinds = Mapping[str, onnx.TypeProto]


class _UnconvertedError(Exception):
    """ONNX's converter does not know how."""


# Of which what is added to a model without ONNX's own operators is.
ADDED_OPSET = 21


def at_opset(model: onnx.ModelProto, version: int) -> onnx.ModelProto | None:
    """The model in a newer opset; itself where that is its own, None where it cannot be.

    Args:
        model: Without functions; it is left as it is.
        version: Of the operators of ONNX itself.
    """
    own = opset_of(model)
    if own is None or own > version:
        return None
    if own == version:
        return model
    conversion = _Conversion(own, version, fresh_names(all_names(model.graph)))
    nodes: Sequence[onnx.NodeProto] = model.graph.node
    if any(conversion.changes(node) for node in nested_nodes(nodes)):
        graph = _typed_graph(model)
        try:
            conversion.graph(graph, {}, {})
        except _UnconvertedError:
            return None
        nodes = graph.node
    result = onnx.ModelProto()
    result.CopyFrom(model)
    del result.graph.node[:]
    result.graph.node.extend(nodes)
    # Some of the fields that newer operators need are known to newer IR versions only.
    result.ir_version = max(model.ir_version, _oldest_ir(version))
    for entry in result.opset_import:
        if entry.domain in DEFAULT_DOMAINS:
            entry.version = version
    return result


def in_older_opset(model: onnx.ModelProto, version: int) -> onnx.ModelProto | None:
    """The model in an older opset; None where one of its operators is another there."""
    own = opset_of(model)
    plain = (node for node in nested_nodes(model.graph.node) if node.domain in DEFAULT_DOMAINS)
    if own is None or not all(same_operator(node, own, version) for node in plain):
        return None
    result = onnx.ModelProto()
    result.CopyFrom(model)
    for entry in result.opset_import:
        if entry.domain in DEFAULT_DOMAINS:
            entry.version = version
    return result


def _oldest_ir(version: int) -> int:
    """The oldest IR version in which a model of an opset may be."""
    # Of opsets before 7 ONNX's own table lacks some; all of them came with one IR version.
    return helper.find_min_ir_version_for([helper.make_opsetid("", max(version, OLDEST_OPSET))])


def _typed_graph(model: onnx.ModelProto) -> onnx.GraphProto:
    """A copy of a model's graph without its weights, with types of tensors as far as ONNX tells."""
    light = onnx.ModelProto(ir_version=model.ir_version, opset_import=model.opset_import)
    graph = light.graph
    graph.name = model.graph.name
    graph.node.extend(model.graph.node)
    graph.output.extend(model.graph.output)
    graph.value_info.extend(model.graph.value_info)
    constants = {tensor.name for tensor in model.graph.initializer}
    graph.input.extend(entry for entry in model.graph.input if entry.name not in constants)
    for tensor in model.graph.initializer:
        kind = helper.make_tensor_type_proto(tensor.data_type, tensor.dims)
        # In old IR versions a constant is an input too; in the new ones it may be.
        graph.input.append(onnx.ValueInfoProto(name=tensor.name, type=kind))
        if math.prod(tensor.dims) <= SMALL:
            graph.initializer.append(tensor)
    try:
        return shape_inference.infer_shapes(light).graph
    # What it cannot tell it leaves out, or says so; the types are those that are stated then.
    except (shape_inference.InferenceError, RuntimeError, ValueError):
        return graph


def with_default_opset(model: onnx.ModelProto, budget: Budget) -> onnx.ModelProto:
    """A model that names an opset of ONNX's own operators, as what is made of it uses them.

    Args:
        model: Without such operators if it names none; it is left as it is.
        budget: Pays for the copy.

    Raises:
        EpimcError: The limit does not leave enough for the copy.
    """
    if opset_of(model) is not None:
        return model
    copy = paid_copy(model, budget, "the model with an opset")
    copy.opset_import.append(helper.make_opsetid("", ADDED_OPSET))
    return copy


def readable(model: onnx.ModelProto, budget: Budget) -> onnx.ModelProto:
    """A model of an opset that importers know, where it is of an older one and can be converted.

    Args:
        model: It is left as it is.
        budget: Pays for the copy.

    Raises:
        EpimcError: The limit does not leave enough for the copy.
    """
    if (opset_of(model) or OLDEST_OPSET) >= OLDEST_OPSET:
        return model
    budget.read(model.ByteSize(), "the model in a newer opset")
    # What cannot be converted may run as it is.
    return at_opset(model, OLDEST_OPSET) or model


@dataclass(frozen=True)
class _Conversion:
    """From one opset to another.

    Attributes:
        before: The opset of the nodes.
        behind: The opset that they get.
        fresh: Gives names to what is added.
    """

    before: int
    behind: int
    fresh: Callable[[str], str]

    def changes(self, node: onnx.NodeProto) -> bool:
        """Whether a node's operator is another in the new opset; what lies in it does not count."""
        return node.domain in DEFAULT_DOMAINS and not same_operator(node, self.before, self.behind)

    def graph(
        self, graph: onnx.GraphProto, kinds: Kinds, constants: Mapping[str, onnx.TensorProto]
    ) -> None:
        """Convert the nodes of a graph in its place.

        Args:
            graph: With the types of its tensors, as far as they are known.
            kinds: The types of those around it.
            constants: The constants around it.

        Raises:
            _UnconvertedError: A node cannot be converted.
        """
        entries = (*graph.input, *graph.value_info, *graph.output)
        kinds = {**kinds, **{entry.name: entry.type for entry in entries}}
        constants = {**constants, **{tensor.name: tensor for tensor in graph.initializer}}
        nodes: list[onnx.NodeProto] = []
        for node in graph.node:
            for inner in subgraphs(node):
                self.graph(inner, kinds, constants)
            nodes.extend(self.node(node, kinds, constants) if self.changes(node) else [node])
        copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
        del graph.node[:]
        graph.node.extend(copies)

    def node(
        self, node: onnx.NodeProto, kinds: Kinds, constants: Mapping[str, onnx.TensorProto]
    ) -> list[onnx.NodeProto]:
        """What stands for a node in the new opset.

        Raises:
            _UnconvertedError: It cannot be converted.
        """
        if is_old_broadcast(node, self.before):
            return self.old_broadcast(node, kinds)
        if self.before < CHANGED.get(node.op_type, 0) <= self.behind:
            raise _UnconvertedError(node.op_type)
        if any(True for _ in subgraphs(node)):
            # An If, Loop or Scan: what is new is what more it may do.
            return [node]
        model = self.alone(node, kinds, constants)
        alike = CHANGED_ALIKE.get(node.op_type, node.op_type)
        model.graph.node[0].op_type = alike
        try:
            made = version_converter.convert_version(model, self.behind)
        # Of its own it has an exception; of what it trips over it lets C++'s through.
        except Exception as problem:
            raise _UnconvertedError(str(problem)) from None
        outer = {*node.input, *node.output}
        names = {
            name: self.fresh(name)
            for name in sorted(all_names(made.graph))
            if name and name not in outer
        }
        added = [
            helper.make_node("Constant", [], [names[tensor.name]], value=tensor)
            for tensor in made.graph.initializer
            if tensor.name in names
        ]
        nodes = [*added, *(renamed(one, names) for one in made.graph.node)]
        if self.before < RESIZE_STATES <= self.behind:
            state_old_resizes(nodes, constants)
        for one in nodes:
            one.op_type = node.op_type if one.op_type == alike else one.op_type
        return nodes

    def old_broadcast(self, node: onnx.NodeProto, kinds: Kinds) -> list[onnx.NodeProto]:
        """What stands for a node that broadcasts as before opset 7.

        Raises:
            _UnconvertedError: The shapes of its operands are not known.
        """
        dims = {name: sizes_of(kinds.get(name)) for name in node.input}
        nodes = aligned(node, dims, self.fresh)
        if nodes is None:
            raise _UnconvertedError(node.op_type)
        # Later opsets have only added types to them.
        return nodes

    def alone(
        self, node: onnx.NodeProto, kinds: Kinds, constants: Mapping[str, onnx.TensorProto]
    ) -> onnx.ModelProto:
        """A model of a node, with the constants that it reads."""
        graph = onnx.GraphProto(name="one", node=[node])
        for name in dict.fromkeys(filter(None, node.input)):
            kind = kinds.get(name, onnx.TypeProto())
            if name in constants:
                tensor = constants[name]
                kind = helper.make_tensor_type_proto(tensor.data_type, tensor.dims)
                graph.initializer.append(tensor)
            graph.input.add(name=name).type.CopyFrom(kind)
        for name in filter(None, node.output):
            graph.output.add(name=name).type.CopyFrom(kinds.get(name, onnx.TypeProto()))
        opsets = [helper.make_opsetid("", self.before)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=_oldest_ir(self.before))


def sizes_of(kind: onnx.TypeProto | None) -> list[int] | None:
    """The sizes of a tensor whose rank is known; -1 for one that is not."""
    if kind is None or not kind.tensor_type.HasField("shape"):
        return None
    dims = kind.tensor_type.shape.dim
    return [dim.dim_value if dim.HasField("dim_value") else -1 for dim in dims]


def state_old_resizes(
    nodes: Sequence[onnx.NodeProto], constants: Mapping[str, onnx.TensorProto]
) -> None:
    """Have converted Resizes say which elements they take: the converter leaves new defaults.

    Raises:
        _UnconvertedError: One rounds up along some axes and down along others, or its factors are
            not known.
    """
    known = {
        node.output[0]: item.t for node in nodes for item in node.attribute if item.HasField("t")
    }
    for node in nodes:
        if node.op_type != "Resize":
            continue
        mode = next((item.s for item in node.attribute if item.name == "mode"), b"nearest")
        stated = {"coordinate_transformation_mode": "asymmetric"}
        if mode == b"nearest":
            stated["nearest_mode"] = rounding_of({**constants, **known}.get(node.input[2]))
        node.attribute.extend(helper.make_attribute(*item) for item in stated.items())


def rounding_of(factors: onnx.TensorProto | None) -> str:
    """How a Resize of opset 10 rounds: down where it enlarges, up where it reduces.

    Raises:
        _UnconvertedError: It does both, or it is not known.
    """
    array = np.zeros(0) if factors is None else numpy_helper.to_array(factors)
    if array.size and np.all(array >= 1):
        return "floor"
    if array.size and np.all(array <= 1):
        return "ceil"
    raise _UnconvertedError("Resize")
