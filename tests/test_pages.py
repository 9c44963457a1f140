"""The pages that are made from the code say what the code says."""

from __future__ import annotations

from pathlib import Path

import pytest

from epimc.pages import REGIONS, own_pages, pages, with_region, write_pages

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def expected() -> dict[str, str]:
    """The text that each page should have."""
    return pages(ROOT)


@pytest.mark.parametrize("name", sorted({*own_pages(), *(page for page, _ in REGIONS)}))
def test_a_page_is_up_to_date(name: str, expected: dict[str, str]) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    assert text == expected[name], "renew it: python -m epimc.pages"


def test_a_region_is_replaced_and_nothing_else() -> None:
    begin, end = "<!-- begin list: python -m epimc.pages -->", "<!-- end list -->"
    page = f"Before.\n\n{begin}\nold\n{end}\n\nAfter.\n"
    assert with_region(page, "list", "- new") == (
        f"Before.\n\n{begin}\n\n- new\n\n{end}\n\nAfter.\n"
    )


@pytest.mark.parametrize("page", ["", "<!-- begin list: python -m epimc.pages -->\n"])
def test_a_region_that_is_not_there(page: str) -> None:
    with pytest.raises(ValueError, match="no region 'list'"):
        with_region(page, "list", "- new")


def test_only_what_changed_is_written(tmp_path: Path, expected: dict[str, str]) -> None:
    (tmp_path / "docs").mkdir()
    for name, text in expected.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert write_pages(tmp_path) == []
    readme = tmp_path / "README.md"
    readme.write_text(readme.read_text(encoding="utf-8").replace("- Conv:", "- Convo:"))
    (tmp_path / "docs" / "isa.md").unlink()
    assert write_pages(tmp_path) == ["docs/isa.md", "README.md"]
    written = {name: (tmp_path / name).read_text(encoding="utf-8") for name in expected}
    assert written == expected
