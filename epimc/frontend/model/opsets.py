"""Models brought to a newer opset of ONNX's own operators: those that it has changed are converted.

Node by node: most operators are the same in both opsets, and nodes of other domains stay as they
are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import helper, numpy_helper, shape_inference, version_converter

from epimc.frontend.model.functions import same_operator
from epimc.frontend.model.scopes import all_names, fresh_names, nested_nodes, renamed, subgraphs
from epimc.frontend.model.standard import DEFAULT_DOMAINS, opset_of

# Since these opsets a Resize states by attributes what it did before.
RESIZE_STATES = 11

Kinds = Mapping[str, onnx.TypeProto]


class _UnconvertedError(Exception):
    """ONNX's converter does not know how."""


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
    result = onnx.ModelProto()
    result.CopyFrom(model)
    # Some of the fields that newer operators need are known to newer IR versions only.
    result.ir_version = max(model.ir_version, helper.find_min_ir_version_for(_imports(version)))
    for entry in result.opset_import:
        if entry.domain in DEFAULT_DOMAINS:
            entry.version = version
    conversion = _Conversion(own, version, fresh_names(all_names(model.graph)))
    changed = [node for node in nested_nodes(model.graph.node) if conversion.changes(node)]
    try:
        if changed:
            result.graph.CopyFrom(_typed_graph(model, conversion))
    except _UnconvertedError:
        return None
    return result


def _imports(version: int) -> list[onnx.OperatorSetIdProto]:
    return [helper.make_opsetid("", version)]


def _typed_graph(model: onnx.ModelProto, conversion: _Conversion) -> onnx.GraphProto:
    """The graph of a model, converted with the types that its tensors have."""
    try:
        inferred = shape_inference.infer_shapes(model)
    # What it cannot tell it leaves out, or says so; the types are those that are stated then.
    except (shape_inference.InferenceError, RuntimeError, ValueError):
        inferred = model
    graph = onnx.GraphProto()
    graph.CopyFrom(inferred.graph)
    conversion.graph(graph, {}, {})
    # The types of what a conversion has added are not known, and those of the rest not needed.
    del graph.value_info[:]
    graph.value_info.extend(model.graph.value_info)
    return graph


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
        if any(True for _ in subgraphs(node)):
            # An If, Loop or Scan: what is new is what more it may do.
            return [node]
        model = self.alone(node, kinds, constants)
        try:
            made = version_converter.convert_version(model, self.behind)
        # Of its own it has an exception; of what it trips over it lets C++'s through.
        except Exception as problem:
            raise _UnconvertedError(str(problem)) from None
        outer = {*node.input, *node.output, *constants}
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
        nodes = [renamed(one, names) for one in made.graph.node]
        if self.before < RESIZE_STATES <= self.behind:
            for one in nodes:
                if one.op_type == "Resize":
                    state_old_resize(one, constants)
        for one in nodes:
            one.name = one.name or node.name
        return [*added, *nodes]

    def alone(
        self, node: onnx.NodeProto, kinds: Kinds, constants: Mapping[str, onnx.TensorProto]
    ) -> onnx.ModelProto:
        """A model of a node, with the constants that it reads."""
        read = list(dict.fromkeys(filter(None, node.input)))
        graph = onnx.GraphProto(name="one", node=[node])
        for name in read:
            if name in constants:
                graph.initializer.append(constants[name])
            # In old IR versions a constant is an input too.
            entry = graph.input.add(name=name)
            if name in constants:
                tensor = constants[name]
                kind = helper.make_tensor_type_proto(tensor.data_type, tensor.dims)
                entry.type.CopyFrom(kind)
            else:
                entry.type.CopyFrom(kinds.get(name, onnx.TypeProto()))
        for name in filter(None, node.output):
            graph.output.add(name=name).type.CopyFrom(kinds.get(name, onnx.TypeProto()))
        opsets = _imports(self.before)
        version = helper.find_min_ir_version_for(opsets)
        return helper.make_model(graph, opset_imports=opsets, ir_version=version)


def state_old_resize(node: onnx.NodeProto, constants: Mapping[str, onnx.TensorProto]) -> None:
    """Have a converted Resize say which elements it takes: the converter leaves new defaults.

    Raises:
        _UnconvertedError: It rounds up along some axes and down along others, or that is not known.
    """
    stated = {item.name: item for item in node.attribute}
    node.attribute.append(helper.make_attribute("coordinate_transformation_mode", "asymmetric"))
    if stated.get("mode") is not None and stated["mode"].s != b"nearest":
        return
    tensor = constants.get(node.input[2])
    if tensor is None:
        raise _UnconvertedError("its factors are not known")
    factors = numpy_helper.to_array(tensor)
    if np.all(factors >= 1):
        rounding = "floor"
    elif np.all(factors <= 1):
        rounding = "ceil"
    else:
        raise _UnconvertedError("it enlarges and reduces")
    node.attribute.append(helper.make_attribute("nearest_mode", rounding))
