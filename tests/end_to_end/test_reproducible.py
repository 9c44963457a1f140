"""The same inputs give the same bytes, and every dump is a state to go on from."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from epimc.cli.main import main
from tests.end_to_end.conftest import EXAMPLES, MODELS, Compile, Compiled

STAGES = ["import", "layout", "fold", "equalize", "epitomize", "calibrate", "quantize", "map",
          "place", "schedule", "allocate"]  # fmt: skip
NAMES = [f"{number:02d}-{name}.epi" for number, name in enumerate(STAGES)]


def contents(folder: Path) -> dict[str, bytes]:
    """All files below a folder."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def steps_of(case: Compiled) -> list[str]:
    """The passes of a bundle's pipeline with their options, in order."""
    manifest = json.loads((case.bundle / "manifest.json").read_text(encoding="utf-8"))
    text = str(manifest["options"]["passes"])
    starts = [text.index(name) for name in STAGES[1:]]
    return [text[a:b].rstrip(",") for a, b in zip(starts, [*starts[1:], len(text)], strict=True)]


def test_the_dumps_are_those_of_the_bundle(compiled: Compile) -> None:
    case = compiled("fashion", "tiny")
    dumps = contents(case.dumps)
    assert [name for name in sorted(dumps) if "/" not in name] == NAMES
    assert contents(case.bundle / "ir") == dumps


@pytest.mark.parametrize("place", ["bundle", "dumps"])
@pytest.mark.parametrize("first", range(len(NAMES)))
def test_going_on_from_a_dump_gives_the_later_ones(
    first: int, place: str, compiled: Compile, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    case = compiled("fashion", "tiny")
    source = case.dumps if place == "dumps" else case.bundle / "ir"
    rest = steps_of(case)[first:]
    arguments = ["opt", str(source / NAMES[first]), "-p", ",".join(rest)]
    end = tmp_path / "end.epi"
    assert main([*arguments, "--dump-ir", str(tmp_path / "ir"), "-o", str(end)]) == 0
    assert capsys.readouterr().out == ""
    known = contents(case.dumps)
    made = contents(tmp_path / "ir") if rest else {}
    assert [name for name in sorted(made) if "/" not in name] == NAMES[first + 1 :]
    assert {name: known[name] for name in made} == made
    assert end.read_bytes() == known[NAMES[-1]]
    tensors = {name: data for name, data in contents(tmp_path).items() if name[:8] == "tensors/"}
    assert tensors
    assert {name: known[name] for name in tensors} == tensors


def test_opt_prints_what_it_would_write(
    compiled: Compile, capsys: pytest.CaptureFixture[str]
) -> None:
    case = compiled("mnist")
    assert main(["opt", str(case.dumps / NAMES[0]), "-p", "layout"]) == 0
    assert capsys.readouterr().out == (case.dumps / NAMES[1]).read_text(encoding="utf-8")


@pytest.mark.parametrize(("data", "target"), [("mnist", "epim-256"), ("fashion", "tiny")])
def test_compiling_again_gives_the_same_bytes(
    data: str, target: str, compiled: Compile, tmp_path: Path
) -> None:
    expected = contents(compiled(data, target).bundle)
    assert len(expected) > 20
    for seed in ("1", "4242"):
        folder = tmp_path / seed
        subprocess.run(
            [
                *(sys.executable, "-m", "epimc", "compile", str(EXAMPLES / MODELS[data])),
                *("-o", str(folder), "--target", target),
                *("--calibration", str(EXAMPLES / f"{data}-calibration.npz")),
            ],
            check=True,
            capture_output=True,
            cwd=Path(__file__).parents[2],
            env={**os.environ, "PYTHONHASHSEED": seed},
        )
        assert contents(folder) == expected
