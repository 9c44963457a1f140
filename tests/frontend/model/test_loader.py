"""Model files: what is read, and exactly what is said of those that are not."""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper
from onnx.helper import make_node

from epimc.frontend import import_model
from epimc.frontend.model.installed import newest_ir, newest_opset
from epimc.support.diagnostics import EpimcError

Array = NDArray[Any]
Build = Callable[..., onnx.ModelProto]

WEIGHTS = np.random.default_rng(0).standard_normal((4, 3, 3, 3)).astype(np.float32)
AGAIN = "  hint: Download or export it again."
LARGER = "  hint: Raise the limit (--limit-bytes)."
EXPORT = "  hint: Export the model to ONNX, for example with torch.onnx.export."
TENSORFLOW = "  hint: Convert the model to ONNX, for example with tf2onnx."
VALUES = 40_000
TRUST = "  hint: Use models from sources that you trust; external data must lie beside the model."


def save(model: onnx.ModelProto, path: Path) -> Path:
    """Write a model; returns the path."""
    path.write_bytes(model.SerializeToString())
    return path


def save_external(build: Build, folder: Path, **entries: str) -> Path:
    """Write a convolution whose weights lie in another file, with these entries."""
    model = build([make_node("Conv", ["x", "w"], ["y"])], constants={"w": WEIGHTS})
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in entries.items():
        tensor.external_data.add(key=key, value=value)
    return save(model, folder / "model.onnx")


def error_of(path: Path, **options: Any) -> str:
    """The rendered error of an import that fails, with the folder's name left out."""
    with pytest.raises(EpimcError) as caught:
        import_model(path, **options)
    assert caught.value.exit_code == 2
    return str(caught.value).replace(f"{path.parent}{os.sep}", "")


@pytest.fixture
def good(build: Build, tmp_path: Path) -> Path:
    """A model file that imports."""
    model = build([make_node("Conv", ["x", "w"], ["y"])], constants={"w": WEIGHTS})
    return save(model, tmp_path / "good.onnx")


def test_a_good_model(good: Path) -> None:
    imported = import_model(good)
    assert imported.module.name == "good"
    assert imported.module.level == "nn"
    assert imported.sha256 == hashlib.sha256(good.read_bytes()).hexdigest()
    assert [(port.name, port.shape) for port in imported.inputs] == [("x", (3, 9, 8))]
    assert [(port.name, port.shape) for port in imported.outputs] == [("y", (4, 7, 6))]
    assert imported.model.message().SerializeToString() == good.read_bytes()


def test_no_file(tmp_path: Path) -> None:
    assert error_of(tmp_path / "m.onnx") == "error: Model file 'm.onnx' does not exist."
    (tmp_path / "d.onnx").mkdir()
    assert error_of(tmp_path / "d.onnx") == (
        "error: 'd.onnx' is not a file.\n  hint: Name an ONNX file."
    )


def test_files_that_may_be_meant(good: Path, tmp_path: Path) -> None:
    assert f"\n  hint: Did you mean '{good.name}'?" in error_of(tmp_path / "god.onnx")
    assert "hint" not in error_of(tmp_path / "something.else")
    assert "hint" not in error_of(tmp_path / "no folder" / "good.onnx")
    (tmp_path / "exported").mkdir()
    good.rename(tmp_path / "exported" / "good.onnx")
    assert error_of(tmp_path / "exported").endswith(
        "hint: Name the file in it: 'exported/good.onnx'."
    )
    (tmp_path / "exported" / "manifest.json").touch()
    assert "hint: It is a bundle" in error_of(tmp_path / "exported")


def test_the_limit_counts_the_file(good: Path) -> None:
    size = good.stat().st_size
    # Values take some too.
    assert import_model(good, limit_bytes=size + VALUES).sha256
    assert "needs more memory than the limit" in error_of(good, limit_bytes=size)
    assert error_of(good, limit_bytes=size - 1) == (
        f"error: Model file 'good.onnx' has {size} bytes; the limit is {size - 1}.\n{LARGER}"
    )


