"""Inputs that users fix as they compile: weights, axes and bounds that a model takes as inputs."""

from __future__ import annotations

import os
import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import epimc
from epimc.cli.main import main
from epimc.frontend.model.constants import array_for
from epimc.results.summaries import ModelSummary
from epimc.support.diagnostics import EpimcError

WEIGHTS = np.random.default_rng(0).standard_normal((2, 3, 3, 3)).astype(np.float32)
IMAGE = np.random.default_rng(1).standard_normal((1, 3, 6, 5)).astype(np.float32)


HOSTILE = ("evil", "zip", "nothing", "texts", "endless", "open", "nested", "true", "long", "bytes")


def hostile_files() -> dict[str, bytes]:
    """Files that are no arrays of numbers."""
    headers = {
        "nothing": "{'descr': '|V0', 'fortran_order': False, 'shape': (1000000000000,)}",
        "texts": "{'descr': '|S0', 'fortran_order': False, 'shape': (100000000,)}",
        "endless": f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({2**70},)}}",
        "open": "{'descr': '<f4', 'fortran_order': False, 'shape': (3,",
        "nested": "-" * 9000 + "1",
        "true": "{'descr': '<f4', 'fortran_order': False, 'shape': (True,)}",
        "long": "{'descr': '<f4', 'fortran_order': False, 'shape': (1,)}" + " " * 20000,
    }
    files = {
        name: b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()
        for name, text in headers.items()
    }
    objects = {"evil": pickle.dumps({"x": 1}), "zip": b"PK\x03\x04junk", "bytes": b"\x93NUMPY"}
    return files | objects


