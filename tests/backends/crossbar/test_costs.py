"""`epimc run --stats`: what it prints."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from epimc.bundle.bundle import write_bundle
from epimc.cli.main import main
from epimc.support.rendering import fitted
from tests.backends.crossbar.bundles import bundle_of
from tests.backends.crossbar.programs import conv_program

pytestmark = pytest.mark.smoke

TABLE = """\
value  instr  rounds  reads  no reuse   ADC   DAC  joint  buffer  off chip  sent
-----  -----  ------  -----  --------  ----  ----  -----  ------  --------  ----
x          5       0      0         0     0     0      0     120       120     0
acc        5      90    360       480  1800  6480    240    1272         0     0
y         10       0      0         0     0     0      0    1200       120     0
total     21      90    360       480  1800  6480    240    2592       240     0
for one sample; joint: multiply-adds of the joint module; no reuse: reads without output wrapping;
buffer, off chip, sent: bytes; total: with signal, wait and halt
"""


@pytest.fixture
def arguments(tmp_path: Path) -> list[str]:
    """A command line that runs a small program on two samples."""
    write_bundle(tmp_path / "bundle", bundle_of(conv_program()))
    samples = tmp_path / "x.npz"
    np.savez(samples, x=np.zeros((2, 4, 5, 6), np.float32))
    files = ["--input", str(samples), "--output", str(tmp_path / "y.npz")]
    return ["run", str(tmp_path / "bundle"), *files]


def test_table(arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = fitted(f"2 samples: y -> {tmp_path / 'y.npz'}") + "\n"
    assert main(arguments) == 0
    assert capsys.readouterr().out == line
    assert main([*arguments, "--stats"]) == 0
    assert capsys.readouterr().out == line + TABLE


def test_json(arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*arguments, "--json"]) == 0
    done = {"format": 1, "kind": "run", "samples": 2, "outputs": ["y"]}
    done["file"] = str(tmp_path / "y.npz")
    assert json.loads(capsys.readouterr().out) == {**done, "stats": None}
    assert main([*arguments, "--stats", "--json"]) == 0
    actual = json.loads(capsys.readouterr().out)
    stats = actual.pop("stats")
    assert actual == done
    assert [layer["name"] for layer in stats["layers"]] == ["x", "acc", "y"]
    assert stats["layers"][1]["nodes"] == [{"op": "Conv", "name": "conv"}]
    assert [(layer["nodes"] == [], layer["input"]) for layer in stats["layers"]] == [
        (True, True),
        (False, False),
        (True, False),
    ]
    for key, count in stats["total"].items():
        others = 1 if key == "instructions" else 0
        assert sum(layer[key] for layer in stats["layers"]) + others == count
