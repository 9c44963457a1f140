"""The example data is what examples/README.md says, and the example script runs."""

from __future__ import annotations

import gzip
import importlib.util
import re
from pathlib import Path
from types import ModuleType

import numpy as np
import onnx
import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"
DATA = [
    pytest.param("mnist", "mnist-conv", "Input3", 250, id="mnist"),
    pytest.param("fashion", "fashion-resnet8", "input", 256, id="fashion"),
]


def arrays(name: str) -> dict[str, np.ndarray]:
    """The arrays of a file in the folder."""
    with np.load(EXAMPLES / name, allow_pickle=False) as file:
        return dict(file)


def script(name: str) -> ModuleType:
    """A script of the folder, imported from its file."""
    spec = importlib.util.spec_from_file_location(f"examples_{name}", EXAMPLES / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(("data", "model", "key", "calibrated"), DATA)
def test_data_has_the_documented_form(data: str, model: str, key: str, calibrated: int) -> None:
    calibration, test = arrays(f"{data}-calibration.npz"), arrays(f"{data}-test.npz")
    assert set(calibration) == {key}
    assert set(test) == {key, "labels"}
    assert calibration[key].shape == (calibrated, 1, 28, 28)
    assert test[key].shape == (500, 1, 28, 28)
    assert calibration[key].dtype == test[key].dtype == np.float32
    assert test["labels"].shape == (500,)
    assert test["labels"].dtype == np.int64
    assert set(test["labels"]) == set(range(10))


@pytest.mark.parametrize(("data", "model", "key", "calibrated"), DATA)
def test_data_fits_the_model(data: str, model: str, key: str, calibrated: int) -> None:
    graph = onnx.load(EXAMPLES / f"{model}.onnx").graph
    constants = {constant.name for constant in graph.initializer}
    (entry,) = (entry for entry in graph.input if entry.name not in constants)
    dimensions = entry.type.tensor_type.shape.dim
    assert entry.name == key
    assert [dimension.dim_value for dimension in dimensions][1:] == [1, 28, 28]


@pytest.mark.parametrize(("data", "model", "key", "calibrated"), DATA)
def test_no_test_image_is_used_for_calibration(
    data: str, model: str, key: str, calibrated: int
) -> None:
    calibration, test = arrays(f"{data}-calibration.npz")[key], arrays(f"{data}-test.npz")[key]
    assert not {image.tobytes() for image in calibration} & {image.tobytes() for image in test}


def test_the_first_digits_show_every_class() -> None:
    assert list(arrays("mnist-test.npz")["labels"][:20]) == [*range(10), *range(10)]


def test_compile_and_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    script("compile_and_run").main()
    right, total = map(int, re.findall(r"\d+", capsys.readouterr().out.splitlines()[-1]))
    assert (tmp_path / "out" / "manifest.json").is_file()
    assert total == 100
    assert right >= 95


def test_digits_are_prepared_as_documented(tmp_path: Path) -> None:
    """Ten rows a class: the tests get the first of each ten, the calibration every other sixth."""
    rows = [[*([number] * 784), label] for label in range(2) for number in range(20)]
    text = "\n".join(",".join(map(str, row)) for row in rows)
    (tmp_path / "digits.csv.gz").write_bytes(gzip.compress(text.encode()))
    script("prepare_data").main(["mnist", str(tmp_path / "digits.csv.gz"), "--out", str(tmp_path)])
    with np.load(tmp_path / "mnist-test.npz") as test:
        assert list(test["labels"]) == [0, 1, 0, 1]
        assert list((test["Input3"][:, 0, 0, 0] * 255).round()) == [0, 0, 10, 10]
    with np.load(tmp_path / "mnist-calibration.npz") as calibration:
        assert list((calibration["Input3"][:, 0, 0, 0] * 255).round()) == [5, 5]


def test_idx_files_are_checked(tmp_path: Path) -> None:
    read_idx = script("prepare_data").read_idx
    path = tmp_path / "images.gz"
    path.write_bytes(gzip.compress(bytes((0, 0, 8, 2, 0, 0, 0, 1, 0, 0, 0, 3, 7, 8, 9))))
    assert read_idx(path).tolist() == [[7, 8, 9]]
    path.write_bytes(gzip.compress(b"no idx"))
    with pytest.raises(ValueError, match="not an idx file"):
        read_idx(path)
