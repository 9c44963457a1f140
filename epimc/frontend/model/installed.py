"""What the installed onnxruntime runs: it is asked, as no list of ours would stay true."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from functools import cache

import onnx
from onnx import TensorProto, helper

# An IR version and an opset that all versions of onnxruntime know.
PLAIN_IR, PLAIN_OPSET = 8, 13

# Constants of so many elements may be sizes; larger ones are weights.
SMALL = 1024

# onnxruntime's words for the types of elements.
WORDS = {name.lower(): number for name, number in TensorProto.DataType.items() if number}


@cache
def newest_opset() -> int:
    """The newest opset of the default domain that ONNX knows and onnxruntime loads."""
    versions = range(onnx.defs.onnx_opset_version(), PLAIN_OPSET, -1)
    return next((opset for opset in versions if _loads(PLAIN_IR, opset)), PLAIN_OPSET)


@cache
def newest_ir() -> int:
    """The newest IR version that ONNX knows and onnxruntime loads."""
    versions = range(int(onnx.IR_VERSION), PLAIN_IR, -1)
    return next((version for version in versions if _loads(version, PLAIN_OPSET)), PLAIN_IR)


@cache
def newest_proof() -> int:
    """The newest opset in which onnxruntime runs what integer references have at every border."""
    scale, zero = (
        helper.make_tensor("s", TensorProto.FLOAT, [], [1.0]),
        helper.make_tensor("z", TensorProto.UINT8, [], [0]),
    )
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"]),
    ]
    versions = range(newest_opset(), PLAIN_OPSET, -1)
    runs = (opset for opset in versions if _loads(PLAIN_IR, opset, nodes, (scale, zero)))
    return next(runs, PLAIN_OPSET)


@cache
def knows_operator(domain: str, op_type: str, version: int) -> bool:
    """Whether onnxruntime has an operator, whatever inputs it takes.

    Args:
        domain: Another than ONNX's own.
        op_type: Its name there.
        version: Of the domain.
    """
    # It takes a while to import, and is asked when a model is read.
    from epimc.runtime.guard import UNKNOWN_OPERATOR, refused_with

    node = helper.make_node(op_type, ["x"], ["y"], domain=domain)
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    graph = helper.make_graph([node], "asked", [x], [onnx.ValueInfoProto(name="y")])
    opsets = [helper.make_opsetid("", PLAIN_OPSET), helper.make_opsetid(domain, version)]
    model = helper.make_model(graph, ir_version=PLAIN_IR, opset_imports=opsets)
    # It names the input that is wrong of one that it has.
    return UNKNOWN_OPERATOR not in refused_with(model.SerializeToString())


def _loads(
    ir_version: int,
    opset: int,
    nodes: Sequence[onnx.NodeProto] = (helper.make_node("Identity", ["x"], ["y"]),),
    constants: Sequence[TensorProto] = (),
) -> bool:
    """Whether onnxruntime loads a model of a few nodes, from x to y, in these versions."""
    # It takes a while to import, and is asked when a model is read.
    from epimc.runtime.guard import loads

    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("x", "y"))
    graph = helper.make_graph(nodes, "asked", [x], [y], constants)
    opsets = [helper.make_opsetid("", opset)]
    model = helper.make_model(graph, ir_version=ir_version, opset_imports=opsets)
    return loads(model.SerializeToString())


def typed(model: onnx.ModelProto, names: Sequence[str]) -> dict[str, onnx.TypeProto]:
    """What onnxruntime says of the types of tensors; nothing where it does not load the model.

    Args:
        model: That has these tensors.
        names: Of tensors that nodes of its own graph make.
    """
    from epimc.runtime.guard import output_types

    # Weights may be many, and of no use here but for their types and shapes; small ones may be
    # sizes.
    asked = onnx.ModelProto(
        ir_version=max(model.ir_version, PLAIN_IR),
        opset_import=model.opset_import,
        functions=model.functions,
    )
    graph = asked.graph
    graph.name = "asked"
    graph.node.extend(model.graph.node)
    constants = {tensor.name for tensor in model.graph.initializer}
    graph.input.extend(entry for entry in model.graph.input if entry.name not in constants)
    for tensor in model.graph.initializer:
        if math.prod(tensor.dims) <= SMALL:
            graph.initializer.append(tensor)
        else:
            kind = helper.make_tensor_type_proto(tensor.data_type, tensor.dims)
            graph.input.append(onnx.ValueInfoProto(name=tensor.name, type=kind))
    made = {name for node in model.graph.node for name in node.output}
    graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name in made)
    if not graph.output:
        return {}
    said = (
        (name, tensor_kind(text, shape))
        for name, text, shape in output_types(asked.SerializeToString())
    )
    return {name: made_of for name, made_of in said if made_of is not None}


def tensor_kind(text: str, shape: Sequence[int | str | None]) -> onnx.TypeProto | None:
    """The ONNX type of a tensor as onnxruntime words it; None for what is no tensor.

    Args:
        text: As in `tensor(float)`.
        shape: As far as it is known.
    """
    match = re.fullmatch(r"tensor\((\w+)\)", text)
    element = WORDS.get(match[1], 0) if match else 0
    return helper.make_tensor_type_proto(element, shape) if element else None
