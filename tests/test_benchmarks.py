"""The benchmarks run, on data of the right form."""

from __future__ import annotations

import gzip
import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

ROOT = Path(__file__).parent.parent


def script(name: str) -> ModuleType:
    """A benchmark, imported from its file."""
    path = ROOT / "benchmarks" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"benchmarks_{name}", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The first test images of the examples, in the files that Fashion-MNIST publishes."""
    with np.load(ROOT / "examples" / "fashion-test.npz") as file:
        images, labels = file["input"][:50, 0], file["labels"][:50]
    pixels = np.rint((images * 0.353 + 0.286) * 255).astype(np.uint8)
    for name, array in (("images-idx3", pixels), ("labels-idx1", labels.astype(np.uint8))):
        header = bytes((0, 0, 8, array.ndim)) + np.array(array.shape, ">u4").tobytes()
        path = tmp_path / f"t10k-{name}-ubyte.gz"
        path.write_bytes(gzip.compress(header + array.tobytes()))
    return tmp_path


def test_accuracy(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    accuracy = script("accuracy")
    assert accuracy.main(["--data", str(data), "--limit", "100"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "fashion-resnet8.onnx on epim-256, W8A8, 50 images"
    shown = [float(line.split(":")[1].split()[0]) for line in lines[1:]]
    floats, program, difference, same = shown
    assert floats >= 84
    assert program >= 84
    assert difference == pytest.approx(program - floats)
    assert same >= 94


def test_accuracy_fails_when_too_much_is_lost(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--data", str(data), "--weight-bits", "2", "--activation-bits", "4"]
    assert script("accuracy").main(arguments) == 1
    assert capsys.readouterr().err.startswith("the program loses ")


def test_accuracy_names_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"error: .*t10k-images-idx3-ubyte\.gz"):
        script("accuracy").main(["--data", str(tmp_path)])


@pytest.mark.parametrize("more", [[], ["--leave-one-out"]])
def test_quantizers(more: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    folder = ROOT / "examples"
    arguments = [str(folder / "blazeface-front-128.onnx"), *more]
    for option, data in (("--calibration", "calibration"), ("--input", "test")):
        arguments += [option, str(folder / f"blazeface-{data}.npz")]
    assert script("quantizers").main(arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 + 4
    for line in lines[2:]:
        _, ours, peer, difference = line.split()
        assert float(difference) == pytest.approx(float(ours) - float(peer), abs=0.02)
        assert float(ours) > 10
        assert float(difference) > (2 if more else -0.5)


def test_quantizers_fails_when_an_output_is_much_worse(
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = ROOT / "examples"
    arguments = [str(folder / "mnist-conv.onnx"), "--limit=-100"]
    arguments += ["--calibration", str(folder / "mnist-test.npz")]
    arguments += ["--input", str(folder / "mnist-calibration.npz")]
    assert script("quantizers").main(arguments) == 1
    assert capsys.readouterr().err.startswith("an output is worse by ")


@pytest.mark.parametrize("network", ["tall", "deep", "wide", "spilled"])
def test_scaling(network: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert script("scaling").main([network, "3", "12", "--least", "0"]) == 0
    head, *lines = (line.split() for line in capsys.readouterr().out.splitlines())
    assert [head[0], head[1], head[-1]] == [network, "import", "all"]
    assert {"schedule", "allocate", "emit", "check"} < {*head}
    assert [line[0] for line in lines] == ["3", "12"]
    for line in lines:
        *stages, everything = map(float, line[1:])
        assert len(stages) == len(head) - 2
        # Each is rounded to hundredths.
        assert everything == pytest.approx(sum(stages), abs=0.005 * len(line))
        assert everything > 0
