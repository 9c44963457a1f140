"""Whatever ONNX nodes are called: data says it exactly, and what is printed stays on its lines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from epimc.backends.crossbar.isa.assembly import parse_program
from epimc.bundle.bundle import read_bundle
from epimc.cli.main import main
from epimc.ir.core.tensors import TensorStore
from epimc.ir.text.parser import parse_module
from epimc.samples.samples import write_samples
from tests.cli.conftest import small_model
from tests.crossbars import program_in

NAMES = {
    "parentheses": "layer(1)/softmax",
    "quotes": 'it\'s "so" `here`',
    "commas": "a, node 'b' (Relu), c",
    "words": "node 'conv' (Conv)",
    "lines": "two\nlines\r\tand a tab",
    "comment": "; halt // x",
    "scripts": "Faltung/ü/畳み込み/🙂/a\u2028b",
    "escapes": "\\n%s{0}\\",
    "location": "input",
}


def nodes_named(name: str) -> list[onnx.NodeProto]:
    """A convolution, a relu and a Softmax, which the host runs."""
    return [
        helper.make_node("Conv", ["x", "w"], ["c"], f"c{name}"),
        helper.make_node("Relu", ["c"], ["r"], f"r{name}"),
        helper.make_node("Softmax", ["r"], ["y"], name, axis=1),
    ]


@pytest.fixture(params=[pytest.param(name, id=key) for key, name in NAMES.items()])
def name(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A name of a node, with a model that uses it, `m.onnx`, in the current folder."""
    monkeypatch.chdir(tmp_path)
    chosen = str(request.param)
    weights = np.random.default_rng(1).standard_normal((2, 3, 3, 3))
    onnx.save(small_model(nodes_named(chosen), {"w": weights}), tmp_path / "m.onnx")
    values = np.random.default_rng(0).standard_normal((4, 3, 8, 8)).astype(np.float32)
    write_samples(tmp_path / "x.npz", {"x": values})
    return chosen


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What a command that must succeed prints."""
    capsys.readouterr()
    assert main(list(arguments)) == 0
    return capsys.readouterr().out


def data(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    """The same as JSON."""
    read = json.loads(printed(capsys, *arguments, "--json"))
    assert isinstance(read, dict)
    return read


def shown(name: str) -> str:
    """How a name is printed."""
    return "".join(character if character.isprintable() else " " for character in name)


def test_names_of_any_kind(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    conv, relu = {"op": "Conv", "name": f"c{name}"}, {"op": "Relu", "name": f"r{name}"}
    softmax = {"op": "Softmax", "name": name}

    table = printed(capsys, "compile", "m.onnx", "-o", "out", "--calibration", "x.npz")
    lines = table.splitlines()
    assert len(lines) == 9
    assert lines[2].startswith(f"c{shown(name)}  ")
    assert lines[4] == f"1 host call: Softmax '{shown(name)}'"
    assert lines[5].startswith("on the chip: 100.0 % of 1944 MACs, 2 of 3 nodes, ")
    assert lines[7] == "on the host:"
    assert lines[8].startswith(f"  node '{shown(name)}' (Softmax): ")

    maps = program_in(read_bundle(Path("out"))).maps
    assert [feature.nodes for feature in maps if ("Softmax", name) in feature.nodes] == [
        (("Softmax", name),)
    ]
    assert maps[0].nodes == ()

    summary = data(capsys, "inspect", "out")
    assert [layer["nodes"] for layer in summary["layers"]] == [[conv]]
    assert [call["nodes"] for call in summary["host_calls"]] == [[softmax]]

    plan = data(capsys, "plan", "m.onnx")
    assert [layer["nodes"] for layer in plan["layers"]] == [[conv]]
    model = data(capsys, "inspect", "m.onnx")
    # A call of the host, and its result.
    assert [layer["nodes"] for layer in model["layers"]] == [[conv], [relu], [softmax], [softmax]]


def test_what_verify_says(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    conv, relu = {"op": "Conv", "name": f"c{name}"}, {"op": "Relu", "name": f"r{name}"}
    assert main(["compile", "m.onnx", "-o", "out", "--calibration", "x.npz"]) == 0
    report = data(capsys, "verify", "out", "--layers")
    assert [conv, relu] in [layer["nodes"] for layer in report["layers"]]
    assert [conv, relu] in [layer["nodes"] for layer in report["layer_errors"]]
    lines = printed(capsys, "verify", "out", "--layers").splitlines()
    assert (
        sum(line.startswith(f"{shown(f'c{name}')}, {shown(f'r{name}')}  ") for line in lines) == 1
    )
    assert len(lines) == lines.index("") + 1 + 2 + len(report["layer_errors"]) + 2


def test_stages_and_counts(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compile", "m.onnx", "-o", "out", "--calibration", "x.npz"]) == 0
    listing = printed(capsys, "inspect", "out", "--stage", "asm")
    assert f"; node '{shown(name)}' (Softmax)\n" in listing
    assert parse_program(listing, "listing") == program_in(read_bundle(Path("out"))).streams

    text = printed(capsys, "inspect", "out", "--stage", "nn")
    module = parse_module(text, "nn.epi", TensorStore(Path("out/ir/tensors")))
    assert [op.location.nodes for op in module.ops] == [
        (("Conv", f"c{name}"),),
        (("Relu", f"r{name}"),),
        (("Softmax", name),),
        (("Softmax", name),),
    ]

    counted = data(capsys, "run", "out", "--input", "x.npz", "--output", "y.npz", "--stats")
    (first, *others) = counted["stats"]["layers"]
    assert (first["nodes"], first["input"]) == ([], True)
    assert not any(layer["input"] for layer in others)
    assert [{"op": "Softmax", "name": name}] in [layer["nodes"] for layer in others]
