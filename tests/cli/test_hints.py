"""Every error of `compile` about a good model says what to do, and doing it compiles the model."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnx.helper import make_node

import epimc
from epimc.backends.crossbar.target.schema import load_target
from epimc.cli.main import main

Array = NDArray[Any]

FLOAT, INT64, STRING = TensorProto.FLOAT, TensorProto.INT64, TensorProto.STRING
GENERATOR = np.random.default_rng(3)
KERNELS = GENERATOR.normal(size=(4, 3, 3, 3)).astype(np.float32)
MATRIX = GENERATOR.normal(size=(8, 4)).astype(np.float32)
CONV = make_node("Conv", ["x", "w"], ["y"], "conv")
MATMUL = make_node("MatMul", ["x", "m"], ["y"], "layer")


def model_of(
    nodes: Sequence[onnx.NodeProto],
    shape: Sequence[int | str] | None,
    element: int = FLOAT,
    result: int = FLOAT,
    more: Sequence[onnx.ValueInfoProto] = (),
) -> onnx.ModelProto:
    """A model from x to y with the weights w and m, as far as it has them."""
    constants = {"w": KERNELS, "m": MATRIX}
    read = {name for node in nodes for name in node.input}
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", element, shape), *more],
        [helper.make_tensor_value_info("y", result, None)],
        [numpy_helper.from_array(a, name) for name, a in constants.items() if name in read],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def sequence_model() -> onnx.ModelProto:
    """A model whose input is a list of tensors."""
    tensors = helper.make_sequence_type_proto(helper.make_tensor_type_proto(FLOAT, None))
    node = make_node("ConcatFromSequence", ["x"], ["y"], "join", axis=0)
    model = model_of([node], ["N"])
    model.graph.input[0].type.CopyFrom(tensors)
    return model


def samples(**arrays: Array) -> str:
    """A file with samples, in the current folder."""
    np.savez("samples.npz", **arrays)  # type: ignore[arg-type]  # Arrays by name.
    return "samples.npz"


def normal(*shape: int) -> Array:
    """Standard normal samples."""
    return GENERATOR.normal(size=shape).astype(np.float32)


def changed_target(**changes: str) -> str:
    """The file of the small target with other settings, `key = value` each."""
    text = load_target("tiny").to_toml()
    for key, value in changes.items():
        text, count = re.subn(rf"^{key} = .*$", f"{key} = {value}", text, flags=re.MULTILINE)
        assert count == 1
    Path("target.toml").write_text(text, encoding="utf-8")
    return "target.toml"


def sized(hint: str, **sizes: int) -> list[str]:
    """The options that a hint names, with sizes in the place of words."""
    options = re.findall(r"--shape (?:'[^']*'|\S+)", hint)
    assert options
    text = " ".join(options)
    for word, size in sizes.items():
        text, count = re.subn(rf"(?<=[=x]){word}(?=x|'|$)", str(size), text)
        assert count
    return shlex.split(text)


def option(hint: str, name: str) -> list[str]:
    """The option that a hint writes out."""
    match = re.search(rf"{name} ('[^']*'|\S+[^\s.])", hint)
    assert match is not None
    return shlex.split(match[0])


@dataclass(frozen=True)
class Case:
    """A good model that `compile` refuses.

    Attributes:
        model: Makes it.
        says: What the message begins with.
        follow: What the hint says, as options, made of the hint; it may change files.
        options: With which the model is refused.
    """

    model: Callable[[], onnx.ModelProto]
    says: str
    follow: Callable[[str], list[str]]
    options: Callable[[], list[str]] = list


CASES = {
    "open sizes, set": Case(
        lambda: model_of([CONV], ["N", 3, "H", "W"]),
        "Input 'x' has no fixed shape: [N, 3, H, W].",
        lambda hint: sized(hint, H=8, W=6),
    ),
    "open sizes, from samples": Case(
        lambda: model_of([CONV], ["N", 3, "H", "W"]),
        "Input 'x' has no fixed shape: [N, 3, H, W].",
        lambda hint: ["--calibration", samples(x=normal(4, 3, 8, 6))] * ("calibration" in hint),
    ),
    "no shape, set": Case(
        lambda: model_of([CONV], None),
        "Input 'x' has no shape.",
        lambda hint: sized(hint, C=3, H=8, W=6),
    ),
    "no shape, from samples": Case(
        lambda: model_of([CONV], None),
        "Input 'x' has no shape.",
        lambda hint: ["--calibration", samples(x=normal(4, 3, 8, 6))] * ("calibration" in hint),
    ),
    "declared wrongly": Case(
        lambda: model_of([MATMUL], ["N", 5]),
        "The shapes or types in the model do not fit together.",
        lambda hint: ["--shape", "x=1x8"] * ("(--shape)" in hint),
    ),
    "too much memory": Case(
        lambda: model_of([CONV], ["N", 3, 64, 64]),
        "Model file 'm.onnx' needs more memory than the limit of 100000 bytes.",
        lambda hint: ["--limit-bytes", "100000000"] * ("(--limit-bytes)" in hint),
        lambda: ["--limit-bytes", "100000"],
    ),
    "too large an input": Case(
        lambda: model_of([CONV], ["N", 3, 1000, 1000]),
        "Model file 'm.onnx' needs more memory than the limit of 100000000 bytes.",
        lambda hint: ["--limit-bytes", "100000000", "--shape", "x=1x3x8x8"] * ("shapes" in hint),
        lambda: ["--limit-bytes", "100000000"],
    ),
    "integers that are drawn": Case(
        lambda: model_of(
            [make_node("Reshape", ["x", "s"], ["y"], "reshape")],
            [1, 6],
            more=[helper.make_tensor_value_info("s", INT64, [1])],
        ),
        "onnxruntime cannot run the model.",
        lambda hint: (
            ["--calibration", samples(x=normal(2, 6), s=np.array([[6], [6]]))]
            * ("(--calibration)" in hint)
        ),
    ),
    "long work": Case(
        lambda: model_of([make_node("MatMul", ["x", "x"], ["y"], "square")], ["N", 3000, 3000]),
        "It takes 27000000000 steps for one sample;",
        lambda hint: ["--shape", "x=1x4x4"] * ("(--shape)" in hint),
    ),
    "many rows": Case(
        lambda: model_of([CONV], ["N", 3, 8, 8]),
        "All ops together compute and read ",
        lambda hint: option(hint, "-O"),
        lambda: ["-O", "place{limit_rows=9}"],
    ),
    "few tiles": Case(
        lambda: model_of([make_node("MatMul", ["x", "m"], ["y"], "layer")], ["N", 8]),
        "The model needs ",
        lambda hint: ["--target", changed_target(tiles='"auto"')] * ('chip.tiles = "auto"' in hint),
        lambda: ["--target", changed_target(tiles="1", rows="4", columns="4", crossbars="1")],
    ),
    "little memory off chip": Case(
        lambda: model_of([CONV], ["N", 3, 8, 8]),
        "One sample needs ",
        lambda hint: ["--target", changed_target()] * ("memory.off_chip_bytes" in hint),
        lambda: ["--target", changed_target(off_chip_bytes="64")],
    ),
    "strictly": Case(
        lambda: model_of([make_node("Hardmax", ["x"], ["y"], "hard")], ["N", 8]),
        "The host would run 1 node, which --strict forbids.",
        lambda hint: [] if "Compile without --strict" in hint else ["--strict"],
        lambda: ["--strict"],
    ),
}


def said(error: str) -> tuple[str, str]:
    """The message and the hint of what stands on standard error."""
    lines = error.splitlines()
    (message,) = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    (hint,) = [line.removeprefix("  hint: ") for line in lines if line.startswith("  hint: ")]
    return message, hint


@pytest.mark.parametrize("name", CASES)
def test_following_the_hint_compiles_the_model(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    case = CASES[name]
    onnx.save(case.model(), "m.onnx")
    command = ["compile", "m.onnx", "-o", "out", "--target", "tiny"]
    assert main([*command, *case.options()]) == 2
    message, hint = said(capsys.readouterr().err)
    assert not Path("out").exists()
    assert message.startswith(case.says)
    assert main([*command, *case.follow(hint)]) == 0, capsys.readouterr().err
    assert main(["verify", "out"]) == 0
    assert "\nexact: " in capsys.readouterr().out


# --- what no option of the command line mends -----------------------------------------------------


def refused(options: Sequence[str], capsys: pytest.CaptureFixture[str]) -> tuple[str, str]:
    """The message and the hint of a compile of `m.onnx` that fails."""
    assert main(["compile", "m.onnx", "-o", "out", "--target", "tiny", *options]) == 2
    return said(capsys.readouterr().err)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("here")
def test_lists_compile_in_python(capsys: pytest.CaptureFixture[str]) -> None:
    model = sequence_model()
    onnx.save(model, "m.onnx")
    message, hint = refused([], capsys)
    assert message.endswith("of which the command line knows nothing.")
    assert hint.startswith("Use the Python interface")
    data = {"x": [[normal(2, 3), normal(1, 3)], [normal(4, 3)]]}
    session = epimc.compile(model, "out", target="tiny", calibration=data)
    assert epimc.verify(session).exact


@pytest.mark.usefixtures("here")
def test_texts_compile_in_python(capsys: pytest.CaptureFixture[str]) -> None:
    model = model_of([make_node("Identity", ["x"], ["y"], "same")], [3], STRING, STRING)
    onnx.save(model, "m.onnx")
    _, hint = refused([], capsys)
    assert hint.startswith("Use the Python interface")
    data = {"x": [np.array(["A", "b", "C"], object)]}
    session = epimc.compile(model, "out", target="tiny", calibration=data)
    assert epimc.verify(session).exact


def test_external_data_is_put_where_the_hint_says(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    onnx.save(
        model_of([CONV], ["N", 3, 8, 8]),
        "m.onnx",
        save_as_external_data=True,
        location="weights.bin",
        size_threshold=0,
    )
    (here / "weights.bin").rename(here / "elsewhere")
    message, hint = refused([], capsys)
    assert message == "External data file 'weights.bin' of tensor 'w' does not exist."
    assert hint.startswith("Put it beside the model file")
    (here / "elsewhere").rename(here / "weights.bin")
    assert main(["compile", "m.onnx", "-o", "out", "--target", "tiny"]) == 0


BATCH = normal(4, 3, 8, 6)


@pytest.mark.parametrize(
    ("arrays", "hint", "mends"),
    [
        ({"z": BATCH}, "Rename the array 'z' to 'x'.", {"x": BATCH}),
        ({}, "Save the samples under the name 'x'.", {"x": BATCH}),
        (
            {"x": np.moveaxis(BATCH, 1, -1)},
            "Move its axes: array.transpose(0, 3, 1, 2).",
            {"x": np.moveaxis(BATCH, 1, -1).transpose(0, 3, 1, 2)},
        ),
        (
            {"x": BATCH[0]},
            "Add an axis for the samples: array[numpy.newaxis].",
            {"x": BATCH[0][np.newaxis]},
        ),
        (
            {"x": BATCH.reshape(4, -1)},
            "Shape its samples: array.reshape(-1, 3, 8, 6).",
            {"x": BATCH.reshape(-1, 3, 8, 6)},
        ),
        (
            {"x": np.concatenate([*BATCH])},
            "Stack the samples: numpy.stack(samples).",
            {"x": np.stack([*BATCH])},
        ),
        ({"x": BATCH[:0]}, "Save one sample at least.", {"x": BATCH[:1]}),
        (
            {"x": BATCH.astype(np.int64)},
            "Convert it by astype('float32'), and scale it as the model expects.",
            {"x": BATCH.astype(np.int64).astype("float32")},
        ),
        (
            {"x": BATCH, "labels": np.ones(4)},
            "Convert it by astype('int64').",
            {"x": BATCH, "labels": np.ones(4).astype("int64")},
        ),
        (
            {"x": BATCH, "labels": np.arange(3)},
            "Save the number of the class of each sample.",
            {"x": BATCH, "labels": np.arange(4)},
        ),
    ],
)
@pytest.mark.usefixtures("here")
def test_samples_that_do_not_fit(
    arrays: dict[str, Array],
    hint: str,
    mends: dict[str, Array],
    capsys: pytest.CaptureFixture[str],
) -> None:
    onnx.save(model_of([CONV], ["N", 3, 8, 6]), "m.onnx")
    assert refused(["--calibration", samples(**arrays)], capsys)[1] == hint
    command = ["compile", "m.onnx", "-o", "out", "--target", "tiny"]
    assert main([*command, "--calibration", samples(**mends)]) == 0
