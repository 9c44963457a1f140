"""What the commands print for the examples is what is committed."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from tests.golden_programs import CASES, EXAMPLES, Case
from tests.golden_transcripts import (
    all_else,
    close,
    counted,
    measured,
    nearly,
    options_of,
    transcript,
)
from tests.goldens import FOLDER, Goldens

# One of each example, with epitomes and spills among them.
NAMES = ("mnist", "fashion-epitome", "fashion-tiny", "blazeface")
# Test samples: `verify` runs them through five models.
FEW = 16


@dataclass(frozen=True)
class Example:
    """A case, in the current folder with its model and samples."""

    case: Case
    model: str

    @property
    def commands(self) -> tuple[list[list[str]], list[list[str]]]:
        """What is counted, and what is measured."""
        options = list(options_of(self.case.target, self.case.epitome))
        exact, measures = counted(self.model, self.case.data, options), measured(self.case.data)
        if self.case.name == "mnist":
            rest, other = all_else(self.model, self.case.data)
            return [*exact, *rest], [*measures, *other]
        return exact, measures


def marked(name: str) -> object:
    """An example; the smallest stands for all in the fast tier."""
    return pytest.param(name, marks=[pytest.mark.smoke] if name == "mnist" else [])


@pytest.fixture(params=map(marked, NAMES))
def example(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Example:
    """An example to run commands on."""
    case = CASES[request.param]
    assert isinstance(case.model, str)
    for name in (case.model, f"{case.data}-calibration.npz"):
        shutil.copy(EXAMPLES / name, tmp_path)
    with np.load(EXAMPLES / f"{case.data}-test.npz", allow_pickle=False) as file:
        few = {key: array[:FEW] for key, array in file.items()}
    np.savez(tmp_path / f"{case.data}-test.npz", **few)
    monkeypatch.chdir(tmp_path)
    return Example(case, case.model)


def test_commands_print_what_they_did(
    example: Example, goldens: Goldens, capsys: pytest.CaptureFixture[str]
) -> None:
    exact, measures = (transcript(commands, capsys) for commands in example.commands)
    goldens.check({f"transcripts/{example.case.name}.txt": exact})
    goldens.check({f"transcripts/{example.case.name}-verify.txt": measures}, equal=nearly)


def test_no_transcript_is_left_over() -> None:
    names = {path.name for path in (FOLDER / "transcripts").iterdir()}
    assert names == {f"{name}{kind}.txt" for name in NAMES for kind in ("", "-verify")}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("39.23", "39.24"),
        ("39.86507509494513", "39.86508"),
        ("135.92", "128.4"),
        ("1.5e-08", "1.6e-08"),
        ("0.999940", "0.999941"),
    ],
)
def test_what_counts_as_the_same_measurement(one: str, other: str) -> None:
    assert close(one, other)
    assert close(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [("39.23", "39.30"), ("39.86507", "39.91507"), ("99.20", "99.40"), ("1.5e-08", "2.5e-08")],
)
def test_what_counts_as_another_measurement(one: str, other: str) -> None:
    assert not close(one, other)
    assert not close(other, one)


def test_only_reals_may_differ_in_their_last_digits() -> None:
    line = "y  0   39.99  conv1.2 1.67x 3 layers, 1250 integers"
    assert nearly(line, line.replace("  39.99", " 40.00"))
    for word, other in (("39.99", "39.85"), ("conv1.2", "conv1.3"), ("1.67x", "1.68x")):
        assert not nearly(line, line.replace(word, other))
    assert not nearly(line, line.replace("1250", "1251"))
    assert not nearly(line, line.replace("0 ", "- "))
    assert not nearly(line, f"{line}\n")
