"""Bundles that somebody has changed, checksums and all: refused, or proven wrong, and harmless."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import epimc
from epimc.cli.main import main
from epimc.runtime import guard
from tests.helpers.bundles import change_manifest, list_file, rechecksum

MODELS = ["reference/integer.onnx", "reference/float.onnx", "reference/epi.onnx", "host/host1.onnx"]

Outcome = tuple[int, str]


def network() -> onnx.ModelProto:
    """A convolution, and what the host runs: a softmax, and its sums along an axis."""
    weights = np.random.default_rng(0).standard_normal((4, 3, 3, 3)).astype(np.float32)
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], "conv", pads=[1] * 4),
        helper.make_node("Softmax", ["c"], ["s"], "soft", axis=1),
        helper.make_node("CumSum", ["s", "axis"], ["a"], "sums"),
        helper.make_node("Relu", ["a"], ["y"], "relu"),
    ]
    x = helper.make_tensor_value_info("x", 1, ["N", 3, 6, 6])
    y = helper.make_tensor_value_info("y", 1, ["N", 4, 6, 6])
    arrays = {"w": weights, "axis": np.array(2)}
    constants = [numpy_helper.from_array(array, name) for name, array in arrays.items()]
    graph = helper.make_graph(nodes, "g", [x], [y], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle, with samples beside it."""
    folder = tmp_path_factory.mktemp("hostile")
    samples = np.random.default_rng(1).standard_normal((3, 3, 6, 6)).astype(np.float32)
    np.savez(folder / "x.npz", x=samples)
    data = network().SerializeToString()
    epimc.compile(data, folder / "out", target="tiny", calibration=folder / "x.npz")
    return folder / "out"


def change(bundle: Path, name: str, how: Callable[[onnx.ModelProto], None]) -> None:
    """Change a model of a bundle, and the checksums after it."""
    model = onnx.load_model_from_string((bundle / name).read_bytes())
    how(model)
    (bundle / name).write_bytes(model.SerializeToString())
    rechecksum(bundle)


def outside(model: onnx.ModelProto) -> None:
    """Have a tensor lie in the current folder."""
    tensor = model.graph.initializer[0]
    Path("w.bin").write_bytes(tensor.raw_data)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="w.bin")


def test_the_bundle_is_good_before_it_is_changed(outcome: Callable[[str], Outcome]) -> None:
    assert [outcome(command) for command in ("check", "inspect", "verify", "run")] == 4 * [(0, "")]


@pytest.mark.parametrize("listed", [False, True])
@pytest.mark.parametrize("name", MODELS)
def test_external_data_is_not_read(
    name: str, listed: bool, bundle: Path, outcome: Callable[[str], Outcome]
) -> None:
    change(bundle, name, outside)
    if listed:
        shutil.copy("w.bin", bundle / name.split("/")[0] / "w.bin")
        list_file(bundle, f"{name.split('/')[0]}/w.bin")
    code, said = outcome("verify")
    assert code == 2
    assert said.count("error: ") == 1
    assert "in another file." in said or "is not what epimc writes." in said
    # Without the references a program runs; not without its fragments.
    assert outcome("run")[0] == (2 if name.startswith("host/") else 0)


def test_a_reference_that_is_not_listed_is_not_used(
    bundle: Path, outcome: Callable[[str], Outcome]
) -> None:
    def unlist(manifest: dict[str, dict[str, str]]) -> None:
        for name in [*manifest["files"]]:
            if name.startswith("reference/"):
                del manifest["files"][name]

    change_manifest(bundle, unlist)
    assert outcome("verify") == (
        2,
        "error: Bundle 'out' has no 'reference/integer.onnx': it cannot be verified.\n"
        "  hint: Compile the model again.\n",
    )
    assert outcome("run")[0] == 0


@pytest.mark.parametrize("command", ["check", "inspect", "verify", "run"])
@pytest.mark.parametrize("name", ["reference", "host", "reference/epi.onnx", "host/host1.onnx"])
def test_links_are_not_followed(
    name: str, command: str, bundle: Path, outcome: Callable[[str], Outcome]
) -> None:
    (bundle / name).rename("moved")
    (bundle / name).symlink_to(Path("moved").absolute())
    code, said = outcome(command)
    assert (code, said.count("error: ")) == (2, 1)
    assert "is a link, or lies behind one." in said


@pytest.mark.parametrize("command", ["check", "inspect", "verify", "run"])
@pytest.mark.parametrize("name", ["manifest.json", "program.bin", "reference/float.onnx"])
def test_nobody_waits_for_a_pipe(
    name: str, command: str, bundle: Path, outcome: Callable[[str], Outcome]
) -> None:
    (bundle / name).unlink()
    os.mkfifo(bundle / name)
    assert outcome(command) == (2, f"error: File '{name}' of bundle 'out' is no regular file.\n")


def grown(model: onnx.ModelProto) -> None:
    """Have a model make a huge tensor first, of which nothing depends."""
    model.graph.initializer.append(numpy_helper.from_array(np.array([2**34]), "huge"))
    nodes = [
        helper.make_node("ConstantOfShape", ["huge"], ["many"], "many"),
        helper.make_node("ReduceMax", ["many"], ["most"], "most"),
        *model.graph.node,
    ]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


@pytest.mark.parametrize("name", MODELS)
def test_no_model_takes_all_memory(
    name: str, bundle: Path, outcome: Callable[[str], Outcome]
) -> None:
    change(bundle, name, grown)
    code, said = outcome("verify")
    if name == "reference/epi.onnx":
        # Its epitomes are the weights themselves: the float model stands for it.
        assert (code, said) == (0, "")
        return
    assert (code, said.count("error: ")) == (2, 1)
    # Of the integer reference, all is declared.
    assert "ConstantOfShape" in said or "is not what epimc writes." in said


def endless(model: onnx.ModelProto) -> None:
    """Have a loop without a count and with a condition that stays true make the first result."""
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["on"]), helper.make_node("Neg", ["a"], ["b"])],
        "body",
        [
            helper.make_tensor_value_info("k", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("a", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("b", 1, None),
        ],
    )
    name = model.graph.output[0].name
    (maker,) = (node for node in model.graph.node if name in node.output)
    maker.output[0] = "before"
    model.graph.node.append(helper.make_node("Loop", ["", "", "before"], [name], body=body))


def test_a_fragment_does_not_run_for_ever(
    bundle: Path, outcome: Callable[[str], Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "LONGEST_LOOPS", 0.3)
    change(bundle, "host/host1.onnx", endless)
    for command in ("verify", "run"):
        code, said = outcome(command)
        assert (code, said.count("error: ")) == (2, 1)
        assert "Its loops have not come to an end within 0.3 seconds." in said


@pytest.mark.parametrize("command", ["check", "inspect", "verify", "run"])
def test_a_bundle_takes_no_more_than_the_limit(
    command: str, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = ["--input", "x.npz", "--output", "y.npz"] if command == "run" else []
    assert main([command, str(bundle), *more, "--limit-bytes", "5000"]) == 2
    said = capsys.readouterr().err
    assert said.startswith(
        "error: Bundle 'out' needs more memory than the limit of 5000 bytes.\n  note: File '"
    )
