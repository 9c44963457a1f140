"""epimc.backend: the interface of ONNX's backends."""

from __future__ import annotations

import gc
import importlib
import subprocess
import sys
import unittest
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.backend.base
import onnx.backend.test
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

import epimc
from epimc.frontend.single_node import model_of_node
from epimc.onnx_backend import EpimcBackend
from tests.conformance.suite import trials

IMAGE = np.random.default_rng(3).standard_normal((4, 2, 6, 6)).astype(np.float32)


def sums() -> onnx.ModelProto:
    """y = conv(a) + b, and a second output with a name that is no identifier."""
    shape = [4, 2, 6, 6]
    describe = helper.make_tensor_value_info
    weight = numpy_helper.from_array(
        np.random.default_rng(4).standard_normal((2, 2, 1, 1)).astype("f4"), "w"
    )
    nodes = [
        helper.make_node("Conv", ["a", "w"], ["c"], "conv"),
        helper.make_node("Add", ["c", "b"], ["y"], "add"),
        helper.make_node("Relu", ["y"], ["2"], "relu"),
    ]
    graph = helper.make_graph(
        nodes,
        "sums",
        [describe(name, TensorProto.FLOAT, shape) for name in "ab"],
        [describe(name, TensorProto.FLOAT, shape) for name in ("y", "2")],
        [weight],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def floats(a: NDArray[Any], b: NDArray[Any]) -> NDArray[Any]:
    """What the model above should give first."""
    weight = numpy_helper.to_array(sums().graph.initializer[0])[:, :, 0, 0]
    return np.asarray(np.einsum("oc,nchw->nohw", weight, a) + b)


@pytest.fixture(scope="module")
def prepared() -> Any:
    """The model above, compiled."""
    return epimc.backend.prepare(sums(), calibration={"a": IMAGE, "b": -IMAGE})


def test_it_is_a_backend_of_onnx_however_it_is_named() -> None:
    imported: object = importlib.import_module("epimc.backend")
    assert imported is epimc.backend
    assert epimc.backend is EpimcBackend
    assert issubclass(epimc.backend, onnx.backend.base.Backend)


def test_it_is_loaded_at_use() -> None:
    code = "import sys, epimc; assert 'onnx' not in sys.modules; epimc.backend.prepare"
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


@pytest.mark.parametrize(
    "inputs",
    [[IMAGE, -IMAGE], (IMAGE, -IMAGE), {"b": -IMAGE, "a": IMAGE}],
    ids=["list", "tuple", "dict"],
)
def test_inputs_are_passed_in_order_or_by_name(prepared: Any, inputs: Any) -> None:
    outputs = prepared.run(inputs)
    assert (isinstance(outputs, tuple), len(outputs)) == (True, 2)
    assert outputs.y is outputs["y"]
    assert outputs["2"] is outputs[1]
    assert np.abs(outputs.y - floats(IMAGE, -IMAGE)).max() < 0.1
    assert np.abs(outputs["2"] - np.maximum(floats(IMAGE, -IMAGE), 0)).max() < 0.1


def test_a_model_with_one_input_takes_its_array() -> None:
    node = helper.make_node("Relu", ["x"], ["y"])
    model = model_of_node(node, {"x": IMAGE})
    for inputs in (IMAGE, [IMAGE], {"x": IMAGE}):
        (y,) = epimc.backend.run_model(model, inputs, calibration=IMAGE)
        assert np.abs(y - np.maximum(IMAGE, 0)).max() < 0.02


@pytest.mark.parametrize("inputs", [[IMAGE], [IMAGE] * 3, IMAGE])
def test_too_few_or_too_many_inputs(prepared: Any, inputs: Any) -> None:
    with pytest.raises(
        epimc.EpimcError, match=r"The model has 2 inputs, and [13] were passed\."
    ) as e:
        prepared.run(inputs)
    assert e.value.diagnostic.hint == "Pass a list in this order: a, b."


def test_options_of_a_run(prepared: Any) -> None:
    with pytest.raises(epimc.EpimcError, match="There is no option 'rtol' of a run"):
        prepared.run([IMAGE, IMAGE], rtol=1)


def test_options_are_those_of_compile() -> None:
    prepared = epimc.backend.prepare(sums(), target="tiny", weight_bits=4)
    manifest = prepared.session.bundle.manifest
    assert (manifest.target, manifest.options.weight_bits) == ("tiny", 4)
    with pytest.raises(epimc.EpimcError, match="weight_bits = 17"):
        epimc.backend.prepare(sums(), weight_bits=17)


def with_parameters(*shape: int | str) -> onnx.ModelProto:
    """A model that takes its weights and axes as inputs."""
    describe = helper.make_tensor_value_info
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"]),
        helper.make_node("ReduceMean", ["c", "axes"], ["y"]),
    ]
    inputs = [
        describe("x", TensorProto.FLOAT, shape or (1, 2, 6, 6)),
        describe("w", TensorProto.FLOAT, (3, 2, 1, 1)),
        describe("axes", TensorProto.INT64, (1,)),
    ]
    graph = helper.make_graph(nodes, "net", inputs, [describe("y", TensorProto.FLOAT, None)])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def test_parameters_are_constants_of_the_program() -> None:
    prepared = epimc.backend.prepare(with_parameters())
    x, weights = IMAGE[:1], np.random.default_rng(5).standard_normal((3, 2, 1, 1)).astype("f4")
    for w, axis in ((weights, 1), (weights, 1), (-weights, 1), (weights, 3)):
        before = prepared._session
        (y,) = prepared.run([x, w, np.array([axis])])
        expected = np.einsum("oc,nchw->nohw", w[:, :, 0, 0], x).mean(axis, keepdims=True)
        assert y.shape == expected.shape
        assert np.abs(y - expected).max() < 0.05
        session = prepared.session
        assert [port.name for port in session.get_inputs()] == ["x"]
        assert session.bundle.manifest.on_chip.nodes_on_chip == 2
        assert epimc.verify(session).exact
        # It is compiled anew only when they change.
        assert (session is before) == (w is weights and axis == 1 and before is not None)