@pytest.mark.parametrize(
    ("contents", "looks", "hint"),
    [
        (b"Just some text that is no model.\n", "", EXPORT),
        (json.dumps({"layers": [1, 2]}).encode(), "JSON text", EXPORT),
        (b"<!DOCTYPE html>\n<html>", "HTML or XML text", EXPORT),
        (b"\x89HDF\r\n\x1a\n" + bytes(64), "an HDF5 file, as Keras writes", TENSORFLOW),
        (b"\x1c\0\0\0TFL3" + bytes(64), "a model of TensorFlow Lite", TENSORFLOW),
        (b"\x1f\x8b" + bytes(64), "a gzip archive", "  hint: Unpack it first."),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0",
            "a Git LFS pointer: the model itself was not downloaded",
            "  hint: Download it: git lfs pull.",
        ),
        (bytes(64), "", EXPORT),
        (b"\xff" * 64, "", EXPORT),
    ],
)
def test_not_onnx(tmp_path: Path, contents: bytes, looks: str, hint: str) -> None:
    (tmp_path / "m.onnx").write_bytes(contents)
    note = f"  note: It looks like {looks}.\n" if looks else ""
    expected = f"error: 'm.onnx' is not an ONNX model.\n{note}{hint}"
    assert error_of(tmp_path / "m.onnx") == expected


def test_a_zip_archive(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "m.onnx", "w") as archive:
        archive.writestr("data.pkl", b"x" * 100)
    assert error_of(tmp_path / "m.onnx") == (
        "error: 'm.onnx' is not an ONNX model.\n"
        "  note: It looks like a zip archive, as PyTorch checkpoints and NumPy's .npz files are.\n"
        + EXPORT
    )


def test_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").touch()
    assert error_of(tmp_path / "m.onnx") == (
        "error: 'm.onnx' is not an ONNX model: the file is empty.\n"
        "  hint: Download or export it again."
    )


@pytest.mark.parametrize("kept", [0.01, 0.1, 0.5, 0.9, 0.999])
def test_a_truncated_model(good: Path, kept: float) -> None:
    data = good.read_bytes()
    good.write_bytes(data[: int(len(data) * kept)])
    assert error_of(good) == f"error: Model file 'good.onnx' is damaged or incomplete.\n{AGAIN}"


def test_a_text_that_is_no_utf8(good: Path) -> None:
    good.write_bytes(good.read_bytes().replace(b"graph", b"gr\xffph"))
    assert error_of(good) == f"error: Model file 'good.onnx' is damaged or incomplete.\n{AGAIN}"


def test_external_data(build: Build, tmp_path: Path) -> None:
    data = b"\1" * 16 + WEIGHTS.tobytes() + b"\2" * 5
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "w.bin").write_bytes(data)
    path = save_external(
        build, tmp_path, location="data/w.bin", offset="16", length=str(WEIGHTS.nbytes)
    )
    imported = import_model(path)
    np.testing.assert_array_equal(imported.module.tensors["w"].array, WEIGHTS)
    (tensor,) = imported.model.message().graph.initializer
    np.testing.assert_array_equal(numpy_helper.to_array(tensor), WEIGHTS)
    assert imported.sha256 == hashlib.sha256(path.read_bytes() + data).hexdigest()


@pytest.mark.parametrize("offset", [0, 16, 17, 4096])
def test_large_external_data_stay_in_their_file(offset: int, build: Build, tmp_path: Path) -> None:
    """No weight is read before it is used, where the machine can use it as it lies."""
    weights = np.random.default_rng(1).standard_normal((4, 3, 90, 90)).astype(np.float32)
    model = build([make_node("Conv", ["x", "w"], ["y"])], {"x": ["N", 3, 90, 90]}, {"w": weights})
    tensor = model.graph.initializer[0]
    data = bytes(offset) + tensor.raw_data + bytes(5)
    (tmp_path / "w.bin").write_bytes(data)
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    entries = {"location": "w.bin", "offset": offset, "length": weights.nbytes}
    for key, value in entries.items():
        tensor.external_data.add(key=key, value=str(value))
    path = save(model, tmp_path / "m.onnx")
    imported = import_model(path)
    np.testing.assert_array_equal(imported.module.tensors["w"].array, weights)
    in_file = np.frombuffer(imported.model.maps[0], np.uint8)
    assert np.shares_memory(imported.model.tensors["w"], in_file) == (offset % 16 == 0)
    assert imported.sha256 == hashlib.sha256(path.read_bytes() + data).hexdigest()


