"""Which outputs are choices among classes."""

from __future__ import annotations

from typing import Any

import pytest
from onnx import ModelProto, TensorProto, helper
from onnx.helper import make_node

from epimc.backends.onnx.classes import is_of_classes

pytestmark = pytest.mark.smoke


def model_of(*nodes: Any, opset: int = 17) -> ModelProto:
    """Nodes from x to y."""
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 4]) for name in "xy")
    graph = helper.make_graph(nodes, "classes", [x], [y])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])


@pytest.mark.parametrize("op_type", ["Softmax", "LogSoftmax"])
@pytest.mark.parametrize("opset", [11, 17])
def test_shares_of_classes(op_type: str, opset: int) -> None:
    nodes = [make_node(op_type, ["x"], ["y"], axis=axis) for axis in (1, -1)]
    for node in (make_node(op_type, ["x"], ["y"]), *nodes):
        assert is_of_classes(model_of(node, opset=opset), "y")
    over_samples = make_node(op_type, ["x"], ["y"], axis=0)
    assert not is_of_classes(model_of(over_samples, opset=opset), "y")


def test_the_class_itself() -> None:
    assert is_of_classes(model_of(make_node("ArgMax", ["x"], ["y"], axis=1)), "y")


def test_what_passes_classes_on() -> None:
    nodes = [
        make_node("Softmax", ["x"], ["s"]),
        make_node("QuantizeLinear", ["s", "scale", "zero"], ["q"]),
        make_node("DequantizeLinear", ["q", "scale", "zero"], ["d"]),
        make_node("Identity", ["d"], ["y"]),
    ]
    assert is_of_classes(model_of(*nodes), "y")


@pytest.mark.parametrize(
    "nodes",
    [
        [make_node("Gemm", ["x", "w"], ["y"])],
        [make_node("Softmax", ["x"], ["s"]), make_node("Mul", ["s", "s"], ["y"])],
        [make_node("Softmax", ["x"], ["s"]), make_node("Relu", ["x"], ["y"])],
        [make_node("Softmax", ["x"], ["y"], domain="com.example")],
        [make_node("Identity", ["x"], ["y"])],
        [make_node("Identity", ["y"], ["z"]), make_node("Identity", ["z"], ["y"])],
        [],
    ],
    ids=["sums", "behind", "beside", "other domain", "input", "ring", "nothing"],
)
def test_other_outputs(nodes: list[Any]) -> None:
    assert not is_of_classes(model_of(*nodes), "y")