def test_no_parameters_where_nothing_else_is_left() -> None:
    node = helper.make_node("MatMul", ["a", "b"], ["y"])
    matrices = [np.eye(3, dtype=np.float32), np.ones((3, 3), np.float32)]
    model = model_of_node(node, dict(zip("ab", matrices, strict=True)))
    prepared = epimc.backend.prepare(model)
    assert np.allclose(prepared.run(matrices)[0], 1, atol=0.02)
    assert [port.name for port in prepared.session.get_inputs()] == ["a"]
    square = model_of_node(helper.make_node("MatMul", ["a", "a"], ["y"]), {"a": matrices[0]})
    assert epimc.backend.prepare(square).run(matrices[0])[0].shape == (3, 3)


def test_the_first_values_say_ranges_and_open_sizes() -> None:
    prepared = epimc.backend.prepare(with_parameters("N", 2, "H", "W"))
    weights = np.ones((3, 2, 1, 1), np.float32)
    x = 1000 * IMAGE[:1]
    (y,) = prepared.run([x, weights, np.array([1])])
    expected = x.sum(1, keepdims=True)
    assert np.abs(y - expected).max() < 0.01 * np.abs(expected).max()
    assert prepared.session.get_inputs()[0].shape == ("N", 2, 6, 6)


def test_weights_that_are_changed_in_place() -> None:
    prepared = epimc.backend.prepare(with_parameters())
    weights, axes = np.ones((3, 2, 1, 1), np.float32), np.array([1])
    (before,) = prepared.run([IMAGE[:1], weights, axes])
    weights *= -1
    (y,) = prepared.run([IMAGE[:1], weights, axes])
    assert np.abs(y + before).max() < 0.05
    with pytest.raises(epimc.EpimcError, match="Input 'w' is missing"):
        prepared.run({"x": IMAGE[:1], "axes": axes})


