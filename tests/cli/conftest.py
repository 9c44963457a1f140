"""The command line in process, in a folder with a small model and its samples."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from epimc.cli.main import main
from epimc.samples.samples import write_samples

Array = NDArray[Any]

# What `compile` says on standard error when it has done without samples.
NO_SAMPLES = (
    "warning: no --calibration: standard normal samples were used, and figures mean little\n"
)


def small_model(
    nodes: Sequence[onnx.NodeProto] | None = None,
    constants: Mapping[str, Array] | None = None,
    shape: Sequence[int | str] | None = ("N", 3, 8, 8),
) -> onnx.ModelProto:
    """A model from x to y: a convolution and a relu unless other nodes are given."""
    weights = np.random.default_rng(1).standard_normal((2, 3, 3, 3))
    if nodes is None:
        nodes = [
            helper.make_node("Conv", ["x", "w"], ["c"], "conv"),
            helper.make_node("Relu", ["c"], ["y"], "relu"),
        ]
    tensors = {"w": weights} if constants is None else constants
    stored = [numpy_helper.from_array(v.astype(np.float32), k) for k, v in tensors.items()]
    inputs = [helper.make_tensor_value_info("x", 1, shape)]
    outputs = [helper.make_tensor_value_info("y", 1, None)]
    graph = helper.make_graph(list(nodes), "small", inputs, outputs, stored)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def contents(folder: Path) -> dict[str, bytes | None]:
    """All files and folders (None) below a folder."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


@dataclass(frozen=True)
class Result:
    """What a command gave."""

    code: int
    out: str
    err: str


Run = Callable[..., Result]
Refuse = Callable[..., str]


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with model.onnx, samples.npz and, in `bundle`, its program for `tiny`."""
    folder = tmp_path_factory.mktemp("prepared")
    onnx.save(small_model(), folder / "model.onnx")
    values = np.random.default_rng(0).standard_normal((4, 3, 8, 8)).astype(np.float32)
    write_samples(folder / "samples.npz", {"x": values})
    arguments = ["compile", str(folder / "model.onnx"), "-o", str(folder / "bundle")]
    arguments += ["--target", "tiny", "--calibration", str(folder / "samples.npz")]
    assert main(arguments) == 0
    return folder


@pytest.fixture
def here(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: a copy of `prepared`."""
    folder = tmp_path / "here"
    shutil.copytree(prepared, folder)
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def run(here: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command in `here`."""

    def call(*arguments: str) -> Result:
        capsys.readouterr()
        code = main(list(arguments))
        out, err = capsys.readouterr()
        return Result(code, out, err)

    return call


@pytest.fixture
def refuse(run: Run, here: Path) -> Refuse:
    """Run a command that must fail by bad input, write nothing and print nothing but an error."""

    def call(*arguments: str) -> str:
        before = contents(here)
        result = run(*arguments)
        assert (result.code, result.out) == (2, "")
        assert contents(here) == before
        return result.err

    return call
