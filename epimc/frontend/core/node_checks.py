"""What is checked of a node before anything computes with it.

ONNX's own code, in C++, indexes and allocates by what a node says, and some of it ends the process
where that is wrong.  So no number of a node reaches it, or numpy, beyond the declared limits.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import onnx

from epimc.frontend.core.bindings import Binding, type_of
from epimc.frontend.model.standard import where_of
from epimc.support.diagnostics import EpimcError, error
from epimc.support.limits import LARGEST_NUMBER

# Attributes that may hold any integer: one of data, or the largest that stands for "to the end".
OPEN_ENDED = {
    ("Slice", "starts"),
    ("Slice", "ends"),
    ("Shape", "start"),
    ("Shape", "end"),
    ("TfIdfVectorizer", "pool_int64s"),
}

# Operators whose integer inputs are sizes, pads, counts or axes, and the first of those inputs.
FIRST_SIZE: Mapping[str, int] = {
    "ConstantOfShape": 0,
    "Expand": 1,
    "Pad": 1,
    "ReduceMax": 1,
    "ReduceMean": 1,
    "ReduceMin": 1,
    "ReduceProd": 1,
    "ReduceSum": 1,
    "Reshape": 1,
    "Resize": 1,
    "Split": 1,
    "Squeeze": 1,
    "Tile": 1,
    "Unsqueeze": 1,
    "Upsample": 1,
}

# Operators with one axis, and how far beyond the last axis of their input it may lie.
AXES: Mapping[str, int] = {"Concat": 0, "Flatten": 1, "Gather": 0, "Softmax": 0, "Split": 0}


def check_node(node: onnx.NodeProto, inputs: Mapping[str, Binding], batch: int) -> None:
    """Check the attributes of a node of a supported operator, and the sizes among its inputs.

    Args:
        node: As the model has it.
        inputs: What its inputs are, by name.
        batch: What ONNX shapes have on axis 0.

    Raises:
        EpimcError: An attribute refers to one of a function, a number is beyond the limits, an
            axis is not there, or the number of outputs is not that of the parts.
    """
    for attribute in node.attribute:
        _check_attribute(node, attribute)
    first = FIRST_SIZE.get(node.op_type, len(node.input))
    for name in node.input[first:]:
        array = inputs.get(name)
        if isinstance(array, np.ndarray) and array.dtype.kind in "iu" and array.size:
            _check_numbers(node, f"input '{name}'", (int(array.min()), int(array.max())))
    _check_axis(node, inputs, batch)
    if node.op_type == "Split":
        _check_parts(node, inputs)


def _check_attribute(node: onnx.NodeProto, attribute: onnx.AttributeProto) -> None:
    if attribute.ref_attr_name:
        raise error(
            f"Attribute '{attribute.name}' refers to an attribute of a function, "
            "and the node is in none.",
            where=where_of(node),
            hint="Export the model again, or inline its functions with onnx.inliner.",
        )
    if node.op_type != "Constant" and (node.op_type, attribute.name) not in OPEN_ENDED:
        numbers = attribute.ints or (attribute.i,)
        _check_numbers(node, attribute.name, (min(numbers), max(numbers)))


def _check_numbers(node: onnx.NodeProto, what: str, numbers: Iterable[int]) -> None:
    for number in numbers:
        if abs(number) > LARGEST_NUMBER:
            raise _wrong(node, f"{what} holds {number}; the limit is {LARGEST_NUMBER}.")


def _check_axis(node: onnx.NodeProto, inputs: Mapping[str, Binding], batch: int) -> None:
    beyond = AXES.get(node.op_type)
    binding = inputs.get(node.input[0]) if node.input else None
    kind = None if binding is None else type_of(binding, batch)
    if beyond is None or kind is None or not kind.tensor_type.HasField("shape"):
        return
    rank = len(kind.tensor_type.shape.dim)
    for attribute in node.attribute:
        if attribute.name == "axis" and not -rank <= attribute.i < rank + beyond:
            shown = f"axis = {attribute.i}"
            raise _wrong(node, f"{shown} is no axis of its input, which has {rank} axes.")


def _check_parts(node: onnx.NodeProto, inputs: Mapping[str, Binding]) -> None:
    """Raise EpimcError unless a Split says as many parts as it has outputs."""
    stated = {item.name: item.i or len(item.ints) for item in node.attribute}
    counts = [stated[key] for key in ("num_outputs", "split") if key in stated]
    sizes = inputs.get(node.input[1]) if len(node.input) > 1 else None
    if isinstance(sizes, np.ndarray):
        counts.append(sizes.size)
    for count in counts:
        if count != len(node.output):
            raise _wrong(node, f"it splits into {count} parts and has {len(node.output)} outputs.")


def _wrong(node: onnx.NodeProto, message: str) -> EpimcError:
    return error(
        message[0].upper() + message[1:],
        where=where_of(node),
        hint="Export the model again.",
    )