def test_external_data_to_the_end_of_the_file(build: Build, tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(WEIGHTS.tobytes())
    (tmp_path / "link.bin").symlink_to("w.bin")
    imported = import_model(save_external(build, tmp_path, location="link.bin"))
    np.testing.assert_array_equal(imported.module.tensors["w"].array, WEIGHTS)


@pytest.mark.parametrize(
    "location", ["/etc/hostname", "../w.bin", "a/../../w.bin", "C:\\w.bin", "..\\w.bin", "", "link"]
)
def test_external_data_stays_in_the_folder(build: Build, tmp_path: Path, location: str) -> None:
    (tmp_path / "w.bin").write_bytes(WEIGHTS.tobytes())
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "link").symlink_to(tmp_path / "w.bin")
    assert error_of(save_external(build, tmp_path / "inner", location=location)) == (
        "error: The external data of tensor 'w' is not in the model's folder.\n"
        f"  note: Its location is {location!r}.\n" + TRUST
    )


def test_external_data_without_a_file(build: Build, tmp_path: Path) -> None:
    assert error_of(save_external(build, tmp_path, location="w.bin")) == (
        "error: External data file 'w.bin' of tensor 'w' does not exist.\n"
        f"  hint: Put it beside the model file, into '{tmp_path}'."
    )
    (tmp_path / "w.bin").mkdir()
    assert error_of(save_external(build, tmp_path, location="w.bin")) == (
        "error: External data 'w.bin' of tensor 'w' is not a file."
    )
    assert error_of(save_external(build, tmp_path, location="w" * 5000)) == (
        "error: External data file of tensor 'w' cannot be read: File name too long."
    )


