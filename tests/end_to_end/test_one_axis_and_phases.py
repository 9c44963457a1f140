"""Random transposed convolutions, and layers over one axis, end to end: exact in every layer."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from tests.end_to_end.running import assert_all, compiled
from tests.helpers.strategies.cases import plain_case
from tests.helpers.strategies.transposed import Transposed, geometries

Array = NDArray[Any]


def normal(*shape: int) -> Array:
    """Random float32 numbers."""
    return np.random.default_rng(len(shape)).standard_normal(shape).astype(np.float32)


def assert_exact(
    nodes: list[onnx.NodeProto], shape: tuple[int, ...], constants: dict[str, Array]
) -> None:
    """A model of nodes between x, of such samples, and y is exact in every layer."""
    x = helper.make_tensor_value_info("x", 1, ["N", *shape])
    y = helper.make_tensor_value_info("y", 1, None)
    stored = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    graph = helper.make_graph(nodes, "graph", [x], [y], stored)
    opsets = [helper.make_opsetid("", 20)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=9)
    case = plain_case(model, {"x": normal(4, *shape)}, "tiny")
    with compiled(case) as done:
        assert_all(case, done)


@settings(max_examples=25)
@given(geometry=geometries(), follows=st.sampled_from(["Relu", "Sigmoid", "BatchNormalization"]))
def test_transposed_convolutions(geometry: Transposed, follows: str) -> None:
    shape, weights, attributes = geometry
    channels = weights[1] * attributes["group"]
    constants = {"w": normal(*weights), "b": normal(channels), "s": np.abs(normal(channels)) + 1}
    statistics = ["s", "b", "b", "s"] if follows == "BatchNormalization" else []
    nodes = [
        helper.make_node("ConvTranspose", ["x", "w", "b"], ["t"], "t", **attributes),
        helper.make_node(follows, ["t", *statistics], ["y"], "f"),
    ]
    assert_exact(nodes, shape, constants)


@settings(max_examples=25)
@given(
    length=st.integers(9, 20),
    kernel=st.integers(1, 3),
    stride=st.integers(1, 3),
    dilation=st.integers(1, 2),
    groups=st.sampled_from([1, 2, 4]),
    pool=st.sampled_from(["MaxPool", "AveragePool"]),
    pads=st.tuples(st.integers(0, 2), st.integers(0, 2)),
)
def test_layers_over_one_axis(
    length: int,
    kernel: int,
    stride: int,
    dilation: int,
    groups: int,
    pool: str,
    pads: tuple[int, int],
) -> None:
    steps: dict[str, Any] = {
        "strides": [stride],
        "dilations": [dilation],
        "pads": pads,
        "group": groups,
    }
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["c"], "c", **steps),
        helper.make_node("Relu", ["c"], ["r"], "r"),
        helper.make_node(pool, ["r"], ["p"], "p", kernel_shape=[2], pads=[1, 0], ceil_mode=1),
        helper.make_node("Conv", ["p", "v"], ["y"], "y"),
    ]
    constants = {"w": normal(4, 4 // groups, kernel), "b": normal(4), "v": normal(3, 4, 1)}
    assert_exact(nodes, (4, length), constants)
