"""`epimc plan` of files that have the shapes of weights, and not the weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

import epimc
from epimc.cli.main import main
from epimc.support.diagnostics import EpimcError

SHAPES = {
    "w": (4, 3, 3, 3),
    "b": (4,),
    "scale": (4,),
    "shift": (4,),
    "mean": (4,),
    "var": (4,),
    "gain": (1, 4, 1, 1),
    "m": (4, 10),
    "c": (10,),
}


def network(kind: str) -> onnx.ModelProto:
    """A model with its weights, or without: as inputs, empty, or outside of the file."""
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["t0"], pads=[1, 1, 1, 1], name="conv"),
        helper.make_node("BatchNormalization", ["t0", "scale", "shift", "mean", "var"], ["t1"]),
        helper.make_node("Mul", ["t1", "gain"], ["t2"]),
        helper.make_node("GlobalAveragePool", ["t2"], ["t3"]),
        helper.make_node("Flatten", ["t3"], ["t4"]),
        helper.make_node("MatMul", ["t4", "m"], ["t5"], name="fc"),
        helper.make_node("Add", ["t5", "c"], ["y"]),
    ]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ("N", 3, 8, 8))]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, ("N", 10))]
    graph = helper.make_graph(nodes, "net", inputs, outputs)
    for name, shape in SHAPES.items():
        if kind == "inputs":
            graph.input.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
            continue
        random = np.random.default_rng(len(name)).uniform(0.5, 1, shape).astype(np.float32)
        tensor = numpy_helper.from_array(random, name)
        if kind != "whole":
            tensor.ClearField("raw_data")
        if kind in ("missing", "nothing"):
            tensor.data_location = TensorProto.EXTERNAL
            tensor.external_data.add(key="location", value=f"{kind}.bin")
        graph.initializer.append(tensor)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.parametrize("kind", ["inputs", "empty", "missing", "nothing"])
def test_shapes_are_enough(kind: str, tmp_path: Path) -> None:
    (tmp_path / "nothing.bin").touch()
    plans: list[dict[str, Any]] = []
    for each in ("whole", kind):
        (tmp_path / "m.onnx").write_bytes(network(each).SerializeToString())
        plans.append(epimc.plan(tmp_path / "m.onnx").to_json())
    assert plans[0] == plans[1]
    assert plans[0]["weights"] == 4 * 27 + 40
    model = network(kind)
    assert epimc.plan(model).to_json() == plans[0] | {"model": "net.onnx"}
    # The user's own is as it was.
    assert model == network(kind)


def quantized() -> onnx.ModelProto:
    """A layer whose weights and their zero points are integers."""
    tensors: dict[str, NDArray[Any]] = {
        "w": np.arange(-32, 32, dtype=np.int8).reshape(8, 8),
        "b": np.arange(8, dtype=np.int32),
        "s": np.full(8, 0.1, np.float32),
        "z": np.zeros(8, np.int8),
    }
    nodes = [
        helper.make_node("DequantizeLinear", ["w", "s", "z"], ["dw"], axis=1),
        helper.make_node("DequantizeLinear", ["b", "s"], ["db"], axis=0),
        helper.make_node("MatMul", ["x", "dw"], ["m"], "fc"),
        helper.make_node("Add", ["m", "db"], ["y"]),
    ]
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ("N", 8)) for name in "xy")
    stored = [numpy_helper.from_array(array, name) for name, array in tensors.items()]
    graph = helper.make_graph(nodes, "net", [x], [y], stored)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.parametrize("kind", ["empty", "missing"])
def test_integers_are_weights_too(kind: str, tmp_path: Path) -> None:
    before = epimc.plan(quantized()).to_json()
    model = quantized()
    for tensor in model.graph.initializer:
        tensor.ClearField("raw_data")
        if kind == "missing":
            tensor.data_location = TensorProto.EXTERNAL
            tensor.external_data.add(key="location", value="missing.bin")
    (tmp_path / "net.onnx").write_bytes(model.SerializeToString())
    assert epimc.plan(tmp_path / "net.onnx").to_json() == before
    assert before["weights"] == 64


def test_only_plan_does_without_them(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(network("missing").SerializeToString())
    with pytest.raises(EpimcError) as caught:
        epimc.compile(tmp_path / "m.onnx", tmp_path / "out")
    assert caught.value.diagnostic.message == (
        "External data file 'missing.bin' of tensor 'w' does not exist."
    )


def test_two_inputs_that_are_multiplied_are_no_weights(tmp_path: Path) -> None:
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, 3, 4)) for name in ("a", "b")
    ]
    node = helper.make_node("Mul", ["a", "b"], ["y"])
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, (1, 3, 4))]
    graph = helper.make_graph([node], "g", inputs, outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    assert epimc.plan(model).to_json()["weights"] == 0


@pytest.mark.parametrize("kind", ["inputs", "empty", "missing"])
def test_shapes_without_end(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = network(kind)
    if kind == "inputs":
        model.graph.input[1].type.tensor_type.shape.dim[0].dim_value = 2**31 - 1
    else:
        model.graph.initializer[0].dims[0] = 2**62
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    assert main(["plan", str(tmp_path / "m.onnx")]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"error: Model file '{tmp_path / 'm.onnx'}' needs more memory than the")


def test_external_data_elsewhere_are_refused(tmp_path: Path) -> None:
    model = network("missing")
    model.graph.initializer[0].external_data[0].value = "../w.bin"
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(EpimcError, match="is not in the model's folder"):
        epimc.plan(tmp_path / "m.onnx")
