"""`compile` of a model that cannot be: the whole message, and nothing is written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from tests.cli.conftest import Refuse, small_model


def test_no_such_file(refuse: Refuse) -> None:
    expected = "error: Model file 'missing.onnx' does not exist.\n"
    assert refuse("compile", "missing.onnx", "-o", "out") == expected


def test_a_folder(refuse: Refuse) -> None:
    assert refuse("compile", "bundle", "-o", "out") == (
        "error: 'bundle' is not a file.\n"
        "  hint: It is a bundle, which is compiled: run, verify or inspect it.\n"
    )


@pytest.mark.parametrize("data", [b"hello", b"\x89PNG\r\n", bytes(range(1, 99))])
def test_not_onnx(data: bytes, here: Path, refuse: Refuse) -> None:
    (here / "text.onnx").write_bytes(data)
    assert refuse("compile", "text.onnx", "-o", "out") == (
        "error: 'text.onnx' is not an ONNX model.\n"
        "  hint: Export the model to ONNX, for example with torch.onnx.export.\n"
    )


def test_truncated(here: Path, refuse: Refuse) -> None:
    data = (here / "model.onnx").read_bytes()
    (here / "cut.onnx").write_bytes(data[: len(data) // 2])
    assert refuse("compile", "cut.onnx", "-o", "out") == (
        "error: Model file 'cut.onnx' is damaged or incomplete.\n"
        "  hint: Download or export it again.\n"
    )


@pytest.mark.parametrize("place", ["../secret.bin", "a/../../secret.bin"])
def test_external_data_that_leaves_the_folder(place: str, here: Path, refuse: Refuse) -> None:
    model = small_model()
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", place
    (here.parent / "secret.bin").write_bytes(bytes(1000))
    (here / "escape.onnx").write_bytes(model.SerializeToString())
    assert refuse("compile", "escape.onnx", "-o", "out") == (
        "error: The external data of tensor 'w' is not in the model's folder.\n"
        f"  note: Its location is '{place}'.\n"
        "  hint: Use models from sources that you trust; external data must lie beside the model.\n"
    )


def test_no_input_shape(here: Path, refuse: Refuse) -> None:
    onnx.save(small_model(shape=None), here / "shapeless.onnx")
    assert refuse("compile", "shapeless.onnx", "-o", "out") == (
        "error: Input 'x' has no shape.\n"
        "  hint: Set it by --shape 'x=1xCxHxW' with the sizes of your data; "
        "calibration samples say it too.\n"
    )


def test_why_nodes_run_on_the_host(here: Path, refuse: Refuse) -> None:
    nodes = [
        helper.make_node("Hardmax", ["x"], ["a"], "first"),
        helper.make_node("LRN", ["a"], ["b"], "second", size=3),
        helper.make_node("Conv", ["b", "w"], ["y"], "third"),
    ]
    onnx.save(small_model(nodes, {"w": np.ones((3, 3, 3, 3))}), here / "hosted.onnx")
    lines = refuse("compile", "hosted.onnx", "-o", "out", "--strict").splitlines()
    assert lines[0] == "error: The host would run 2 nodes, which --strict forbids."
    assert lines[1] == ("  note: Hardmax, LRN: 2 nodes, first 'first': it has no form on the chip.")
    assert lines[2].startswith("  hint: ")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite(value: float, here: Path, refuse: Refuse) -> None:
    weights = np.ones((2, 3, 3, 3))
    weights[1, 2, 0, 1] = value
    onnx.save(small_model(constants={"w": weights}), here / "nan.onnx")
    lines = refuse("compile", "nan.onnx", "-o", "out", "--strict").splitlines()
    assert lines[1] == "  note: node 'conv' (Conv): input 'w' holds NaN or infinity."


def test_inspect_refuses_them_alike(here: Path, refuse: Refuse) -> None:
    (here / "text.onnx").write_text("hello")
    assert refuse("inspect", "text.onnx") == refuse("compile", "text.onnx", "-o", "out")
    assert refuse("inspect", "nothing") == "error: Model file 'nothing' does not exist.\n"
