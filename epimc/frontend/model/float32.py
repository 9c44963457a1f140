"""Models of floats that onnxruntime has no kernels for, as models of float32.

It computes most operators in float32 and float16, few in double, hardly any in bfloat16; nor can
Python pass it a bfloat16.  The chip computes neither: reals are integers there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from epimc.backends.onnx.large import LargeModel, flat
from epimc.support.diagnostics import EpimcError
from epimc.support.limits import Budget

RARE = (TensorProto.DOUBLE, TensorProto.BFLOAT16)

# Attributes that name a type of elements.
TYPE_ATTRIBUTES = ("dtype", "output_datatype", "output_dtype", "stash_type", "to")


def runnable(model: LargeModel, budget: Budget) -> LargeModel:
    """The model, or the same in float32 where onnxruntime does not take it as it is.

    Inputs and outputs of bfloat16 become float32; those of double stay.

    Args:
        model: It is left as it is.
        budget: Pays for the copy.

    Raises:
        EpimcError: The limit does not leave enough for the copy.
    """
    rare = {element for element in elements_in(model.proto) if element in RARE}
    if not rare:
        return model
    # Python can neither pass nor take bfloat16, also between two parts that the host runs.
    if TensorProto.BFLOAT16 not in rare and loads(model, budget.limit):
        return model
    budget.read(2 * model.size, "the model in float32")
    return in_float32(model)


def loads(model: LargeModel, limit_bytes: int) -> bool:
    """Whether onnxruntime has all kernels of a model."""
    # It takes a while to import.
    from epimc.runtime.guard import GuardedSession

    try:
        GuardedSession(model, "the model", limit_bytes=limit_bytes)
    # Why not, is told when the model is run.
    except EpimcError:
        return False
    return True


def in_float32(model: LargeModel) -> LargeModel:
    """A copy in which all is float32 that was double or bfloat16, but for ports of double."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model.proto)
    names = {name for message in messages_in(copy.graph) for name in names_of(message)}
    doubles = {
        entry.name: f"{entry.name}.float32"
        for entry in (*copy.graph.input, *copy.graph.output)
        if entry.type.tensor_type.elem_type == TensorProto.DOUBLE
    }
    constants = {tensor.name for tensor in copy.graph.initializer}
    doubles = {name: fresh(new, names) for name, new in doubles.items() if name not in constants}
    rename(copy.graph, doubles)
    tensors = dict(model.tensors)
    for tensor in copy.graph.initializer:
        if tensor.name in tensors and tensor.data_type in RARE:
            tensors[tensor.name] = flat(float32_of(model.array(tensor)))
            tensor.data_type = TensorProto.FLOAT
    for message in messages_in(copy):
        convert(message)
    cast_ports(copy.graph, doubles)
    return LargeModel(copy, tensors, model.maps)


def elements_in(model: onnx.ModelProto) -> Iterator[int]:
    """The types of elements that a model mentions."""
    for message in messages_in(model):
        match message:
            case TensorProto():
                yield message.data_type
            case onnx.TypeProto.Tensor():
                yield message.elem_type
            case onnx.AttributeProto() if message.name in TYPE_ATTRIBUTES:
                yield message.i


def messages_in(message: Any) -> Iterator[Any]:
    """A protobuf message and all that are in it."""
    waiting = [message]
    while waiting:
        one = waiting.pop()
        yield one
        # What is in a tensor is no message.
        if isinstance(one, TensorProto):
            continue
        for field, value in one.ListFields():
            if field.message_type is not None:
                waiting += [value] if hasattr(value, "ListFields") else list(value)


def names_of(message: Any) -> Iterable[str]:
    """The names of tensors in a message."""
    match message:
        case onnx.NodeProto():
            return (*message.input, *message.output)
        case onnx.ValueInfoProto() | TensorProto():
            return (message.name,)
    return ()


def fresh(name: str, names: set[str]) -> str:
    """A name that no tensor has yet."""
    while name in names:
        name += "_"
    names.add(name)
    return name


def rename(graph: onnx.GraphProto, names: dict[str, str]) -> None:
    """Give tensors other names in all nodes, wherever they are nested."""
    for message in messages_in(graph):
        if isinstance(message, onnx.NodeProto):
            for texts in (message.input, message.output):
                texts[:] = [names.get(text, text) for text in texts]
        # What a graph in a node gives may be what it sees around it.
        if isinstance(message, onnx.GraphProto) and message is not graph:
            for entry in message.output:
                entry.name = names.get(entry.name, entry.name)


def float32_of(array: NDArray[Any]) -> NDArray[np.float32]:
    """The same numbers, rounded; what is too large is infinite."""
    with np.errstate(over="ignore"):
        return array.astype(np.float32)


def convert(message: Any) -> None:
    """Make a type, a tensor or an attribute one of float32."""
    match message:
        case TensorProto() if message.data_type in RARE:
            array = float32_of(numpy_helper.to_array(message))
            message.CopyFrom(numpy_helper.from_array(array, message.name))
        case onnx.TypeProto.Tensor() if message.elem_type in RARE:
            message.elem_type = TensorProto.FLOAT
        case onnx.AttributeProto() if message.name in TYPE_ATTRIBUTES and message.i in RARE:
            message.i = TensorProto.FLOAT


def cast_ports(graph: onnx.GraphProto, doubles: dict[str, str]) -> None:
    """Have inputs and outputs of double, between which all is float32."""
    nodes = [*graph.node]
    before, after = [], []
    for entry in graph.input:
        if entry.name in doubles:
            entry.type.tensor_type.elem_type = TensorProto.DOUBLE
            before.append(cast(entry.name, doubles[entry.name], TensorProto.FLOAT))
    for entry in graph.output:
        if entry.name in doubles:
            entry.type.tensor_type.elem_type = TensorProto.DOUBLE
            after.append(cast(doubles[entry.name], entry.name, TensorProto.DOUBLE))
    del graph.node[:]
    graph.node.extend([*before, *nodes, *after])


def cast(source: str, result: str, element: int) -> onnx.NodeProto:
    """A node that converts a tensor."""
    return helper.make_node("Cast", [source], [result], f"{result}.cast", to=element)
