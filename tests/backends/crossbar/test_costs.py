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


def test_what_the_converters_did(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """The inputs are 0, which the zero point stands for: its bits are read, and nothing clips."""
    assert main([*arguments, "--stats", "--path", "bit-serial", "--engine", "bytes"]) == 0
    bytes_out = capsys.readouterr().out
    assert main([*arguments, "--stats", "--path", "bit-serial"]) == 0
    out = capsys.readouterr().out
    assert out == bytes_out
    assert out.endswith(
        "value  clipped  skipped\n"
        "-----  -------  -------\n"
        "acc          0      360\n"
        "for all samples; clipped: conversions of sums above the ADC's range; skipped: array "
        "reads\nwhose input slice is 0 in all driven lines\n"
    )
    assert main([*arguments, "--stats", "--path", "bit-serial", "--json"]) == 0
    layers = json.loads(capsys.readouterr().out)["stats"]["layers"]
    assert [layer["conversions"] for layer in layers] == [
        None,
        {"clipped": 0, "skipped": 360},
        None,
    ]