def summed(*nodes: onnx.NodeProto, **shapes: Any) -> onnx.ModelProto:
    """A model with open sizes."""
    describe = helper.make_tensor_value_info
    inputs = [describe(name, TensorProto.FLOAT, dims) for name, dims in shapes.items()]
    graph = helper.make_graph(nodes, "net", inputs, [describe("y", TensorProto.FLOAT, None)])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


@pytest.mark.parametrize("samples", [1, 2, 4])
def test_samples_that_are_computed_together(samples: int) -> None:
    x = IMAGE[:samples, :, :, 0]
    node = helper.make_node("ReduceMean", ["x"], ["y"], axes=[0])
    prepared = epimc.backend.prepare(summed(node, x=("N", 2, 6)))
    (y,) = prepared.run([x])
    assert y.shape == (1, 2, 6)
    assert np.abs(y - x.mean(0, keepdims=True)).max() < 0.05
    # Another number of them is another program.
    assert prepared.run([x[:1]])[0].shape == (1, 2, 6)
    product = helper.make_node("MatMul", ["a", "b"], ["y"])
    prepared = epimc.backend.prepare(summed(product, a=("N", 2, 6), b=("N", 6, 2)))
    (y,) = prepared.run([x, x.transpose(0, 2, 1)])
    expected = x @ x.transpose(0, 2, 1)
    assert y.shape == expected.shape
    assert np.abs(y - expected).max() < 0.05 * np.abs(expected).max()


def test_samples_that_are_computed_apart_need_one_program() -> None:
    prepared = epimc.backend.prepare(summed(helper.make_node("Relu", ["x"], ["y"]), x=("N", 2, 6)))
    prepared.run([IMAGE[:2, :, :, 0]])
    session = prepared.session
    assert prepared.run([IMAGE[:3, :, :, 0]])[0].shape == (3, 2, 6)
    assert prepared.session is session


def test_other_open_sizes_are_another_program() -> None:
    prepared = epimc.backend.prepare(with_parameters("N", 2, "H", "W"))
    weights, axes = np.ones((3, 2, 1, 1), np.float32), np.array([1])
    for image in (IMAGE[:1], IMAGE[:1, :, :4, 1:], IMAGE[:3]):
        (y,) = prepared.run([image, weights, axes])
        expected = image.sum(1, keepdims=True)
        assert y.shape == expected.shape
        assert np.abs(y - expected).max() < 0.05


def test_options_beside_parameters() -> None:
    weights = np.ones((3, 2, 1, 1), np.float32)
    for constants in (None, {"w": weights}):
        prepared = epimc.backend.prepare(with_parameters("N", 2, "H", "W"), constants=constants)
        feeds: dict[str, Any] = {"x": IMAGE[:1], "axes": np.array([1])}
        if constants is None:
            feeds["w"] = weights
        assert prepared.run(feeds)[0].shape == (1, 1, 6, 6)


def test_a_whole_constant_beside_a_fixed_batch() -> None:
    constant = numpy_helper.from_array(IMAGE[:2, :, :, 0].copy(), "k")
    model = summed(helper.make_node("Mul", ["x", "k"], ["y"]), x=(2, 2, 6))
    model.graph.initializer.append(constant)
    prepared = epimc.backend.prepare(model)
    (y,) = prepared.run([IMAGE[2:, :, :, 0]])
    assert np.abs(y - IMAGE[2:, :, :, 0] * IMAGE[:2, :, :, 0]).max() < 0.05
    assert epimc.verify(prepared.session).exact


def test_calibration_samples_may_be_read_once(prepared: Any) -> None:
    batches = ({"a": IMAGE, "b": -IMAGE} for _ in range(2))
    y, _ = epimc.backend.prepare(sums(), calibration=batches).run([IMAGE, -IMAGE])
    assert np.array_equal(y, prepared.run([IMAGE, -IMAGE]).y)


