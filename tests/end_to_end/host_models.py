"""Small models of which the host runs a part, and their bundles."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from epimc.bundle.bundle import Bundle, read_bundle, write_bundle
from epimc.compiler.compiler import compile_model
from epimc.compiler.options import Request

Array = NDArray[Any]


def random(*shape: int, seed: int = 0) -> Array:
    """Standard normal numbers."""
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def model_of(
    nodes: Sequence[onnx.NodeProto],
    shape: tuple[int, ...],
    outputs: Sequence[str],
    constants: dict[str, Array],
    integers: Sequence[str] = (),
) -> onnx.ModelProto:
    """A model over input 'x' [N, *shape]; some of its outputs hold int64 numbers."""
    graph = helper.make_graph(
        list(nodes),
        "graph",
        [helper.make_tensor_value_info("x", 1, ["N", *shape])],
        [
            helper.make_tensor_value_info(name, 7 if name in integers else 1, None)
            for name in outputs
        ],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    opsets = [helper.make_opsetid("", 13)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def compiled(model: onnx.ModelProto, folder: Path, **options: Any) -> Bundle:
    """A model's bundle, written and read back."""
    onnx.save(model, folder / "m.onnx")
    request = Request(folder / "m.onnx", **options)
    write_bundle(folder / "out", compile_model(request))
    return read_bundle(folder / "out")
