"""Texts that are committed below tests/golden/ and must come out again, line for line.

`pytest --update-golden` writes what comes out now; `git diff` then shows what has changed.
"""

from __future__ import annotations

import difflib
import operator
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

FOLDER = Path(__file__).parent / "golden"
MOST_LINES = 60
"""Of a difference: who wants to see more of it, updates and looks at `git diff`."""


class GoldenError(AssertionError):
    """A golden file does not hold; the text says how."""


class Goldens:
    """The golden files of one test."""

    def __init__(self, test: str, *, update: bool, folder: Path = FOLDER) -> None:
        """Name the test, as pytest does, for the hint; `update` writes files instead."""
        self.test, self.update, self.folder = test, update, folder

    def check(
        self, texts: Mapping[str, str], equal: Callable[[str, str], bool] = operator.eq
    ) -> None:
        """Compare texts with the files of these names, or write those that differ.

        Raises:
            GoldenError: Files are missing or differ: one error for all of them.
        """
        problems = [
            problem
            for name, text in texts.items()
            for problem in self._problems(self.folder / name, text, equal)
        ]
        if problems:
            command = f"python -m pytest --update-golden '{self.test}'"
            raise GoldenError("\n".join([*problems, f"If that is right: {command}"]))

    def _problems(self, path: Path, text: str, equal: Callable[[str, str], bool]) -> Iterator[str]:
        """What is wrong with one file, unless it is written anew."""
        before = path.read_text(encoding="utf-8") if path.is_file() else None
        # A file that is as good as the new text stays: an update touches only what has changed.
        if before is not None and equal(before, text):
            return
        if self.update:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        elif before is None:
            yield f"There is no golden file '{path}'."
        else:
            yield difference(path, before, text)


def difference(path: Path, before: str, after: str) -> str:
    """How a text differs from the file, as a unified diff of at most MOST_LINES lines."""
    lines = list(
        difflib.unified_diff(
            before.splitlines(), after.splitlines(), str(path), "what came out", lineterm=""
        )
    )
    # Only the ends of lines, or that of the last one, can differ without a line in the diff.
    lines = lines or [f"'{path}' has other ends of lines than what came out."]
    if len(lines) > MOST_LINES:
        lines[MOST_LINES:] = [f"... and {len(lines) - MOST_LINES} lines more"]
    return "\n".join(lines)
