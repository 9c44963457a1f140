"""Whether an output of a model chooses among classes: its last nodes say so, or nothing does."""

from __future__ import annotations

import onnx
from onnx import ModelProto, helper

# They leave every element where it is, and the largest one the largest.
PASSING = frozenset(("Identity", "Cast", "QuantizeLinear", "DequantizeLinear"))

SHARES = frozenset(("Softmax", "LogSoftmax"))

# From this opset on Softmax works along the last axis unless it says another; before along axis 1.
LAST_BY_DEFAULT = 13


def is_of_classes(model: ModelProto, output: str) -> bool:
    """Whether an output says which class a sample is of, or how likely each class is.

    Args:
        model: The user's.
        output: The name of an output of the shape [N, classes], [N, 1] or [N].
    """
    makers = {name: node for node in model.graph.node for name in node.output if name}
    node = makers.get(output)
    # No longer than the model: it may be one that no checker has seen, with a ring of nodes.
    for _ in model.graph.node:
        if node is None or node.domain not in ("", "ai.onnx"):
            return False
        if node.op_type not in PASSING:
            break
        node = makers.get(node.input[0])
    if node is None:
        return False
    if node.op_type in SHARES:
        return axis_of(model, node) in (1, -1)
    return bool(node.op_type == "ArgMax")


def axis_of(model: ModelProto, node: onnx.NodeProto) -> int:
    """Along which axis of two a Softmax works."""
    for attribute in node.attribute:
        if attribute.name == "axis":
            return int(helper.get_attribute_value(attribute))
    versions = [entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")]
    return -1 if max(versions, default=0) >= LAST_BY_DEFAULT else 1
