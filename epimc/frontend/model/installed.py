"""What the installed onnxruntime runs: it is asked, as no list of ours would stay true."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import onnx
from onnx import TensorProto, helper

# An IR version and an opset that all versions of onnxruntime know.
PLAIN_IR, PLAIN_OPSET = 8, 13


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


def _loads(ir_version: int, opset: int) -> bool:
    """Whether onnxruntime loads a model of one node in these versions."""
    # It takes a while to import, and is asked when a model is read.
    from epimc.runtime.guard import loads

    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("x", "y"))
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "asked", [x], [y])
    opsets = [helper.make_opsetid("", opset)]
    model = helper.make_model(graph, ir_version=ir_version, opset_imports=opsets)
    return loads(model.SerializeToString())


def typed(model: onnx.ModelProto, names: Sequence[str]) -> dict[str, onnx.TypeProto]:
    """What onnxruntime says of the types of tensors; nothing where it does not load the model."""
    return {}
