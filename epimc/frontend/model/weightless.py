"""Files of models without their weights: their shapes are enough to count with.

The weights of such a file are inputs, or tensors with a shape and no contents, or lie in a file of
external data that is empty or not there.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto

from epimc.backends.onnx.large import is_beside
from epimc.frontend.model.inputs import dims_of, size_of
from epimc.frontend.model.shapes import real_inputs
from epimc.frontend.model.standard import DEFAULT_DOMAINS
from epimc.support.limits import Budget

# The inputs of operators that are parameters of a network, rather than what flows through it.
PARAMETERS: Mapping[str, Sequence[int]] = {
    "BatchNormalization": (1, 2, 3, 4),
    "Conv": (1, 2),
    "ConvTranspose": (1, 2),
    "Gemm": (1, 2),
    "InstanceNormalization": (1, 2),
    "LayerNormalization": (1, 2),
    "MatMul": (1,),
    "PRelu": (1,),
}

# Operators of two equal inputs, which take biases and scales as well.
EITHER = ("Add", "Div", "Mul", "Sub")

NUMPY_FLOATS: Mapping[int, np.dtype[Any]] = {
    TensorProto.FLOAT: np.dtype("<f4"),
    TensorProto.FLOAT16: np.dtype("<f2"),
    TensorProto.DOUBLE: np.dtype("<f8"),
}

# Those of quantized weights and biases; int64 is that of shapes, which no number stands for.
NUMPY_WEIGHTS: Mapping[int, np.dtype[Any]] = {
    **NUMPY_FLOATS,
    TensorProto.INT8: np.dtype("i1"),
    TensorProto.UINT8: np.dtype("u1"),
    TensorProto.INT16: np.dtype("<i2"),
    TensorProto.UINT16: np.dtype("<u2"),
    TensorProto.INT32: np.dtype("<i4"),
}

CONTENTS = ("raw_data", "float_data", "double_data", "int32_data")


def mark_weights(model: onnx.ModelProto, folder: Path | None) -> list[TensorProto]:
    """Make all weights that are not there tensors of external data, which nobody has looked at yet.

    Args:
        model: As parsed.
        folder: Where its external data would lie; None for a model from memory.

    Returns:
        These tensors.
    """
    graph = model.graph
    marked = [tensor for tensor in graph.initializer if lacks_contents(tensor, folder)]
    for entry in parameters_among(graph):
        dims = [dim.dim_value for dim in dims_of(entry)]
        kind = entry.type.tensor_type.elem_type
        marked.append(graph.initializer.add(name=entry.name, data_type=kind, dims=dims))
    for tensor in marked:
        tensor.data_location = TensorProto.EXTERNAL
    return marked


def lacks_contents(tensor: TensorProto, folder: Path | None) -> bool:
    """Whether a tensor of weights has a shape alone."""
    if tensor.data_type not in NUMPY_WEIGHTS or not math.prod(tensor.dims) or is_beside(tensor):
        return False
    if tensor.data_location != TensorProto.EXTERNAL:
        return not any(len(getattr(tensor, field)) for field in CONTENTS)
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location = entries.get("location", "")
    if folder is None or entries.get("length") == "0":
        return True
    # One that leads out of the folder, or is none, is refused when it is read.
    try:
        place = (folder / location).resolve()
        inside = bool(location) and place.is_relative_to(folder.resolve())
        return inside and (not place.exists() or (place.is_file() and not place.stat().st_size))
    except (OSError, ValueError):
        return False


def fill_weights(tensors: Iterable[TensorProto], budget: Budget) -> None:
    """Give tensors ones, which no operator minds: neither divisors nor variances.

    Args:
        tensors: As they were marked.
        budget: Pays for them.

    Raises:
        EpimcError: They take more than the limit.
    """
    for tensor in tensors:
        dtype, count = NUMPY_WEIGHTS[tensor.data_type], math.prod(tensor.dims)
        budget.read(count * dtype.itemsize, f"tensor '{tensor.name}' of {count} elements")
        tensor.ClearField("data_location")
        tensor.ClearField("external_data")
        tensor.raw_data = np.ones(count, dtype).tobytes()


def parameters_among(graph: onnx.GraphProto) -> list[onnx.ValueInfoProto]:
    """The inputs of a model that are its weights: of fixed shape, and read as nothing else.

    Where there are none that only a layer reads, none is taken for a bias or a scale.
    """
    uses = uses_of(graph)
    fixed = {entry.name: entry for entry in real_inputs(graph) if has_fixed_shape(entry)}
    layers = [
        name
        for name in fixed
        if name in uses and all(index in PARAMETERS.get(op, ()) for op, index in uses[name])
    ]
    if not layers or len(layers) == len(real_inputs(graph)):
        return []
    more = [
        name
        for name in fixed
        if name in uses
        and all(op in EITHER or index in PARAMETERS.get(op, ()) for op, index in uses[name])
    ]
    # Something must flow.
    chosen = more if len(more) < len(real_inputs(graph)) else layers
    return [fixed[name] for name in chosen]


def has_fixed_shape(entry: onnx.ValueInfoProto) -> bool:
    """Whether an input is a tensor of floats, of one element at least, whose sizes are stated."""
    tensor = entry.type.tensor_type
    sizes = [size_of(dim) for dim in dims_of(entry)]
    return tensor.HasField("shape") and tensor.elem_type in NUMPY_FLOATS and all(sizes)


def uses_of(graph: onnx.GraphProto) -> dict[str, list[tuple[str, int]]]:
    """By which operators, and as which of their inputs, each tensor is read."""
    uses: dict[str, list[tuple[str, int]]] = {}
    for name, use in all_uses(graph):
        uses.setdefault(name, []).append(use)
    return uses


def all_uses(graph: onnx.GraphProto) -> Iterator[tuple[str, tuple[str, int]]]:
    """Every input of every node, and every output of the model."""
    for node in graph.node:
        op = node.op_type if node.domain in DEFAULT_DOMAINS else f"{node.domain}.{node.op_type}"
        for index, name in enumerate(node.input):
            yield name, (op, index)
    for output in graph.output:
        yield output.name, ("", 0)
