"""A model of one node, for those who have a node and its inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper

from epimc.frontend.model.installed import newest_opset
from epimc.frontend.model.standard import DEFAULT_DOMAINS, KNOWN_OPSET
from epimc.support.diagnostics import error
from epimc.support.origins import place_of

OutputsInfo = Sequence[tuple[Any, Sequence[int]]]
"""The numpy type and the shape of each result, as `onnx.backend.base` passes them."""


def model_of_node(
    node: onnx.NodeProto,
    inputs: Mapping[str, Any],
    outputs: OutputsInfo | None = None,
    opset: int | None = None,
) -> onnx.ModelProto:
    """A model of one node, whose inputs are inputs of the model.

    Args:
        node: The node.
        inputs: An array for each of its inputs, by name; a sequence of ONNX is a list.
        outputs: Types of its results; None: ONNX's inference gives them.
        opset: Of the node's domain; None: the newest one that the installed ONNX knows.

    Raises:
        EpimcError: An input is no array and no list of arrays, the types of results remain unknown,
            or there are more or fewer of them than results.
    """
    ports = [helper.make_value_info(name, type_of(name, value)) for name, value in inputs.items()]
    names = [name for name in node.output if name]
    if outputs is not None and len(outputs) != len(names):
        raise error(f"The node has {len(names)} results, and {len(outputs)} are described.")
    version = opset_for(node.domain) if opset is None else opset
    graph = helper.make_graph([node], node.op_type, ports, [])
    if outputs is None:
        graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    else:
        types = [tensor_type(np.dtype(dtype), shape) for dtype, shape in outputs]
        graph.output.extend(map(helper.make_value_info, names, types))
    # The oldest version of the format that has this opset: onnxruntime may not know the newest.
    opsets = [helper.make_opsetid(node.domain, version)]
    oldest = helper.find_min_ir_version_for(opsets, ignore_unknown=True)
    model = helper.make_model(graph, opset_imports=opsets, ir_version=oldest)
    return model if outputs is not None else with_inferred_outputs(model)


def opset_for(domain: str) -> int:
    """The newest opset of a domain that is read; 1 of one that ONNX does not know."""
    if domain in DEFAULT_DOMAINS:
        return min(KNOWN_OPSET, newest_opset())
    schemas = onnx.defs.get_all_schemas_with_history()
    return max((each.since_version for each in schemas if each.domain == domain), default=1)


def with_inferred_outputs(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same model with the types of its outputs.

    Raises:
        EpimcError: ONNX does not infer the type of an output.
    """
    try:
        inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True)
    except onnx.shape_inference.InferenceError:
        inferred = model
    node = model.graph.node[0]
    for output in inferred.graph.output:
        if output.type.WhichOneof("value") is None:
            raise error(
                f"ONNX does not infer the type of '{output.name}'.",
                where=place_of(((node.op_type, node.name),)),
                hint="Describe the results: outputs_info=[(dtype, shape), …].",
            )
    return inferred


def type_of(name: str, value: Any) -> onnx.TypeProto:
    """The type of an input with this value.

    Raises:
        EpimcError: It is no array and no list of arrays.
    """
    if isinstance(value, list) and value:
        kind = type_of(name, value[0])
        if any(np.shape(each) != np.shape(value[0]) for each in value):
            # Even their rank may differ.
            kind.tensor_type.ClearField("shape")
        return helper.make_sequence_type_proto(kind)
    if not isinstance(value, np.ndarray | np.generic):
        raise error(
            f"Input '{name}' cannot be of the type {type(value).__name__}.",
            hint="Pass a numpy array, or a list of them that is not empty for a sequence.",
        )
    return tensor_type(value.dtype, value.shape)


def tensor_type(dtype: np.dtype[Any], shape: Sequence[int]) -> onnx.TypeProto:
    """A tensor's type.

    Raises:
        EpimcError: ONNX has no such elements.
    """
    try:
        elements = helper.np_dtype_to_tensor_dtype(dtype)
    except ValueError:
        raise error(f"ONNX has no tensors of {dtype}.") from None
    return helper.make_tensor_type_proto(elements, shape)
