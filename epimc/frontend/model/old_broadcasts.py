"""Broadcasting before opset 7: the second operand's axes lie where an attribute says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

import numpy as np
import onnx
from onnx import helper, numpy_helper

Dims: TypeAlias = Mapping[str, "list[int] | None"]
"""The sizes of tensors whose rank is known; -1 for a size that is not."""

# The opset since which operands are aligned at their last axes.
ALIGNED = 7

# Operators of two operands that broadcast.
BINARY = frozenset(
    ("Add", "And", "Div", "Equal", "Greater", "Less", "Mul", "Or", "Pow", "Sub", "Xor")
)


def is_old_broadcast(node: onnx.NodeProto, opset: int) -> bool:
    """Whether a node of an opset broadcasts in the old way, if it does."""
    return opset < ALIGNED and node.op_type in {*BINARY, "PRelu"}


def aligned(
    node: onnx.NodeProto, dims: Dims, fresh: Callable[[str], str]
) -> list[onnx.NodeProto] | None:
    """The same in opset 7, the second operand reshaped; None where its place is not known.

    Args:
        node: Of an older opset.
        dims: The sizes of its operands.
        fresh: Gives names to what is added.
    """
    first, second = (dims.get(name) for name in node.input[:2])
    stated = {item.name: item.i for item in node.attribute}
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    del copy.attribute[:]
    # One size that is not known may follow from the others.
    if first is None or second is None or second.count(-1) > 1:
        return None
    behind = 0
    if node.op_type == "PRelu":
        # A slope for each channel.
        behind = max(len(first) - 2, 0) if second != [1] else 0
    elif "axis" in stated and stated.get("broadcast", 0):
        axis = stated["axis"] + len(first) * (stated["axis"] < 0)
        behind = len(first) - axis - len(second)
    if behind < 0:
        return None
    if not behind:
        return [copy]
    shape, moved = fresh(f"{node.output[0]}.shape"), fresh(f"{node.output[0]}.aligned")
    sizes = numpy_helper.from_array(np.array([*second, *[1] * behind], np.int64), shape)
    copy.input[1] = moved
    return [
        helper.make_node("Constant", [], [shape], value=sizes),
        helper.make_node("Reshape", [node.input[1], shape], [moved]),
        copy,
    ]