def test_the_bundle_goes_with_what_was_prepared() -> None:
    prepared = epimc.backend.prepare(sums())
    folder = prepared.session.bundle.folder
    assert folder is not None
    assert (folder / "manifest.json").is_file()
    del prepared
    gc.collect()
    assert not folder.parent.exists()


def test_nothing_stays_of_what_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(epimc.EpimcError):
        epimc.backend.prepare(b"no model")
    assert list(tmp_path.iterdir()) == []


def test_devices() -> None:
    assert epimc.backend.supports_device("CPU")
    assert epimc.backend.supports_device("CPU:0")
    assert not epimc.backend.supports_device("CUDA")
    with pytest.raises(epimc.EpimcError, match="There is no device 'CUDA:1'"):
        epimc.backend.prepare(sums(), "CUDA:1")


def test_what_is_compatible() -> None:
    assert epimc.backend.is_compatible(sums())
    assert not epimc.backend.is_compatible(sums(), "CUDA")
    broken = sums()
    broken.graph.node[0].input[0] = "nothing"
    assert not epimc.backend.is_compatible(broken)


# --- single nodes ---------------------------------------------------------------------------------


def test_a_node() -> None:
    node = helper.make_node("Relu", ["x"], ["y"])
    outputs = epimc.backend.run_node(node, [IMAGE], calibration=IMAGE)
    assert np.abs(outputs[0] - np.maximum(IMAGE, 0)).max() < 0.02


def test_a_node_with_its_opset_and_its_results() -> None:
    node = helper.make_node("Add", ["x", "y"], ["z"])
    info = [(np.dtype(np.float32), IMAGE.shape)]
    (z,) = epimc.backend.run_node(
        node,
        {"x": IMAGE, "y": IMAGE},
        outputs_info=info,
        opset_version=13,
        calibration=[{"x": IMAGE, "y": IMAGE}],
    )
    assert np.abs(z - 2 * IMAGE).max() < 0.05


def test_the_model_of_a_node() -> None:
    node = helper.make_node("Clip", ["x", "", "high"], ["y"])
    model = model_of_node(node, {"x": IMAGE, "high": np.float64(3)}, opset=13)
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 13)]
    x, high = (port.type.tensor_type for port in model.graph.input)
    assert (x.elem_type, len(x.shape.dim)) == (TensorProto.FLOAT, 4)
    assert (high.elem_type, len(high.shape.dim)) == (TensorProto.DOUBLE, 0)
    listed = helper.make_node("SequenceLength", ["s"], ["n"])
    model = model_of_node(listed, {"s": [IMAGE, IMAGE]})
    assert model.graph.input[0].type.HasField("sequence_type")
    assert model.graph.output[0].type.tensor_type.elem_type == TensorProto.INT64
    scaler = helper.make_node("Scaler", ["x"], ["y"], domain="ai.onnx.ml")
    (entry,) = model_of_node(scaler, {"x": IMAGE[0, 0]}, [(np.float32, [6, 6])]).opset_import
    assert (entry.domain, entry.version) == ("ai.onnx.ml", 5)


def test_what_cannot_be_the_input_or_the_result_of_a_node() -> None:
    node = helper.make_node("Relu", ["x"], ["y"], name="relu")
    with pytest.raises(epimc.EpimcError, match="Input 'x' cannot be of the type str"):
        model_of_node(node, {"x": "text"})
    with pytest.raises(epimc.EpimcError, match="ONNX has no tensors of datetime64"):
        model_of_node(node, {"x": np.array("2020", "M8[Y]")})
    with pytest.raises(epimc.EpimcError, match="The node has 1 results, and 2 are described"):
        model_of_node(node, {"x": IMAGE}, [(np.float32, [1])] * 2)
    strange = helper.make_node("Strange", ["x"], ["y"], name="n", domain="some.where")
    with pytest.raises(epimc.EpimcError, match="ONNX does not infer the type of 'y'"):
        model_of_node(strange, {"x": IMAGE})


# --- the runner of ONNX ---------------------------------------------------------------------------


