"""Samples for models that come without any: drawn in the range that the model's inputs have.

What a model expects is rarely written in its file.  Two ways to write it are read: the metadata
property `Image.NominalPixelRange`, as ONNX defines it, and a QuantizeLinear with constants that is
the first to read an input.  Without either, and without a range of the user's, numbers are drawn
from the standard normal distribution.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from epimc.compiler.compiler import Job
from epimc.compiler.importing import import_request
from epimc.compiler.memory import NOTHING
from epimc.compiler.options import Request
from epimc.support.sample_types import Shaped
from epimc.support.shapes import shape_texts

SEED = 0

Array = NDArray[Any]
Range = tuple[float, float]

PIXEL_RANGE = "Image.NominalPixelRange"
PIXEL_RANGES: dict[str, Range] = {
    "NominalRange_0_255": (0, 255),
    "Normalized_0_1": (0, 1),
    "Normalized_1_1": (-1, 1),
    "NominalRange_16_235": (16, 235),
}


def declared_ranges(model: onnx.ModelProto) -> dict[str, Range]:
    """The ranges of the inputs for which the model states one, by their names."""
    named = {prop.key: prop.value for prop in model.metadata_props}
    pixels = PIXEL_RANGES.get(named.get(PIXEL_RANGE, ""))
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    inputs = [port.name for port in model.graph.input if port.name not in constants]
    ranges = dict.fromkeys(inputs, pixels) if pixels else {}
    for node in model.graph.node:
        if node.op_type != "QuantizeLinear" or node.input[0] not in inputs:
            continue
        parameters = [constants.get(name) for name in node.input[1:] if name]
        if len(parameters) == 2 and all(parameters):
            scale, zero = (numpy_helper.to_array(each) for each in parameters if each)
            if scale.size == 1 and zero.dtype.kind in "iu":
                ranges[node.input[0]] = quantized_range(float(scale.item()), zero)
    return ranges


def quantized_range(scale: float, zero_point: Array) -> Range:
    """The reals that integers of the zero point's type stand for."""
    limits, zero = np.iinfo(zero_point.dtype), int(zero_point.item())
    return (limits.min - zero) * scale, (limits.max - zero) * scale


def range_of(text: str) -> Range:
    """LOW,HIGH as two numbers.

    Raises:
        ValueError: It is something else.
    """
    low, high = map(float, text.split(","))
    if not low < high < float("inf"):
        raise ValueError(text)
    return low, high


def input_shapes(
    model: Path, shapes: Mapping[str, Sequence[int]]
) -> dict[str, tuple[int, ...]] | None:
    """The shapes of one sample of the inputs, by their names; None: not all are float32.

    Args:
        model: The file.
        shapes: Of inputs by name, in the place of those that the model declares.

    Raises:
        EpimcError: The model is refused, or a shape is open.
    """
    request = Request(model=model, shapes=shape_texts(shapes))
    job = Job.of(request)
    rows = job.backend.array_rows(job.target)
    ports = import_request(request, job.target, rows, NOTHING, {}).model.inputs
    inputs = [Shaped.of(port) for port in ports]
    if not all(port.is_tensor and port.dtype == np.float32 for port in inputs):
        return None
    return {port.name: port.shape for port in inputs}


def write(
    file: Path, count: int, shapes: Mapping[str, Sequence[int]], ranges: Mapping[str, Range]
) -> None:
    """Draw samples of some shapes, uniform in the ranges and standard normal without; as npz."""
    random = np.random.Generator(np.random.Philox(SEED))
    drawn: dict[str, Array] = {}
    for name, shape in shapes.items():
        if name not in ranges:
            drawn[name] = random.standard_normal((count, *shape), np.float32)
            continue
        low, high = ranges[name]
        parts = random.random((count, *shape), np.float32)
        drawn[name] = (low + (high - low) * parts).astype(np.float32)
    np.savez(file, allow_pickle=False, **drawn)


def words(count: int, names: Sequence[str], ranges: Mapping[str, Range]) -> str:
    """How the samples of some inputs were drawn."""
    kinds = {
        "normal" if name not in ranges else "in [{:g}, {:g}]".format(*ranges[name])
        for name in names
    }
    return f"{count} {', '.join(sorted(kinds))}"


def load(path: Path) -> onnx.ModelProto:
    """The graph of a model; weights that lie beside it are not needed."""
    return onnx.load(path, load_external_data=False)
