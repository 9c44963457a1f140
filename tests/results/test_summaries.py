"""What `inspect` and `compile` say of a model of which the host runs a part."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx.helper import make_node

import epimc
from epimc.cli.main import main
from epimc.results.summaries import ModelSummary
from tests.end_to_end.host_models import model_of

NODES = [
    make_node("MatMul", ["x", "w"], ["a"], "layer"),
    make_node("Hardmax", ["a"], ["b"], "first"),
    make_node("Hardmax", ["b"], ["c"], "second"),
    make_node("Neg", ["c"], ["y"], "last"),
]
MODEL = model_of(NODES, (6,), ["y"], {"w": np.ones((6, 5), np.float32)})


def test_a_model_of_which_the_host_runs_a_part() -> None:
    summary = epimc.inspect(MODEL)
    assert isinstance(summary, ModelSummary)
    # What the host runs has nodes, and no weights of the chip.
    assert summary.weights == 30
    lines = str(summary).splitlines()
    start = lines.index("on the host:")
    assert lines[start + 1] == "  Hardmax: 2 nodes, first 'first': it has no form on the chip"
    reasons = {each.node.name: each.reason for each in summary.nodes if not each.on_chip}
    assert reasons["first"] == reasons["second"] == "it has no form on the chip"


def test_compile_says_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "m.onnx").write_bytes(MODEL.SerializeToString())
    assert main(["compile", str(tmp_path / "m.onnx"), "-o", str(tmp_path / "out")]) == 0
    lines = capsys.readouterr().out.splitlines()
    shown = str(epimc.inspect(MODEL)).splitlines()
    assert lines[lines.index("on the host:") :] == shown[shown.index("on the host:") :]
    assert max(map(len, lines)) <= 100
