"""The golden runner fails where it should, and the golden files leave nothing out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from epimc.ir.core.levels import LEVELS
from epimc.ir.core.registry import OPS
from tests.crossbars import PASSES
from tests.golden_files import RUN, run_golden
from tests.goldens import GoldenError, Goldens

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


def test_an_update_writes_the_error_that_comes_out(tmp_path: Path) -> None:
    path = tmp_path / "m.epi"
    good = (
        BAD + "// ERROR: error: There is no pass 'folt'.\n// ERROR:   hint: Did you mean 'fold'?\n"
    )
    run_golden(path, BAD.replace("{", "{\n// ERROR: error: Another.", 1), update=True)
    assert path.read_text(encoding="utf-8") == good
    run(tmp_path, good)


def test_a_text_is_compared_shown_and_written(tmp_path: Path) -> None:
    goldens, update = (Goldens("test_x", update=flag, folder=tmp_path) for flag in (False, True))
    with pytest.raises(GoldenError, match=r"There is no golden file '.*a/x\.txt'\.\nIf that is"):
        goldens.check({"a/x.txt": "1\n2\n"})
    update.check({"a/x.txt": "1\n2\n"})
    goldens.check({"a/x.txt": "1\n2\n"})
    with pytest.raises(GoldenError, match=r"\n 1\n-2\n\+3\nIf that is right: .* 'test_x'"):
        goldens.check({"a/x.txt": "1\n3\n"})
    with pytest.raises(GoldenError, match="other ends of lines"):
        goldens.check({"a/x.txt": "1\n2"})
    # What is as good stays as it is.
    update.check({"a/x.txt": "1\n3\n"}, equal=lambda before, after: True)
    assert (tmp_path / "a/x.txt").read_text(encoding="utf-8") == "1\n2\n"
    goldens.check({"a/x.txt": "1\n3\n"}, equal=lambda before, after: True)
    with pytest.raises(GoldenError, match="and 945 lines more"):
        goldens.check({"a/x.txt": "0\n" * 1000})


def texts() -> list[str]:
    """All golden files."""
    return [path.read_text(encoding="utf-8") for path in sorted(FOLDER.glob("*.epi"))]


def test_every_op_stands_in_a_golden_file() -> None:
    shown = set(re.findall(r"= ([a-z]+\.[a-z_]+)\(", "\n".join(texts())))
    assert not set(OPS) - shown, "add a file to tests/golden/ whose CHECK lines have them"


def test_every_pass_and_level_has_a_golden_file() -> None:
    lines = [run["passes"] or "" for text in texts() if (run := RUN.match(text))]
    assert all(any(name in line for line in lines) for name in PASSES)
    assert all(any(f" level {level} " in text for text in texts()) for level in LEVELS)
