"""Programs, their tables and their integers are those that are committed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from epimc.backends.crossbar.instructions.registry import BY_NAME
from tests.golden_programs import CASES, golden_texts
from tests.goldens import FOLDER, GoldenError, Goldens

SUFFIXES = ("asm", "tables.json", "digests")


@pytest.mark.parametrize("name", CASES)
def test_programs_are_as_they_were(name: str, tmp_path: Path, goldens: Goldens) -> None:
    try:
        goldens.check(golden_texts(CASES[name], tmp_path))
    except GoldenError as problem:
        # A digest says that an array differs, not how.
        command = f"python -m tests.golden_programs {name} DIR"
        raise GoldenError(
            f"{problem}\nTo compare arrays with another commit's: {command}"
        ) from None


def test_no_golden_program_is_left_over() -> None:
    names = {path.name for path in (FOLDER / "programs").iterdir()}
    expected = {f"{name}.{suffix}" for name in CASES for suffix in SUFFIXES}
    assert not names - expected, "no case makes these any more: remove them"
    assert not expected - names, (
        "write them: python -m pytest --update-golden tests/test_golden_programs.py"
    )


def test_every_instruction_stands_in_a_golden_program() -> None:
    texts = (path.read_text(encoding="utf-8") for path in (FOLDER / "programs").glob("*.asm"))
    names = re.findall(r"^ +([a-z]+)", "\n".join(texts), re.MULTILINE)
    assert not set(BY_NAME) - set(names), "add a case to CASES in tests/golden_programs.py"
    assert set(names) == set(BY_NAME)
