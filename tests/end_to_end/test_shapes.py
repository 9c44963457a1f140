"""Models whose declared shapes are open or wrong, with the shapes that users ask for."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import epimc
from epimc.cli.main import main
from epimc.results.summaries import ModelSummary
from epimc.support.diagnostics import EpimcError


def model_of(*shapes: Any, outputs: Any = ("N", 2, "H", "W")) -> onnx.ModelProto:
    """A convolution of the first input, plus the others."""
    weights = np.random.default_rng(0).standard_normal((2, 3, 3, 3)).astype(np.float32)
    nodes = [helper.make_node("Conv", ["x0", "w"], ["c0"], pads=[1, 1, 1, 1], name="conv")]
    nodes += [
        helper.make_node("Add", [f"c{index - 1}", f"x{index}"], [f"c{index}"])
        for index in range(1, len(shapes))
    ]
    nodes.append(helper.make_node("Relu", [f"c{len(shapes) - 1}"], ["y"]))
    graph = helper.make_graph(
        nodes,
        "net",
        [
            helper.make_tensor_value_info(f"x{index}", TensorProto.FLOAT, shape)
            for index, shape in enumerate(shapes)
        ],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, outputs)],
        [numpy_helper.from_array(weights, "w")],
        value_info=[helper.make_tensor_value_info("c0", TensorProto.FLOAT, ("N", 2, "H", "W"))],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A model with open height and width."""
    onnx.save(model_of(("N", 3, "H", "W")), tmp_path / "m.onnx")
    return tmp_path / "m.onnx"


def declared(bundle: Path) -> list[int]:
    """The shape of the input of the model that a bundle keeps."""
    kept = onnx.load(bundle / "reference" / "float.onnx")
    return [dim.dim_value for dim in kept.graph.input[0].type.tensor_type.shape.dim]


@pytest.mark.parametrize("command", ["compile", "plan", "inspect"])
def test_following_the_hint(
    command: str, path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = ["-o", str(tmp_path / "out"), "--target", "tiny"] if command == "compile" else []
    arguments = [command, str(path), *more]
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert said == (
        "error: Input 'x0' has no fixed shape: [N, 3, H, W].\n"
        "  hint: Set it by --shape 'x0=1x3xHxW' with the sizes of your data; "
        "calibration samples say it too.\n"
    )
    option = re.search(r"--shape '.*?'", said)
    assert option is not None
    # As it stands it says which sizes are missing.
    assert main([*arguments, *shlex.split(option[0])]) == 2
    assert capsys.readouterr().err == (
        "error: Shape 'x0=1x3xHxW' is not complete: 'H' is no size.\n"
        "  hint: Write it as NAME=1x3x224x224.\n"
    )
    filled = option[0].replace("H", "6").replace("W", "5")
    assert main([*arguments, *shlex.split(filled)]) == 0
    if command == "compile":
        assert declared(tmp_path / "out") == [1, 3, 6, 5]
        assert main(["verify", str(tmp_path / "out")]) == 0


@pytest.mark.parametrize(
    "shapes",
    [
        [("N", 3, "H", "W"), ("N", 2, "H", "W")],
        # Wrong ones.
        [(1, 3, 9, 9), (1, 2, 9, 9)],
        [(7, 3), None],
    ],
)
def test_shapes_from_python(shapes: list[Any], tmp_path: Path) -> None:
    model = model_of(*shapes, outputs=(1, 2, 9, 9))
    before = model.SerializeToString(deterministic=True)
    wanted = {"x0": (1, 3, 6, 5), "x1": (1, 2, 6, 5)}
    session = epimc.compile(model, tmp_path / "out", target="tiny", shapes=wanted)
    assert [port.shape for port in session.get_inputs()] == [("N", 3, 6, 5), ("N", 2, 6, 5)]
    assert declared(tmp_path / "out") == [1, 3, 6, 5]
    assert epimc.verify(session).exact
    summary = epimc.inspect(model, shapes=wanted)
    assert isinstance(summary, ModelSummary)
    assert summary.outputs[0].shape == (2, 6, 5)
    assert epimc.plan(model, target="tiny", shapes=wanted).to_json()["weights"] == 54
    # The user's own is as it was.
    assert model.SerializeToString(deterministic=True) == before


@pytest.mark.parametrize("form", ["file", "array", "batches", "mapping"])
def test_calibration_data_say_the_sizes(form: str, path: Path, tmp_path: Path) -> None:
    data = np.random.default_rng(0).standard_normal((3, 3, 6, 5)).astype(np.float32)
    np.savez(tmp_path / "x.npz", x0=data)
    samples: Any = {
        "file": tmp_path / "x.npz",
        "array": data,
        "batches": iter([data[:1], data[1:]]),
        "mapping": {"x0": data},
    }[form]
    session = epimc.compile(path, tmp_path / "out", target="tiny", calibration=samples)
    assert session.get_inputs()[0].shape == ("N", 3, 6, 5)
    # The number of samples stays free.
    kept = onnx.load(tmp_path / "out" / "reference" / "float.onnx")
    dims = kept.graph.input[0].type.tensor_type.shape.dim
    assert [dim.dim_param or dim.dim_value for dim in dims] == ["N", 3, 6, 5]
    assert epimc.verify(session).exact


def test_shapes_stand_above_calibration_data(path: Path, tmp_path: Path) -> None:
    data = np.zeros((3, 3, 6, 5), np.float32)
    with pytest.raises(EpimcError) as caught:
        epimc.compile(path, tmp_path / "out", calibration=data, shapes={"x0": (1, 3, 8, 8)})
    assert str(caught.value) == (
        "error: Array 'x0' of the calibration data has a wrong shape.\n"
        "  note: Expected (n, 3, 8, 8), found (3, 3, 6, 5)."
    )


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        (["x=1x3x8x8"], "The model has no input 'x'."),
        (["x0"], "Shape 'x0' names no input."),
        (["x0=1x3x2147483647x2147483647"], "Model file 'm.onnx' needs more memory than the limit"),
        (["x0=1x3x8x8", "x0=1x3x8x8"], "Input 'x0' is given two shapes."),
    ],
)
def test_wrong_shapes(
    shapes: list[str],
    message: str,
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(path.parent)
    options = [word for shape in shapes for word in ("--shape", shape)]
    for arguments in (["compile", "-o", "out"], ["plan"], ["inspect"]):
        assert main([*arguments, path.name, *options]) == 2
        assert capsys.readouterr().err.startswith(f"error: {message}")


def test_a_bundle_has_its_shapes(path: Path, tmp_path: Path) -> None:
    epimc.compile(path, tmp_path / "out", target="tiny", shapes={"x0": (1, 3, 6, 5)})
    with pytest.raises(EpimcError) as caught:
        epimc.inspect(tmp_path / "out", shapes={"x0": (1, 3, 6, 5)})
    assert caught.value.diagnostic.message == (
        f"'{tmp_path / 'out'}' is a bundle: its shapes are set when a model is compiled."
    )


def test_a_fixed_batch_can_be_asked_for(path: Path, tmp_path: Path) -> None:
    data = np.random.default_rng(0).standard_normal((5, 3, 6, 5)).astype(np.float32)
    session = epimc.compile(
        path, tmp_path / "out", target="tiny", calibration=data, shapes={"x0": (2, 3, 6, 5)}
    )
    assert declared(tmp_path / "out") == [2, 3, 6, 5]
    assert epimc.verify(session, data).exact
