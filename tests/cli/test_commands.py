"""Every command with good input: what it prints, what it writes, what `--json` holds."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper
from rich.cells import cell_len

import epimc
from epimc.bundle.bundle import read_bundle
from epimc.support.rendering import WIDTH
from tests.cli.conftest import NO_SAMPLES, Run, contents, small_model
from tests.crossbars import program_in

EXAMPLES = Path(epimc.__file__).parents[1] / "examples"

PROGRAM_KEYS = {
    "crossbars", "host_calls", "instructions", "layers", "lossless_adc", "off_chip_bytes",
    "spilled", "tiles",
}  # fmt: skip
LAYER_KEYS = {"crossbars", "epitome", "name", "nodes", "rounds", "tiles", "weight_bits"}
VERIFY_KEYS = {
    "accuracy", "epitomized_accuracy", "exact", "float_accuracy", "identity_plans", "layer_errors",
    "mismatches", "outputs", "samples", "top1_agreement",
}  # fmt: skip
OUTPUT_KEYS = {
    "cosine", "epitome_sqnr_db", "max_abs_error", "mismatches", "name", "quantization_sqnr_db",
    "sqnr_db",
}  # fmt: skip


def parsed(run: Run, *arguments: str) -> dict[str, Any]:
    """What a command prints as JSON."""
    result = run(*arguments, "--json")
    assert (result.code, result.err) == (0, "")
    actual = json.loads(result.out, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
    assert isinstance(actual, dict)
    return actual


def test_compile(run: Run, here: Path) -> None:
    arguments = ["compile", "model.onnx", "-o", "out", "--target", "tiny"]
    result = run(*arguments, "--calibration", "samples.npz")
    assert (result.code, result.err) == (0, "")
    lines = result.out.splitlines()
    assert lines[0].split() == ["layer", "epitome", "bits", "rounds", "crossbars", "tiles"]
    assert lines[2].split() == ["conv", "27x2", "8", "1", "1", "0"]
    assert lines[-2].startswith("1 crossbar on 1 tile, ")
    assert lines[-1] == "on the chip: 100.0 % of 1944 MACs, 2 of 2 nodes, 100.0 % of the bytes"
    assert contents(here / "out") == contents(here / "bundle")


def test_compile_without_samples_warns(run: Run, here: Path) -> None:
    result = run("compile", "model.onnx", "-o", "out")
    assert (result.code, result.err) == (0, NO_SAMPLES)
    manifest = read_bundle(here / "out").manifest
    assert manifest.options.calibration == "standard normal, seed 0"


def test_compile_json(run: Run) -> None:
    arguments = ["compile", "model.onnx", "-o", "out", "--calibration", "samples.npz"]
    actual = parsed(run, *arguments)
    assert set(actual) >= PROGRAM_KEYS
    (layer,) = actual["layers"]
    assert set(layer) >= LAYER_KEYS
    assert actual["lossless_adc"] is True
    assert actual["instructions"]["mvm"] == 6


def test_compile_dumps_and_prints_ir(run: Run, here: Path) -> None:
    arguments = ["compile", "model.onnx", "-o", "out", "--calibration", "samples.npz"]
    result = run(*arguments, "--dump-ir", "dumps", "--print-ir-after", "fold")
    assert result.code == 0
    dumped = (here / "dumps" / "02-fold.epi").read_text()
    assert result.err == f"// IR after 02-fold\n{dumped}\n"
    assert contents(here / "dumps") == contents(here / "out" / "ir")


def test_compile_replaces_a_bundle(run: Run, here: Path) -> None:
    """All of it: no file of the old one stays."""
    (here / "bundle" / "ir" / "old.epi").write_text("")
    manifest = here / "bundle" / "manifest.json"
    stated = json.loads(manifest.read_text())
    stated["files"]["ir/old.epi"] = hashlib.sha256(b"").hexdigest()
    manifest.write_text(json.dumps(stated))
    result = run("compile", "model.onnx", "-o", "bundle", "--calibration", "samples.npz")
    assert result.code == 0
    assert read_bundle(here / "bundle").target.name == "epim-256"
    assert not (here / "bundle" / "ir" / "old.epi").exists()
    assert sorted(path.name for path in here.iterdir()) == ["bundle", "model.onnx", "samples.npz"]


def test_run(run: Run, here: Path) -> None:
    result = run("run", "bundle", "--input", "samples.npz", "--output", "y.npz")
    assert (result.code, result.out, result.err) == (0, "4 samples: y -> y.npz\n", "")
    with np.load(here / "y.npz") as file, np.load(here / "samples.npz") as samples:
        assert list(file) == ["y"]
        (expected,) = epimc.load(here / "bundle").run(None, {"x": samples["x"]})
        np.testing.assert_array_equal(file["y"], expected)
        assert file["y"].dtype == np.float32
        assert file["y"].shape == (4, 2, 6, 6)


def test_verify(run: Run) -> None:
    result = run("verify", "bundle")
    assert (result.code, result.err) == (0, "")
    lines = result.out.splitlines()
    assert lines[0].split("  ")[0] == "output"
    assert lines[2].split()[:2] == ["y", "0"]
    # The accumulators and the activations, of 2 x 6 x 6 elements each.
    assert lines[3] == "exact: 2 layers, 576 integers on 4 samples against onnxruntime"
    assert len(lines) == 4
    assert run("verify", "bundle", "--input", "samples.npz") == result


def test_verify_json_without_classes_or_labels(run: Run) -> None:
    actual = parsed(run, "verify", "bundle")
    assert set(actual) >= VERIFY_KEYS
    assert (actual["exact"], actual["mismatches"], actual["samples"]) == (True, 0, 4)
    assert actual["top1_agreement"] is actual["accuracy"] is actual["float_accuracy"] is None
    (output,) = actual["outputs"]
    assert set(output) == OUTPUT_KEYS
    assert (output["name"], output["mismatches"]) == ("y", 0)
    assert output["sqnr_db"] > 20
    assert 0.99 < output["cosine"] <= 1
    assert output["max_abs_error"] > 0


def test_verify_json_of_a_classifier(run: Run) -> None:
    model, data = EXAMPLES / "mnist-conv.onnx", EXAMPLES / "mnist-calibration.npz"
    assert run("compile", str(model), "-o", "out", "--calibration", str(data)).code == 0
    actual = parsed(run, "verify", "out", "--input", str(EXAMPLES / "mnist-test.npz"))
    assert (actual["samples"], actual["exact"]) == (500, True)
    assert actual["top1_agreement"] >= 0.99
    assert actual["accuracy"] >= 0.98
    assert actual["float_accuracy"] >= 0.98
    text = run("verify", "out", "--input", str(EXAMPLES / "mnist-test.npz")).out
    assert f"top-1 agreement with the float model: {100 * actual['top1_agreement']:.2f} %\n" in text
    assert f"accuracy: {100 * actual['accuracy']:.2f} %\n" in text
    # The bundle's own samples have no labels, and sums say of themselves nothing of classes.
    kept = parsed(run, "verify", "out")
    assert kept["top1_agreement"] is kept["accuracy"] is kept["float_accuracy"] is None


def test_inspect(run: Run) -> None:
    result = run("inspect", "bundle")
    assert result.code == 0
    first, *table = result.out.splitlines()
    assert first == "model.onnx for tiny, by epimc 0.1.0: 8-bit weights, 8-bit activations"
    arguments = ["compile", "model.onnx", "-o", "out", "--target", "tiny"]
    compiled = run(*arguments, "--calibration", "samples.npz")
    assert sorted(table) == sorted([*compiled.out.splitlines(), "samples lie along axis 0"])
    actual = parsed(run, "inspect", "bundle")
    assert set(actual) >= {*PROGRAM_KEYS, "manifest"}
    assert actual["manifest"]["model"]["name"] == "model.onnx"
    wanted = "layout,fold,equalize{when=measured},epitomize"
    assert actual["manifest"]["options"]["passes"].startswith(wanted)


def test_inspect_a_model(run: Run) -> None:
    actual = parsed(run, "inspect", "model.onnx")
    assert set(actual) >= {"inputs", "layers", "level", "name", "ops", "outputs", "weights"}
    kinds = ("tensor(float)[N, 3, 8, 8]", "tensor(float)[N, 2, 6, 6]")
    assert actual["inputs"] == [{"name": "x", "shape": [3, 8, 8], "type": kinds[0]}]
    assert actual["outputs"] == [{"name": "y", "shape": [2, 6, 6], "type": kinds[1]}]
    assert actual["ops"] == {"nn.conv": 1, "nn.relu": 1}
    assert actual["weights"] == 54
    lines = run("inspect", "model.onnx").out.splitlines()
    assert [line.split() for line in lines[2:4]] == [
        ["conv", "nn.conv", "2x6x6"],
        ["relu", "nn.relu", "2x6x6"],
    ]


def test_plan(run: Run) -> None:
    result = run("plan", "model.onnx")
    assert (result.code, result.err) == (0, "")
    actual = parsed(run, "plan", "model.onnx")
    (layer,) = actual["layers"]
    assert layer["weights_shape"] == [2, 3, 3, 3]


def test_check(run: Run, here: Path) -> None:
    program = program_in(read_bundle(here / "bundle"))
    count = sum(len(stream) for stream in program.streams)
    size = f"{count} instructions on 1 tile"
    assert run("check", "bundle").out == f"good: {size}\n"
    actual = parsed(run, "check", "bundle")
    assert (actual["good"], actual["problems"], actual["size"]) == (True, [], size)


def test_asm_and_disasm_are_inverse(run: Run, here: Path) -> None:
    text = (here / "bundle" / "program.asm").read_text()
    binary = (here / "bundle" / "program.bin").read_bytes()
    result = run("asm", "bundle/program.asm", "-o", "x.bin")
    assert (result.code, result.out, result.err) == (0, "", "")
    assert (here / "x.bin").read_bytes() == binary
    assert run("disasm", "x.bin", "-o", "x.asm").code == 0
    assert (here / "x.asm").read_text() == text
    assert run("disasm", "bundle/program.bin").out == text


def test_targets(run: Run) -> None:
    lines = run("targets").out.splitlines()
    assert lines[0].split() == ["target", "description"]
    actual = parsed(run, "targets")
    names = [target["name"] for target in actual["targets"]]
    assert {"epim-256", "tiny"} <= set(names)
    assert [line.split()[0] for line in lines[2:]] == names
    for name in names:
        assert run("targets", name).out.startswith(f'schema = 1\nname = "{name}"\n')
        assert parsed(run, "targets", name)["name"] == name


def test_ops(run: Run) -> None:
    lines = run("ops").out.splitlines()
    assert lines[0].split()[:3] == ["operator", "since", "becomes"]
    listed = parsed(run, "ops")["operators"]
    assert [line.split()[0] for line in lines[2:]] == [item["name"] for item in listed]
    names = [item["name"] for item in listed]
    assert names == sorted(names)
    assert {"Conv", "Cast", "Shape"} <= {*names}
    for item in listed:
        document = parsed(run, "ops", item["name"])
        assert document == {"format": 1, "kind": "operator", **item}
        assert run("ops", item["name"]).out.startswith(f"{item['name']}: {item['doc']}.\n")


def test_an_operator_in_full(run: Run) -> None:
    assert run("ops", "Split").out == (
        "Split: Along any axis but the samples'.\n"
        "  read from opset 7 on\n"
        "  computed inputs: it becomes ops of the IR\n"
        "  constant inputs: it becomes a constant\n"
        "  its input may have more dims than a value of the IR has\n"
        "  every output may be used, not the first one only\n"
        "  constant on the chip: inputs 1, counted from 0\n"
    )
    assert run("ops", "Reshape").out.startswith("Reshape: Of samples of one to three dims")
    assert parsed(run, "ops", "Shape") == {
        "format": 1, "kind": "operator",
        "name": "Shape", "since": 7, "imported": False, "folded": True, "shape_only": True,
        "more_dims": False, "all_results": False, "parameters": [],
        "doc": "Of anything with a fixed shape",
        "details": "",
    }  # fmt: skip


def test_a_target_that_was_printed_can_be_used(run: Run, here: Path) -> None:
    (here / "mine.toml").write_text(run("targets", "tiny").out)
    arguments = ["compile", "model.onnx", "-o", "out", "--calibration", "samples.npz"]
    assert run(*arguments, "--target", "mine.toml").code == 0
    assert contents(here / "out") == contents(here / "bundle")


def long_model(name: str) -> onnx.ModelProto:
    """A model whose nodes and tensors have such names."""
    nodes = [
        helper.make_node("Conv", ["x", f"{name}.weight"], [f"{name}.conv"], f"{name}/conv"),
        helper.make_node("Relu", [f"{name}.conv"], ["y"], f"{name}/relu"),
    ]
    return small_model(nodes, {f"{name}.weight": np.ones((2, 3, 3, 3))})


LONG_NAMES = ("a/very/deep/module" * 17, "卷积" * 100, "two\nlines\tand a \x1b[31mcolour " * 10)


@pytest.mark.parametrize("name", LONG_NAMES, ids=["long", "chinese", "control"])
def test_text_is_no_wider_than_100_columns(run: Run, here: Path, name: str) -> None:
    onnx.save(long_model(name), here / "long.onnx")
    compiled = run("compile", "long.onnx", "-o", "long", "--calibration", "samples.npz")
    files = ["--input", "samples.npz", "--output", f"{'y' * 200}.npz", "--stats"]
    shown = [
        compiled,
        *(run("inspect", each) for each in ("long.onnx", "long")),
        run("plan", "long.onnx"),
        run("verify", "long", "--layers"),
        run("run", "long", *files),
    ]
    for result in shown:
        assert (result.code, result.err) == (0, "")
        assert "…" in result.out
        lines = result.out.removesuffix("\n").split("\n")
        assert max(map(cell_len, lines)) <= WIDTH
        assert all(line.isprintable() for line in lines)


def test_tables_are_no_wider_than_100_columns(run: Run, here: Path) -> None:
    assert WIDTH == 100
    fashion = ["--calibration", str(EXAMPLES / "fashion-calibration.npz"), "--target", "tiny"]
    model = str(EXAMPLES / "fashion-resnet8.onnx")
    shown = [
        run("compile", model, "-o", "fashion", *fashion),
        *(run("inspect", name) for name in ("fashion", model)),
        run("plan", model),
        run("verify", "fashion"),
        run("targets"),
        run("ops"),
        run("--help"),
    ]
    for result in shown:
        assert (result.code, result.err) == (0, "")
        assert max(map(len, result.out.splitlines())) <= WIDTH
