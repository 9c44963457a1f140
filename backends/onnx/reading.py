"""What the verification reads from an exported graph: numbers, windows, wiring, names."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from numpy.typing import NDArray
from onnx import ModelProto, helper, numpy_helper

from epimc.backends.onnx.graph import PREFIX_KEY, SCALE_KEY, WIRING_KEY
from epimc.diagnostics import error
from epimc.ir import integers
from epimc.ir.types import as_map

# What ConvInteger computes is named behind the layer, and by the part where it is cut.
I32_SUFFIX = re.compile(r"\.i32(\.\d+)?$")

# What a rearrangement permutes is named behind its result.
PERMUTED = ".permuted"

# The shape of a constant for as many samples as there are is named behind the constant.
EXPANDED = ".expanded"


def with_outputs(model: ModelProto, names: Iterable[str]) -> ModelProto:
    """A copy that also gives the named tensors as outputs."""
    copy = ModelProto()
    copy.CopyFrom(model)
    known = {output.name for output in copy.graph.output}
    copy.graph.output.extend(onnx.ValueInfoProto(name=n) for n in names if n not in known)
    return copy


def read_model(data: bytes) -> ModelProto:
    """Parse an exported model.

    Raises:
        EpimcError: It is no ONNX model.
    """
    try:
        return onnx.load_model_from_string(data)
    except DecodeError:
        raise error("The integer reference of the bundle is no ONNX model.") from None


def parameters(model: ModelProto) -> dict[str, NDArray[Any]]:
    """The initializers by name, such as `%VALUE.weight` or `%VALUE.multipliers.0`."""
    return {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}


def windows(model: ModelProto) -> dict[str, integers.Window]:
    """The windows of convolutions and pools by the tensor they make, such as `%VALUE`."""
    found: dict[str, integers.Window] = {}
    for node in model.graph.node:
        if node.op_type not in ("ConvInteger", "MaxPool"):
            continue
        sizes = {a.name: tuple(a.ints) for a in node.attribute if a.ints}
        names = ("kernel_shape", "strides", "pads", "dilations")
        name = node.output[0]
        if node.op_type == "ConvInteger":
            # The parts of a convolution, `.i32.0` and on, have the same.
            name = I32_SUFFIX.sub("", name)
        found[name] = integers.Window(*(sizes[key] for key in names))
    return found


def groups(model: ModelProto) -> dict[str, NDArray[Any]]:
    """The groups of convolutions and sums, as [groups] by `%VALUE.groups`."""
    found: dict[str, NDArray[Any]] = {}
    for node in model.graph.node:
        if node.op_type == "ConvInteger":
            count = next((a.i for a in node.attribute if a.name == "group"), 1)
            found[f"{I32_SUFFIX.sub('', node.output[0])}.groups"] = np.array([count])
    return found


def concatenations(model: ModelProto) -> dict[str, list[str]]:
    """What is concatenated, by the tensor that it makes."""
    joined = [node for node in model.graph.node if node.op_type == "Concat"]
    return {n.output[0]: list(n.input) for n in joined if not n.output[0].endswith(EXPANDED)}


def scales(model: ModelProto) -> dict[str, float]:
    """The real step of every tensor of activations, by the tensor's name."""
    constants = parameters(model)
    return {
        note.tensor_name: float(constants[entry.value])
        for note in model.graph.quantization_annotation
        for entry in note.quant_parameter_tensor_names
        if entry.key == SCALE_KEY and entry.value in constants
    }


def layers_alone(model: ModelProto, kept: Iterable[str]) -> tuple[ModelProto, dict[str, str]]:
    """The model cut at the named tensors (u8), which become its outputs.

    Whatever reads one of them reads a new input instead, so that one run computes every layer
    from given inputs, none from another's results.

    Returns:
        The model, and the name of each new input by the tensor that it stands for.
    """
    # No tensor of the export has a name with this in it: values have no '/' in theirs.
    given = {name: f"{name}/given" for name in kept}
    cut = ModelProto()
    cut.CopyFrom(model)
    for node in cut.graph.node:
        node.input[:] = [given.get(name, name) for name in node.input]
    kind = onnx.TensorProto.UINT8
    cut.graph.input.extend(helper.make_tensor_value_info(n, kind, None) for n in given.values())
    del cut.graph.output[:]
    cut.graph.output.extend(onnx.ValueInfoProto(name=name) for name in given)
    return cut, given


def rearrangements(model: ModelProto) -> dict[str, NDArray[np.int64]]:
    """The rearrangements by the tensor they make: dims permuted, then the result's as a map."""
    shapes, found = parameters(model), {}
    for node in model.graph.node:
        name = node.output[0].removesuffix(PERMUTED)
        if node.op_type == "Transpose" and name != node.output[0]:
            (perm,) = (tuple(a.ints)[1:] for a in node.attribute if a.name == "perm")
            shape = tuple(int(size) for size in shapes[f"{name}.shape"][1:])
            found[name] = np.array([*(axis - 1 for axis in perm), *as_map(shape)])
    return found


def prefix_of(model: ModelProto) -> str:
    """The prefix that an exported model was written with."""
    found = {prop.key: prop.value for prop in model.metadata_props}
    return str(found.get(PREFIX_KEY, "%"))


def wiring_of(model: ModelProto) -> dict[str, list[str]]:
    """What each value of an exported model is computed from, as `_Graph.wiring` stated it."""
    found = {prop.key: prop.value for prop in model.metadata_props}
    stated: dict[str, list[str]] = json.loads(found.get(WIRING_KEY, "{}"))
    return stated


def tensor_names(model: ModelProto) -> set[str]:
    """All tensors that nodes compute."""
    return {name for node in model.graph.node for name in node.output}