def test_the_runner_of_onnx_takes_it() -> None:
    # Its tests are made at the first import, with warnings of numpy.
    assert trials()
    suite = onnx.backend.test.BackendTest(epimc.backend, __name__)
    suite.include("^test_relu_(cpu|cuda)$")
    result = unittest.TestResult()
    suite.test_suite.run(result)
    assert result.errors == []
    # It has no samples to pass to `prepare`, and the tolerance of floats.
    ((test, said),) = result.failures
    assert "test_relu_cpu" in str(test)
    assert "Not equal to tolerance rtol=0.001" in said
    assert "Backend doesn't support device CUDA" in {reason for _, reason in result.skipped}


# --- values of all types --------------------------------------------------------------------------


def cast(source: int, target: int, shape: list[int]) -> onnx.ModelProto:
    """A model that casts a tensor, all of it one sample."""
    describe = helper.make_tensor_value_info
    node = helper.make_node("Cast", ["x"], ["y"], to=target)
    graph = helper.make_graph(
        [node], "cast", [describe("x", source, shape)], [describe("y", target, shape)]
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


@pytest.mark.parametrize("name", ["BFLOAT16", "FLOAT8E4M3FN", "FLOAT8E5M2", "INT4", "UINT4"])
@pytest.mark.parametrize("shape", [[3], []], ids=["vector", "scalar"])
def test_values_of_types_that_numpy_lacks_go_in(name: str, shape: list[int]) -> None:
    kind = TensorProto.DataType.Value(name)
    values = np.arange(1, 4) if shape else np.array(2)
    array = values.astype(helper.tensor_dtype_to_np_dtype(kind))
    model = cast(kind, TensorProto.FLOAT, shape)
    (y,) = epimc.backend.run_model(model, [array], calibration=[{"x": array}])
    assert y.dtype == np.float32
    assert np.array_equal(y, values)


@pytest.mark.parametrize("name", ["BFLOAT16", "FLOAT8E4M3FN", "FLOAT8E5M2", "INT64", "BOOL"])
def test_outputs_have_the_types_that_the_model_declares(name: str) -> None:
    kind = TensorProto.DataType.Value(name)
    values = np.array([0, 1, 3], np.float32)
    model = cast(TensorProto.FLOAT, kind, [3])
    for source in (model, model.SerializeToString()):
        (y,) = epimc.backend.run_model(source, [values], calibration=[{"x": values}])
        assert y.dtype == helper.tensor_dtype_to_np_dtype(kind)
        assert np.array_equal(y, values.astype(y.dtype))


def test_sequences_are_lists() -> None:
    values = [np.arange(3), np.arange(4)]
    node = helper.make_node("SequenceAt", ["s", "k"], ["y"])
    info = [(np.dtype(np.int64), (4,))]
    calibration = [{"s": [values], "k": np.array(1)}]
    inputs = [values, np.array(1)]
    (y,) = epimc.backend.run_node(node, inputs, outputs_info=info, calibration=calibration)
    assert np.array_equal(y, values[1])


def test_a_model_without_inputs() -> None:
    value = numpy_helper.from_array(IMAGE[0, 0], "v")
    node = helper.make_node("Constant", [], ["y"], value=value)
    (y,) = epimc.backend.run_node(node, [], outputs_info=[(np.dtype(np.float32), (6, 6))])
    assert np.array_equal(y, IMAGE[0, 0])


def test_an_output_that_is_listed_twice_is_given_twice() -> None:
    model = summed(helper.make_node("Relu", ["x"], ["y"]), x=(1, 2, 6))
    model.graph.output.append(model.graph.output[0])
    prepared = epimc.backend.prepare(model)
    first, second = prepared.run([IMAGE[:1, :, :, 0]])
    assert np.array_equal(first, second)
    assert prepared.session.bundle.remarks == (
        "output 'y' is listed 2 times: each has a name of its own",
    )
    assert [port.name for port in prepared.session.get_outputs()] == ["y", "y__1"]
    assert epimc.verify(prepared.session).exact
