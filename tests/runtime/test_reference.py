"""onnxruntime as the reference."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

import epimc
from epimc.bundle.bundle import read_bundle
from epimc.frontend.model.installed import newest_ir, newest_opset
from epimc.frontend.model.standard import OLDEST_IR, OLDEST_OPSET
from epimc.runtime.reference import Reference
from epimc.support.diagnostics import EpimcError
from epimc.verification.verify import verify
from tests.helpers.bundles import rechecksum


def padded_pool() -> onnx.ModelProto:
    """A pad as large as the kernel of the pool behind it: valid, but not once they are one."""
    nodes = [
        helper.make_node("Pad", ["x", "pads"], ["padded"], "pad"),
        helper.make_node("MaxPool", ["padded"], ["y"], "pool", kernel_shape=[2, 2]),
    ]
    pads = numpy_helper.from_array(np.array([0, 0, 3, 2, 0, 0, 3, 2]), "pads")
    x = helper.make_tensor_value_info("x", 1, ["N", 2, 5, 5])
    y = helper.make_tensor_value_info("y", 1, ["N", 2, 10, 8])
    graph = helper.make_graph(nodes, "padded", [x], [y], [pads])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def test_a_pad_as_large_as_the_kernel_behind_it_counts(tmp_path: Path) -> None:
    model = padded_pool()
    x = np.random.default_rng(0).standard_normal((3, 2, 5, 5)).astype(np.float32)
    (y,) = Reference(model.SerializeToString(), "the model").run(["y"], {"x": x})
    padded = np.pad(x, ((0, 0), (0, 0), (3, 3), (2, 2)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (2, 2), axis=(2, 3))
    np.testing.assert_array_equal(y, windows.max(axis=(4, 5)))
    onnx.save(model, tmp_path / "m.onnx")
    epimc.compile(tmp_path / "m.onnx", tmp_path / "out")
    assert verify(read_bundle(tmp_path / "out")).exact


@pytest.mark.parametrize("ir", [OLDEST_IR, newest_ir()])
@pytest.mark.parametrize("opset", [OLDEST_OPSET, newest_opset()])
def test_all_versions_that_are_read_run(ir: int, opset: int) -> None:
    ports = [helper.make_tensor_value_info(name, 1, ["N", 2]) for name in ("x", "y")]
    relu = helper.make_node("Relu", ["x"], ["y"])
    graph = helper.make_graph([relu], "relu", ports[:1], ports[1:])
    opsets = [helper.make_opsetid("", opset)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=ir)
    x = np.array([[-1, 2]], np.float32)
    (y,) = Reference(model.SerializeToString(), "the model").run(["y"], {"x": x})
    assert y.tolist() == [[0, 2]]


def test_what_is_no_model_is_refused() -> None:
    with pytest.raises(EpimcError, match=r"onnxruntime refuses the model\."):
        Reference(b"no model", "the model")


def overflowing(rows: int = 2) -> onnx.ModelProto:
    """Its weights are finite, the sums of ones times them are not."""
    weight = numpy_helper.from_array(np.full((rows, 4), 3e38, np.float32), "w")
    node = helper.make_node("Gemm", ["x", "w"], ["y"], "gemm", transB=1)
    x = helper.make_tensor_value_info("x", 1, ["N", 4])
    y = helper.make_tensor_value_info("y", 1, ["N", rows])
    graph = helper.make_graph([node], "overflowing", [x], [y], [weight])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def test_values_that_are_not_finite_are_refused() -> None:
    model = Reference(overflowing().SerializeToString(), "the float model")
    (y,) = model.run(["y"], {"x": np.zeros((1, 4), np.float32)})
    assert not y.any()
    with pytest.raises(EpimcError, match=r"'y' of the float model holds NaN or infinity for thes"):
        model.run(["y"], {"x": np.ones((1, 4), np.float32)})


def test_a_model_with_an_input_of_its_own_does_not_run() -> None:
    model = Reference(overflowing().SerializeToString(), "the float model")
    with pytest.raises(EpimcError) as caught:
        model.run(["y"], {"z": np.ones((1, 4), np.float32)})
    assert str(caught.value) == (
        "error: onnxruntime cannot run the float model.\n"
        "  note: It has an input 'x', which the program has not."
    )


def test_a_model_that_overflows_is_not_verified(tmp_path: Path) -> None:
    onnx.save(overflowing(), tmp_path / "m.onnx")
    np.savez(tmp_path / "small.npz", x=np.full((2, 4), 1e-3, np.float32))
    np.savez(tmp_path / "large.npz", x=np.full((2, 4), 1, np.float32))
    epimc.compile(tmp_path / "m.onnx", tmp_path / "out", calibration=tmp_path / "small.npz")
    bundle = read_bundle(tmp_path / "out")
    assert verify(bundle).exact
    with pytest.raises(EpimcError, match=r"'y' of the float model holds NaN or infinity"):
        verify(bundle, tmp_path / "large.npz")


def test_references_of_another_model_are_refused(tmp_path: Path) -> None:
    onnx.save(overflowing(), tmp_path / "m.onnx")
    np.savez(tmp_path / "small.npz", x=np.full((2, 4), 1e-3, np.float32))
    epimc.compile(tmp_path / "m.onnx", tmp_path / "out", calibration=tmp_path / "small.npz")
    onnx.save(overflowing(rows=3), tmp_path / "out/reference/float.onnx")
    rechecksum(tmp_path / "out")
    bundle = read_bundle(tmp_path / "out")
    with pytest.raises(EpimcError) as caught:
        verify(bundle)
    assert str(caught.value) == (
        "error: Output 'y' has different sizes.\n"
        "  note: Program, integer, epitomized and float model: [2, 2], [2, 2], [2, 3], [2, 3]."
    )
    assert caught.value.exit_code == 1


def rename_attribute(model: onnx.ModelProto) -> None:
    """The pads of the pool under a name that ONNX does not know."""
    (pool,) = (node for node in model.graph.node if node.op_type == "MaxPool")
    next(entry for entry in pool.attribute if entry.name == "pads").name = "dads"


def cut_numbers(model: onnx.ModelProto) -> None:
    """An initializer that says to have more numbers than it has."""
    model.graph.initializer[0].dims.append(2**62)


def add_function(model: onnx.ModelProto) -> None:
    """A function of the model's own, by which an operator could mean something else."""
    body = [helper.make_node("Neg", ["x"], ["y"])]
    opsets = [helper.make_opsetid("", 13)]
    model.functions.append(helper.make_function("", "MaxPool", ["x"], ["y"], body, opsets))


