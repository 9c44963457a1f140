"""What the pages point at is there: links between pages, and files that they name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.smoke

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), ROOT / "examples/README.md"])
FOLDERS = "epimc|ir|backends|tests|docs|examples|benchmarks"

LINK = re.compile(r"\]\(([^)\s]+)\)")
FILE = re.compile(rf"`((?:{FOLDERS})/[\w./-]*\w\.\w+|(?:{FOLDERS})/[\w/-]*)`( )?")
# A page calls what it has the reader make a new file.
NEW = ", a new file"


def text_of(page: Path) -> str:
    """A page on one line a paragraph, without code."""
    text = re.sub(r"^ *```.*?^ *```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.M)
    return re.sub(r"\n *(?=\S)", " ", text)


def missing_links(page: Path) -> Iterator[str]:
    """The relative links of a page that lead nowhere."""
    for link in LINK.findall(text_of(page)):
        path = link.partition("#")[0]
        if "://" not in link and path and not (page.parent / path).exists():
            yield link


def missing_files(text: str) -> Iterator[str]:
    """The files and folders of the project that a text names and that are not there."""
    for match in FILE.finditer(text):
        new = text.startswith(NEW, match.end())
        if not new and not (ROOT / match[1]).exists():
            yield match[1]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_what_a_page_points_at_is_there(page: Path) -> None:
    assert [*missing_links(page)] == []
    assert [*missing_files(text_of(page))] == []


def test_what_is_missing_is_seen() -> None:
    text = "`ir/core/op.py`, `ir/core/no.py`, `tests/no/`; `ir/new.py`, a new file; `a/b.py`"
    assert [*missing_files(text)] == ["ir/core/no.py", "tests/no/"]


def test_links_that_lead_nowhere_are_seen(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("[a](page.md#x) [b](no.md) [c](https://example.org/no.md)\n", encoding="utf-8")
    assert [*missing_links(page)] == ["no.md"]
