"""The golden runner fails where it should, and the golden files leave nothing out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from epimc.ir.dialects import OPS
from epimc.ir.levels import LEVELS
from epimc.passes import PASSES
from tests.golden_files import RUN, GoldenError, run_golden

FOLDER = Path(__file__).parent / "golden"
GOOD = """\
// RUN: epimc opt %s -p 'fold'
epimc.module 2 "m" level nn {
  input "x" %x : tensor<2xf32>
  output "x" = %x
}
// CHECK: attribute passes = ["fold"]
"""
BAD = GOOD.replace("'fold'", "'folt' // ERROR").partition("// CHECK")[0]


def run(folder: Path, text: str) -> None:
    """Run a text as a golden file."""
    path = folder / "m.epi"
    path.write_text(text, encoding="utf-8")
    run_golden(path, text)


def test_a_file_that_holds(tmp_path: Path) -> None:
    run(tmp_path, GOOD)


def test_a_file_that_does_not_hold(tmp_path: Path) -> None:
    with pytest.raises(GoldenError, match=r"-- in:\nepimc\.module 2"):
        run(tmp_path, GOOD.replace('["fold"]', '["calibrate"]'))


def test_a_file_without_a_run_line(tmp_path: Path) -> None:
    with pytest.raises(GoldenError, match="The first line must match"):
        run(tmp_path, GOOD.replace("RUN", "WALK"))


def test_an_error_is_compared_as_a_whole(tmp_path: Path) -> None:
    said = "// ERROR: error: There is no pass 'folt'.\n"
    run(tmp_path, BAD + said + "// ERROR:   hint: Did you mean 'fold'?\n")
    with pytest.raises(GoldenError, match="Another error than expected"):
        run(tmp_path, BAD + said)
    with pytest.raises(GoldenError, match="No error"):
        run(tmp_path, BAD.replace("folt", "fold") + said)


def texts() -> list[str]:
    """All golden files."""
    return [path.read_text(encoding="utf-8") for path in sorted(FOLDER.glob("*.epi"))]


def test_every_op_stands_in_a_golden_file() -> None:
    shown = set(re.findall(r"= ([a-z]+\.[a-z_]+)\(", "\n".join(texts())))
    assert set(OPS) <= shown


def test_every_pass_and_level_has_a_golden_file() -> None:
    lines = [found["passes"] or "" for text in texts() if (found := RUN.match(text))]
    assert all(any(name in line for line in lines) for name in PASSES)
    assert all(any(f" level {level} " in text for text in texts()) for level in LEVELS)