def spoil_roles(model: onnx.ModelProto) -> None:
    """Metadata that are no JSON."""
    (entry,) = (entry for entry in model.metadata_props if entry.key == "epimc.roles")
    entry.value = "{" + entry.value


def number_roles(model: onnx.ModelProto) -> None:
    """Roles that are no lists of texts."""
    (entry,) = (entry for entry in model.metadata_props if entry.key == "epimc.roles")
    entry.value = json.dumps({"x": [1, 2]})


def repeat_opset(model: onnx.ModelProto) -> None:
    """Two versions of the operators."""
    model.opset_import.append(helper.make_opsetid("", 14))


def drop_opset(model: onnx.ModelProto) -> None:
    """No version of the operators."""
    model.opset_import[0].domain = "other"


def store_as_ints(model: onnx.ModelProto) -> None:
    """Numbers in another field than epimc writes them in."""
    constant = model.graph.initializer[0]
    constant.ClearField("raw_data")
    constant.int32_data.append(1)


def share_a_result(model: onnx.ModelProto) -> None:
    """Two nodes make one tensor."""
    model.graph.node.append(model.graph.node[0])


def spoil_text(model: onnx.ModelProto) -> None:
    """A name that is no UTF-8, which no protocol buffer would write."""
    data = model.SerializeToString().replace(b"%x.q/dims", b"%x.q/\xff\xffms")
    model.ParseFromString(data)


FORGED: dict[str, tuple[Callable[[onnx.ModelProto], None], str]] = {
    "attribute": (rename_attribute, "onnxruntime refuses the integer reference."),
    "numbers": (cut_numbers, "'%x.q/scale' has not as many numbers as it says."),
    "function": (add_function, "It has the field 'functions'."),
    "no roles": (spoil_roles, "Its metadata 'epimc.roles' do not declare initializers."),
    "roles": (number_roles, "Its metadata 'epimc.roles' do not declare initializers."),
    "opsets": (repeat_opset, "It does not state one version of each set of operators."),
    "opset": (drop_opset, "It does not state one version of each set of operators."),
    "field": (store_as_ints, "The initializer '%x.q/scale' is of another form."),
    "text": (spoil_text, "A text in it is not UTF-8."),
    "result": (share_a_result, "A node does not make tensors of its own."),
}


