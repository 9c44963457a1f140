"""ONNX models changed as messages: what a byte seldom reaches, such as an axis of 2^63 - 1."""

from __future__ import annotations

import contextlib
from random import Random
from typing import Any

import onnx
from onnx import helper

from tests.campaigns.mutation import FLOATS, INTEGERS, TEXTS

ATTRIBUTES = ("axis", "axes", "pads", "strides", "dilations", "group", "kernel_shape", "perm")
OPERATORS = ("Relu", "Conv", "Concat", "Split", "Resize", "Tile", "Softmax", "If", "Loop", "LSTM")


def changed_message(random: Random, model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of a model with some of its messages changed."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        random.choice(CHANGES)(random, copy)
    return copy


def _any_field(random: Random, model: onnx.ModelProto) -> None:
    """A value somewhere in the message becomes another of its type."""
    message: Any = model
    while True:
        fields = message.ListFields()
        if not fields:
            return
        field, value = random.choice(fields)
        repeated = not isinstance(value, (str, bytes)) and hasattr(value, "__len__")
        if field.message_type is not None:
            inner = random.choice(value) if repeated else value
            # Anywhere on the way down a part may be taken out, or stand there twice.
            if repeated and random.random() < 0.1:
                _other_count(random, value)
                return
            message = inner
            continue
        _other_value(random, message, field, value, repeated=repeated)
        return


def _other_count(random: Random, values: Any) -> None:
    place = random.randrange(len(values))
    if random.random() < 0.5:
        del values[place]
    else:
        values.append(values[place])


def _other_value(random: Random, message: Any, field: Any, value: Any, *, repeated: bool) -> None:
    if repeated and random.random() < 0.3:
        values = list(value)
        count = random.choice((0, 1, len(values) + 1))
        del value[:]
        value.extend((values * 2)[:count])
        return
    old = random.choice(value) if repeated and len(value) else value
    if isinstance(old, float):
        new: Any = random.choice(FLOATS)
    elif isinstance(old, bytes):
        new = old[: random.randrange(len(old) + 1)] + random.randbytes(random.choice((0, 1, 8)))
    elif isinstance(old, str):
        new = random.choice(TEXTS[:-2])
    else:
        new = random.choice((*INTEGERS, old + 1, old - 1))
        if field.cpp_type in (field.CPPTYPE_INT32, field.CPPTYPE_ENUM):
            new = max(min(new, 2**31 - 1), -(2**31))
    # Some types of fields take no numbers but those that are declared.
    with contextlib.suppress(ValueError):
        if not repeated:
            setattr(message, field.name, new)
        elif len(value):
            value[random.randrange(len(value))] = new


def _node(random: Random, model: onnx.ModelProto) -> onnx.NodeProto:
    if not model.graph.node:
        model.graph.node.add(op_type="Relu", input=["x"], output=["y"])
    node: onnx.NodeProto = random.choice(model.graph.node)
    return node


def _other_attribute(random: Random, model: onnx.ModelProto) -> None:
    node = _node(random, model)
    known = [item.name for item in node.attribute]
    key = random.choice((*known, *ATTRIBUTES))
    for item in [item for item in node.attribute if item.name == key]:
        node.attribute.remove(item)
    number = random.choice(INTEGERS)
    numbers = [random.choice(INTEGERS) for _ in range(random.choice((1, 2, 4, 4, 8)))]
    value = random.choice((number, numbers, random.choice(FLOATS), "SAME_UPPER", [], [number] * 4))
    if value != []:
        node.attribute.append(helper.make_attribute(key, value))
    if random.random() < 0.1 and node.attribute:
        node.attribute[-1].ref_attr_name = "k"


def _other_wiring(random: Random, model: onnx.ModelProto) -> None:
    node = _node(random, model)
    names = [name for item in model.graph.node for name in (*item.input, *item.output)] or [""]
    ends = random.choice((node.input, node.output))
    if ends and random.random() < 0.7:
        ends[random.randrange(len(ends))] = random.choice((*names, "", "none"))
    else:
        ends.append(random.choice((*names, "")))


def _other_operator(random: Random, model: onnx.ModelProto) -> None:
    known = [item.op_type for item in model.graph.node]
    _node(random, model).op_type = random.choice((*known, *OPERATORS))


def _other_constant(random: Random, model: onnx.ModelProto) -> None:
    if not model.graph.initializer:
        return
    tensor = random.choice(model.graph.initializer)
    if tensor.data_type == onnx.TensorProto.INT64 and random.random() < 0.7:
        count = max(1, len(tensor.raw_data) // 8)
        tensor.raw_data = b"".join(
            random.choice((*INTEGERS, 0, 1, 2, 3)).to_bytes(8, "little", signed=True)
            for _ in range(count)
        )
    elif random.random() < 0.3:
        tensor.data_location = onnx.TensorProto.EXTERNAL
        place = random.choice(("w.bin", "../w.bin", "/etc/passwd", "", "model.onnx"))
        tensor.external_data.add(key="location", value=place)
        tensor.external_data.add(key="length", value=str(random.choice(INTEGERS)))
    else:
        if tensor.dims:
            tensor.dims[random.randrange(len(tensor.dims))] = random.choice(INTEGERS)


def _other_shape(random: Random, model: onnx.ModelProto) -> None:
    entries = [*model.graph.input, *model.graph.output]
    if not entries:
        return
    dims = random.choice(entries).type.tensor_type.shape.dim
    if dims and random.random() < 0.8:
        size = random.choice((*INTEGERS, 100, 1000, 4096, 10**5))
        random.choice(dims).dim_value = size
    else:
        dims.add(dim_value=random.choice((1, 2, 3)))


def _other_opset(random: Random, model: onnx.ModelProto) -> None:
    if model.opset_import:
        model.opset_import[0].version = random.choice(
            (1, 5, 7, 9, 10, 11, 12, 13, 15, 17, 18, 21, 25)
        )


CHANGES = (
    _any_field,
    _any_field,
    _other_attribute,
    _other_attribute,
    _other_wiring,
    _other_operator,
    _other_constant,
    _other_constant,
    _other_shape,
    _other_opset,
)