def test_external_data_outside_the_file(build: Build, tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(bytes(100))
    entries = {"location": "w.bin", "offset": "50", "length": "51"}
    assert error_of(save_external(build, tmp_path, **entries)) == (
        "error: Tensor 'w' lies outside its external data file 'w.bin'.\n"
        "  note: It ends at byte 101; the file has 100 bytes.\n"
        "  hint: Download or export the model again."
    )
    entries["offset"] = "-1"
    assert error_of(save_external(build, tmp_path, **entries)) == (
        "error: The external data of tensor 'w' has offset '-1'."
    )


def test_external_data_of_another_size(build: Build, tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(bytes(100))
    assert error_of(save_external(build, tmp_path, location="w.bin")) == (
        "error: Tensor 'w' is damaged: its data does not fit its shape [4, 3, 3, 3] and type.\n"
        "  hint: Download or export the model again."
    )


def test_external_data_counts_in_the_limit(build: Build, tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(WEIGHTS.tobytes())
    path = save_external(build, tmp_path, location="w.bin")
    size = path.stat().st_size
    assert import_model(path, limit_bytes=size + WEIGHTS.nbytes + VALUES).sha256
    assert error_of(path, limit_bytes=size + WEIGHTS.nbytes - 1) == (
        f"error: The external data of the model has {WEIGHTS.nbytes} bytes; "
        f"{WEIGHTS.nbytes - 1} are left of the limit.\n{LARGER}"
    )


def test_external_data_in_a_nested_tensor(build: Build, tmp_path: Path) -> None:
    tensor = onnx.TensorProto(name="inner", data_type=1, dims=[1])
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/hostname")
    constant = make_node("Constant", [], ["c"], value=tensor)
    model = build([constant, make_node("Add", ["x", "c"], ["y"])])
    assert error_of(save(model, tmp_path / "m.onnx")).startswith(
        "error: The external data of tensor 'inner' is not in the model's folder.\n"
    )


def test_versions(build: Build, tmp_path: Path) -> None:
    model = build([make_node("Relu", ["x"], ["y"])])
    path, newest = tmp_path / "m.onnx", newest_opset()

    for version in (2, newest_ir() + 1):
        model.ir_version = version
        assert error_of(save(model, path)) == (
            f"error: The model has ONNX IR version {version}; "
            f"epimc reads versions 3 to {newest_ir()}.\n"
            f"  hint: Export the model again, with opset {newest} or older."
        )
    model.ir_version = 8
    for opset in (0, newest + 1):
        model.opset_import[0].version = opset
        assert error_of(save(model, path)) == (
            f"error: The model uses opset {opset}; epimc reads opsets 1 to {newest}.\n"
            "  hint: Export the model again with a supported opset, or convert it with "
            "onnx.version_converter."
        )
    model.opset_import[0].version = 13
    assert error_of(save(model, path), newest_opset=12) == (
        "error: The model uses opset 13; epimc reads opsets 1 to 12.\n"
        "  hint: Export the model again with a supported opset, or convert it with "
        "onnx.version_converter."
    )
    model.opset_import[0].domain = "com.microsoft"
    assert error_of(save(model, path)) == (
        "error: The model does not say which opset of the ONNX operators it uses.\n"
        "  hint: Export the model again."
    )


def test_the_newest_opset_is_read(build: Build, tmp_path: Path) -> None:
    model = build([make_node("Relu", ["x"], ["y"])])
    model.opset_import[0].version = newest_opset()
    model.ir_version = newest_ir()
    assert import_model(save(model, tmp_path / "m.onnx")).module.ops


def test_a_model_against_the_standard(build: Build, tmp_path: Path) -> None:
    model = build([make_node("Relu", ["z"], ["y"], name="r")])
    assert error_of(save(model, tmp_path / "m.onnx")) == (
        "error: The model is not valid ONNX.\n"
        "  note: Nodes in a graph must be topologically sorted, however input 'z' "
        "of node: name: r OpType: Relu is not output of any previous nodes.\n"
        "  hint: Export the model again; onnx.checker.check_model says the same."
    )
    model = build([make_node("Rleu", ["x"], ["y"], name="r")])
    assert error_of(save(model, tmp_path / "m.onnx")) == (
        "error: The model is not valid ONNX.\n"
        "  note: node 'r' (Rleu): No Op registered for Rleu with domain_version of 13\n"
        "  hint: Export the model again; onnx.checker.check_model says the same."
    )


def test_damaged_contents_never_crash(build: Build, tmp_path: Path) -> None:
    """Whatever a flipped byte does, the answer is a module or an error of ours."""
    nodes = [
        make_node("Conv", ["x", "w"], ["c"], name="conv", strides=[1, 2], auto_pad="SAME_UPPER"),
        make_node("MaxPool", ["c"], ["p"], name="pool", kernel_shape=[2, 2]),
        make_node("Reshape", ["p", "s"], ["f"], name="reshape"),
        make_node("Gemm", ["f", "m"], ["y"], name="gemm"),
    ]
    constants = {
        "w": np.ones((2, 3, 1, 1), np.float32),
        "s": np.array([1, -1]),
        "m": np.ones((48, 1), np.float32),
    }
    data = build(nodes, constants=constants).SerializeToString()
    assert import_model(save(onnx.load_from_string(data), tmp_path / "m.onnx")).outputs
    draw = np.random.default_rng(0)
    refused = 0
    for _ in range(400):
        damaged = bytearray(data)
        damaged[draw.integers(len(data))] ^= 1 << draw.integers(8)
        (tmp_path / "m.onnx").write_bytes(damaged)
        try:
            import_model(tmp_path / "m.onnx")
        except EpimcError:
            refused += 1
    assert refused > 100


def test_onnx_finds_the_external_data_too(build: Build, tmp_path: Path) -> None:
    """What these tests write is external data as onnx itself understands it."""
    (tmp_path / "w.bin").write_bytes(WEIGHTS.tobytes())
    model = onnx.load(save_external(build, tmp_path, location="w.bin"))
    np.testing.assert_array_equal(numpy_helper.to_array(model.graph.initializer[0]), WEIGHTS)


def test_a_file_that_no_message_has(tmp_path: Path) -> None:
    path = tmp_path / "large.onnx"
    with path.open("wb") as file:
        file.truncate(2**31)
    message = error_of(path)
    assert "is not an ONNX model: it has 2147483648 bytes, and protobuf reads no more" in message
    assert message.endswith("hint: Export a large model with external data.")
