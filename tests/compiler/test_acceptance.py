"""Models that pass ONNX's checker, but that onnxruntime does not load, or not run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from epimc.api import compile
from epimc.backends.onnx.large import LargeModel
from epimc.compiler.acceptance import require_accepted
from epimc.compiler.drawing import drawn_samples
from epimc.frontend import ImportedModel, ModelPort
from epimc.ir.core.module import Module
from epimc.support.diagnostics import EpimcError, render
from epimc.support.port_types import PortType
from epimc.support.sample_types import Shaped

LARGEST = 2**63 - 1


def saved(folder: Path, node: onnx.NodeProto, opset: int, **constants: list[int]) -> Path:
    """A model of one node over an image, which nothing infers shapes from."""
    border = [helper.make_tensor_value_info("x", 1, ["N", 3, 6, 5])]
    result = [helper.make_tensor_value_info("y", 1, None)]
    tensors = [numpy_helper.from_array(np.array(v, np.int64), k) for k, v in constants.items()]
    graph = helper.make_graph([node], "g", border, result, tensors)
    opsets = [helper.make_opsetid("", opset)]
    path = folder / "model.onnx"
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)
    return path


def refusal(path: Path) -> tuple[str, str]:
    """The first two lines of what is said about a model."""
    with pytest.raises(EpimcError) as caught:
        compile(path, path.parent / "out")
    assert caught.value.exit_code == 2
    assert not (path.parent / "out").exists()
    first, second, *_ = render(caught.value.diagnostic).splitlines()
    return first, second


def test_a_split_into_more_parts_than_it_has_outputs(tmp_path: Path) -> None:
    node = helper.make_node("Split", ["x"], ["y", "z"], "n", axis=2, num_outputs=7)
    first, second = refusal(saved(tmp_path, node, 18))
    assert first.startswith("error: ")
    assert "node 'n' (Split)" in second


@pytest.mark.parametrize("op_type", ["Flatten", "Softmax", "Concat", "Gather"])
@pytest.mark.parametrize("axis", [5, -5, 2**31, LARGEST, -LARGEST - 1])
def test_an_axis_that_is_not_there(op_type: str, axis: int, tmp_path: Path) -> None:
    inputs = {"Concat": ["x", "x"], "Gather": ["x", "i"]}.get(op_type, ["x"])
    if op_type == "Softmax" and abs(axis) > 2**32:
        pytest.skip("onnxruntime takes the lower bits of the number, which are an axis")
    node = helper.make_node(op_type, inputs, ["y"], "n", axis=axis)
    constants = {"i": [0, 1]} if op_type == "Gather" else {}
    first, second = refusal(saved(tmp_path, node, 13, **constants))
    assert first.startswith("error: ")
    assert f"node 'n' ({op_type})" in second


NORMAL = drawn_samples([Shaped("x", (3, 6, 5))], 2, 0)


def imported(node: onnx.NodeProto, opset: int, shape: tuple[int, ...]) -> ImportedModel:
    """A model of one node as if it had passed the import, with a result of this shape."""
    border = [helper.make_tensor_value_info("x", 1, ["N", 3, 6, 5])]
    result = [helper.make_tensor_value_info("y", 1, None)]
    graph = helper.make_graph([node], "g", border, result)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    entries, results = [port("x", (3, 6, 5))], [port("y", shape)]
    return ImportedModel(Module("m", "nn"), "", LargeModel.of(model), entries, results)


def port(name: str, shape: tuple[int, ...]) -> ModelPort:
    """A float32 input or output, the samples first."""
    return ModelPort(name, PortType(dims=shape))


def test_what_onnxruntime_does_not_load_is_told_with_its_node() -> None:
    model = imported(helper.make_node("Transpose", ["x"], ["y"], "n", perm=[0, 1, 2, 9]), 13, (1,))
    with pytest.raises(EpimcError) as caught:
        require_accepted(model, NORMAL)
    assert str(caught.value).startswith(
        "error: onnxruntime refuses the model.\n  --> node 'n' (Transpose)\n  note: "
    )


def test_what_onnxruntime_does_not_run_is_told_with_its_node() -> None:
    model = imported(helper.make_node("Flatten", ["x"], ["y"], "n", axis=LARGEST), 13, (90,))
    with pytest.raises(EpimcError) as caught:
        require_accepted(model, NORMAL)
    assert str(caught.value).startswith(
        "error: onnxruntime cannot run the model.\n  --> node 'n' (Flatten)\n  note: "
    )


def test_results_have_the_shapes_of_the_program() -> None:
    flat = imported(helper.make_node("Flatten", ["x"], ["y"], "n"), 13, (90,))
    require_accepted(flat, NORMAL)
    with pytest.raises(EpimcError) as caught:
        require_accepted(replace(flat, outputs=[port("y", (3, 30))]), NORMAL)
    assert str(caught.value) == (
        "error: Output 'y' has the shape [1, 90] in onnxruntime, and [1, 3, 30] by ONNX's rules.\n"
        "  hint: Export the model again; one sample must give one sample's results."
    )