@pytest.mark.parametrize("name", FORGED)
def test_an_integer_reference_of_another_form_is_refused(name: str, tmp_path: Path) -> None:
    onnx.save(padded_pool(), tmp_path / "m.onnx")
    epimc.compile(tmp_path / "m.onnx", tmp_path / "out")
    path = tmp_path / "out/reference/integer.onnx"
    model, (change, said) = onnx.load(path), FORGED[name]
    change(model)
    onnx.save(model, path)
    rechecksum(tmp_path / "out")
    bundle = read_bundle(tmp_path / "out")
    with pytest.raises(EpimcError) as caught:
        verify(bundle)
    assert said in str(caught.value)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("entry", [("", 14), ("com.microsoft", 1)])
def test_an_integer_reference_in_another_opset_proves_nothing(
    entry: tuple[str, int], tmp_path: Path
) -> None:
    onnx.save(padded_pool(), tmp_path / "m.onnx")
    epimc.compile(tmp_path / "m.onnx", tmp_path / "out")
    path = tmp_path / "out/reference/integer.onnx"
    model = onnx.load(path)
    versions = {each.domain: each.version for each in model.opset_import} | dict([entry])
    del model.opset_import[:]
    model.opset_import.extend(helper.make_opsetid(*each) for each in versions.items())
    onnx.save(model, path)
    rechecksum(tmp_path / "out")
    report = verify(read_bundle(tmp_path / "out"))
    assert not report.exact
    assert report.parameters == {"opsets": 1}


def test_an_integer_reference_that_onnxruntime_cannot_run(tmp_path: Path) -> None:
    onnx.save(padded_pool(), tmp_path / "m.onnx")
    epimc.compile(tmp_path / "m.onnx", tmp_path / "out")
    path = tmp_path / "out/reference/integer.onnx"
    model = onnx.load(path)
    shape = next(c for c in model.graph.initializer if c.name == "%x.q/dims")
    shape.raw_data = np.array([-1, 2, 5, 7]).tobytes()
    onnx.save(model, path)
    rechecksum(tmp_path / "out")
    bundle = read_bundle(tmp_path / "out")
    with pytest.raises(EpimcError, match="onnxruntime cannot run the integer reference") as caught:
        verify(bundle)
    assert caught.value.exit_code == 2


def test_a_pad_of_zeros_before_a_pool_counts() -> None:
    nodes = [
        helper.make_node("Pad", ["x", "pads"], ["padded"], "pad"),
        helper.make_node("MaxPool", ["padded"], ["y"], "pool", kernel_shape=[3, 3]),
    ]
    pads = numpy_helper.from_array(np.array([0, 0, 1, 1, 0, 0, 1, 1]), "pads")
    x = helper.make_tensor_value_info("x", 1, ["N", 2, 5, 5])
    y = helper.make_tensor_value_info("y", 1, ["N", 2, 5, 5])
    graph = helper.make_graph(nodes, "padded", [x], [y], [pads])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    inputs = {"x": np.full((2, 2, 5, 5), -1, np.float32)}
    (actual,) = Reference(model.SerializeToString(), "the model").run(["y"], inputs)
    assert actual[0, 0, 0, 0] == 0
    assert actual[0, 0, 2, 2] == -1


@pytest.mark.parametrize("kind", ["Concat", "Reshape", "Slice"])
def test_a_users_model_that_holds_one_sample(kind: str, tmp_path: Path) -> None:
    constants = {
        "Concat": {"c": np.ones((1, 1, 3, 3), np.float32)},
        "Reshape": {"c": np.array([1, 3, 2, 3])},
        "Slice": {"c": np.array([0]), "d": np.array([1]), "e": np.array([0])},
    }[kind]
    given: dict[str, Any] = {"axis": 1} if kind == "Concat" else {}
    nodes = [
        helper.make_node("Relu", ["x"], ["r"], "relu"),
        helper.make_node(kind, ["r", *constants], ["y"], "one", **given),
    ]
    x = helper.make_tensor_value_info("x", 1, ["N", 2, 3, 3])
    y = helper.make_tensor_value_info("y", 1, None)
    tensors = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    graph = helper.make_graph(nodes, "one", [x], [y], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, tmp_path / "m.onnx")
    epimc.compile(tmp_path / "m.onnx", tmp_path / "out")
    report = verify(read_bundle(tmp_path / "out"))
    assert report.exact
    assert report.samples > 1
    assert (report.outputs[0].epitome_sqnr_db or 200) > 100
