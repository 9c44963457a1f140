"""A small classifier with its bundle, its samples and their classes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import helper, numpy_helper

import epimc

Array = NDArray[Any]
COUNT, CLASSES = 23, 7


def classifier() -> onnx.ModelProto:
    """A convolution, a global pool and a matrix: from x [N, 3, 8, 8] to scores [N, 7]."""
    draw = np.random.default_rng(5)
    constants = {"w": draw.standard_normal((6, 3, 3, 3)), "m": draw.standard_normal((CLASSES, 6))}
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], "conv"),
        helper.make_node("Relu", ["c"], ["r"], "relu"),
        helper.make_node("GlobalAveragePool", ["r"], ["p"], "pool"),
        helper.make_node("Flatten", ["p"], ["f"], "flat"),
        helper.make_node("Gemm", ["f", "m"], ["y"], "dense", transB=1),
    ]
    stored = [numpy_helper.from_array(v.astype(np.float32), k) for k, v in constants.items()]
    inputs = [helper.make_tensor_value_info("x", 1, ["N", 3, 8, 8])]
    outputs = [helper.make_tensor_value_info("y", 1, ["N", CLASSES])]
    graph = helper.make_graph(nodes, "classifier", inputs, outputs, stored)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


@dataclass(frozen=True)
class Case:
    """What tests evaluate.

    Attributes:
        bundle: Of `classifier`, for `tiny`.
        images: float32 [COUNT, 3, 8, 8].
        labels: int64 [COUNT].
    """

    bundle: Path
    images: Array
    labels: Array


@pytest.fixture(scope="session")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    """Compiled once."""
    draw = np.random.default_rng(6)
    images = draw.standard_normal((COUNT, 3, 8, 8)).astype(np.float32)
    folder = tmp_path_factory.mktemp("classifier") / "bundle"
    session = epimc.compile(
        classifier(), folder, target="tiny", calibration=images, weight_bits=4, activation_bits=4
    )
    (scores,) = session.run(None, {"x": images})
    labels = scores.argmax(axis=1)
    # Some of them wrong.
    labels[::4] = (labels[::4] + 3) % CLASSES
    return Case(folder, images, labels)