def model_of(ir_version: int = 9, **shapes: Any) -> onnx.ModelProto:
    """A convolution, bounded, and summed over axes: all parameters are inputs."""
    dims = {"x": (1, 3, 6, 5), "w": (2, 3, 3, 3), "low": (), "axes": (1,), **shapes}
    kinds = dict.fromkeys(dims, TensorProto.FLOAT) | {"axes": TensorProto.INT64}
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], name="conv"),
        helper.make_node("Clip", ["c", "low"], ["b"], name="clip"),
        helper.make_node("ReduceSum", ["b", "axes"], ["y"], name="sum"),
    ]
    inputs = [helper.make_tensor_value_info(name, kinds[name], dims[name]) for name in dims]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)]
    graph = helper.make_graph(nodes, "net", inputs, outputs)
    opsets = [helper.make_opsetid("", 18)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=ir_version)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with a model and its weights."""
    onnx.save(model_of(), tmp_path / "m.onnx")
    np.save(tmp_path / "w.npy", WEIGHTS)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_following_the_warning(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compile", "m.onnx", "-o", "out", "--target", "tiny"]) == 0
    warned = capsys.readouterr().err
    assert (
        "warning: input 'w' and 2 more must be known as the chip is programmed: fixed by "
        "--constant NAME=VALUE, more of the model may be on it\n"
    ) in warned
    options = ["--constant", "w=w.npy", "--constant", "low=-0.5", "--constant", "axes=3"]
    compile_it = ["compile", "m.onnx", "-o", "out", "--target", "tiny", "--strict", *options]
    assert main(compile_it) == 0
    assert "--constant" not in capsys.readouterr().err
    assert main(["verify", "out"]) == 0
    assert main(["inspect", "m.onnx", *options]) == 0
    assert "3 of 3 nodes" in capsys.readouterr().out
    assert main(["plan", "m.onnx", "--target", "tiny", *options]) == 0


@pytest.mark.parametrize("ir_version", [3, 4, 9])
def test_from_python(ir_version: int, tmp_path: Path) -> None:
    model = model_of(ir_version)
    before = model.SerializeToString(deterministic=True)
    # Decimals are rounded to the type of the input, and a line of one number is a number.
    constants: dict[str, Any] = {"w": WEIGHTS.astype(np.float64), "low": [-0.5], "axes": (2, 3)[1:]}
    session = epimc.compile(
        model, tmp_path / "out", target="tiny", constants=constants, calibration=IMAGE
    )
    assert [port.name for port in session.get_inputs()] == ["x"]
    assert epimc.verify(session).exact
    (y,) = session.run(None, {"x": IMAGE})
    assert y.shape == (1, 2, 4, 1)
    windows = np.lib.stride_tricks.sliding_window_view(IMAGE[0], (3, 3, 3))[0]
    sums = np.einsum("yxcij,ocij->oyx", windows, WEIGHTS).clip(-0.5).sum(-1)
    assert np.abs(y[0, ..., 0] - sums).max() < 0.05 * np.abs(sums).max()
    summary = epimc.inspect(model, constants=constants)
    assert isinstance(summary, ModelSummary)
    assert [port.name for port in summary.inputs] == ["x"]
    assert epimc.plan(model, target="tiny", constants=constants).to_json()["weights"] == 54
    assert model.SerializeToString(deterministic=True) == before


@pytest.mark.parametrize(
    ("constants", "message"),
    [
        (["v=1"], "The model has no input 'v'."),
        (["=1"], "Constant '=1' names no input."),
        (["axes"], "Constant 'axes' names no input."),
        (["axes=1", "axes=2"], "Input 'axes' is fixed twice."),
        (["axes=1,,2"], "Constant 'axes=1,,2' is not complete: a number is missing."),
        (["axes=one"], "Constant 'axes=one' is not complete: 'one' is no number."),
        (["axes=" + "9" * 70], "Constant 'axes=999"),
        (["axes=1,2"], "Input 'axes' cannot be fixed to an array of shape [2]: the model declares"),
        (["axes=[]"], "Input 'axes' cannot be fixed to an array of shape [0]: the model declares"),
        (["axes=1.5"], "Input 'axes' cannot be fixed to these numbers of type float64: the model"),
        (["axes=99999999999999999999"], "Input 'axes' cannot be fixed to these numbers of type"),
        (["w=none.npy"], "File 'none.npy' cannot be read: No such file or directory."),
        (["w=m.onnx.npy"], "File 'm.onnx.npy' is no array of NumPy."),
        (["w=folder.npy"], "'folder.npy' is not a file."),
        (["w=pipe.npy"], "'pipe.npy' is not a file."),
        *((["w=" + name + ".npy"], f"File '{name}.npy' is no array of NumPy.") for name in HOSTILE),
        (["w=cut.npy"], "File 'cut.npy' is no array of NumPy."),
        (["w=many.npy"], "File 'many.npy' is no array of NumPy."),
    ],
)
def test_wrong_constants(
    constants: list[str], message: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "m.onnx.npy").write_bytes((here / "m.onnx").read_bytes())
    for name, data in hostile_files().items():
        (here / f"{name}.npy").write_bytes(data)
    (here / "folder.npy").mkdir()
    os.mkfifo(here / "pipe.npy")
    (here / "cut.npy").write_bytes((here / "w.npy").read_bytes()[:-9])
    np.savez(here / "many.npz", w=WEIGHTS)
    (here / "many.npz").rename(here / "many.npy")
    options = [word for constant in constants for word in ("--constant", constant)]
    for arguments in (["compile", "-o", "out"], ["plan"], ["inspect"]):
        assert main([*arguments, "m.onnx", *options]) == 2
        assert capsys.readouterr().err.startswith(f"error: {message}")
    assert not (here / "out").exists()


@pytest.mark.parametrize(
    ("constants", "message"),
    [
        ([1], "Constants cannot be [1]."),
        ({1: [2]}, "Constants cannot be {1: [2]}."),
        ({"axes": [[1], [2, 3]]}, "An input cannot be fixed to what is no array: "),
        ({"axes": "one"}, "Input 'axes' cannot be fixed to an array of shape []"),
        ({"axes": ["1"]}, "Input 'axes' cannot be fixed to these numbers of type <U1"),
        ({"low": 1j}, "Input 'low' cannot be fixed to these numbers of type complex128"),
    ],
)
def test_wrong_constants_from_python(constants: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(EpimcError) as caught:
        epimc.compile(model_of(), tmp_path / "out", constants=constants)
    assert caught.value.diagnostic.message.startswith(message)


def test_a_hint_shows_how(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", "m.onnx", "--constant", "axes=x"]) == 2
    assert capsys.readouterr().err == (
        "error: Constant 'axes=x' is not complete: 'x' is no number.\n"
        "  hint: Write it as NAME=1,2 or NAME=FILE.npy.\n"
    )


def test_what_is_open_gets_the_shape_of_its_constant(tmp_path: Path) -> None:
    model = model_of(w=("O", 3, "K", "K"))
    constants: dict[str, Any] = {"w": WEIGHTS, "low": 0.0, "axes": [1]}
    session = epimc.compile(model, tmp_path / "out", target="tiny", constants=constants)
    assert session.bundle.manifest.on_chip.nodes_on_chip == 3
    assert epimc.verify(session).exact


def test_no_numbers_cannot_be_fixed(tmp_path: Path) -> None:
    inputs = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 4)),
        helper.make_tensor_value_info("text", TensorProto.STRING, (1,)),
    ]
    outputs = [helper.make_tensor_value_info(name, 1, None) for name in ("y",)]
    outputs.append(helper.make_tensor_value_info("same", TensorProto.STRING, (1,)))
    nodes = [
        helper.make_node("Relu", ["x"], ["y"]),
        helper.make_node("Identity", ["text"], ["same"]),
    ]
    model = helper.make_model(helper.make_graph(nodes, "net", inputs, outputs), ir_version=9)
    with pytest.raises(EpimcError, match="Input 'text' is no tensor of numbers"):
        epimc.compile(model, tmp_path / "out", constants={"text": ["a"]})


def test_a_bundle_has_its_constants(tmp_path: Path) -> None:
    constants: dict[str, Any] = {"w": WEIGHTS, "low": 0.0, "axes": [1]}
    epimc.compile(model_of(), tmp_path / "out", target="tiny", constants=constants)
    expected = f"'{tmp_path / 'out'}' is a bundle: its constants are set"
    with pytest.raises(EpimcError, match=re.escape(expected)):
        epimc.inspect(tmp_path / "out", constants=constants)


def test_a_file_has_a_limit(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save(here / "large.npy", np.zeros(100_000, np.float32))
    limit = ["--limit-bytes", "100000"]
    assert main(["inspect", "m.onnx", "--constant", "w=large.npy", *limit]) == 2
    assert capsys.readouterr().err == (
        "error: File 'large.npy' has 400128 bytes; the limit is 100000.\n"
    )


def test_sizes_that_inputs_share(tmp_path: Path) -> None:
    inputs = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, ("N", "K")),
        helper.make_tensor_value_info("w", TensorProto.FLOAT, ("K", 3)),
    ]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, ("N", 3))]
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    model = helper.make_model(helper.make_graph([node], "net", inputs, outputs), ir_version=9)
    session = epimc.compile(model, tmp_path / "out", constants={"w": np.ones((4, 3), "f4")})
    assert session.get_inputs()[0].shape == ("N", 4)
    with pytest.raises(EpimcError, match="The size 'K' of the inputs is set twice: to 4 by 'w'"):
        epimc.compile(
            model_sharing(), tmp_path / "out", constants={"w": np.ones((4, 3)), "v": np.ones(5)}
        )


def model_sharing() -> onnx.ModelProto:
    """Three inputs of one open size."""
    shapes: dict[str, Any] = {"x": ("N", "K"), "w": ("K", 3), "v": ("K",)}
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, dims)
        for name, dims in shapes.items()
    ]
    nodes = [
        helper.make_node("Add", ["x", "v"], ["s"]),
        helper.make_node("MatMul", ["s", "w"], ["y"]),
    ]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, ("N", 3))]
    return helper.make_model(helper.make_graph(nodes, "net", inputs, outputs), ir_version=9)


@pytest.mark.parametrize(
    ("element", "value", "dtype"),
    [
        (TensorProto.INT4, 1.5, "float64"),
        (TensorProto.INT4, 9, "int64"),
        (TensorProto.FLOAT16, 1e6, "float64"),
        (TensorProto.FLOAT, 1e300, "float64"),
        (TensorProto.BOOL, 2, "int64"),
    ],
)
def test_numbers_that_a_type_has_not(element: int, value: float, dtype: str) -> None:
    entry = helper.make_tensor_value_info("z", element, ())
    with pytest.raises(EpimcError, match=f"cannot be fixed to these numbers of type {dtype}"):
        array_for(entry, value, 2**20)


@pytest.mark.parametrize("name", ["W.NPY", "f.npy", "b.npy"])
def test_files_of_numpy(name: str, here: Path) -> None:
    arrays = {"W.NPY": WEIGHTS, "f.npy": np.asfortranarray(WEIGHTS), "b.npy": WEIGHTS.astype(">f4")}
    with (here / name).open("wb") as file:
        np.save(file, arrays[name])
    read = array_for(model_of().graph.input[1], Path(name), 2**20)
    assert read.dtype == np.dtype(np.float32)
    assert read.tolist() == WEIGHTS.tolist()


def test_a_stage_is_of_a_bundle(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", "out", "--stage", "nn", "--constant", "w=1"]) == 2
    assert capsys.readouterr().err == (
        "error: --stage is for a bundle, whose inputs are set when a model is compiled.\n"
    )
