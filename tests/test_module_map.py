"""The map of modules has them all, in the order of the table of imports, each with a sentence."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from epimc.module_map import PACKAGES, module_map, place_of, sources, summary
from tests.imports import documented_imports, full, project_files

pytestmark = pytest.mark.smoke

ROOT = Path(__file__).parent.parent


def test_every_module_is_on_the_page() -> None:
    page = module_map().splitlines()
    names = [line.partition("`: ")[0].removeprefix("- `") for line in page if line[:1] == "-"]
    files = [path.name for path in sources(ROOT / "epimc") if path.name != "__init__.py"]
    assert sorted(names) == sorted(files)
    assert len(sources(ROOT / "epimc")) == len(dict(project_files()))


def test_first_lines_are_sentences() -> None:
    texts = {path: text for path, text in sources(ROOT / "epimc").items() if text.strip()}
    lines = {path: summary(text) for path, text in texts.items()}
    assert [str(path) for path, line in lines.items() if not line.endswith(".")] == []
    short = [str(path) for path, line in lines.items() if len(line.split()) < 3]
    assert short == [], "they say too little"


def test_packages_stand_in_the_order_of_the_table() -> None:
    rows = [name.removesuffix(".*") for name in documented_imports()]
    order = [rows.index(full(name) if name else "epimc") for name in PACKAGES]
    assert all(before < after for before, after in pairwise(order))


def test_a_package_inside_another_stands_behind_it() -> None:
    assert place_of("frontend") < place_of("frontend.core") < place_of("quantization")


def test_a_new_package_must_get_a_place() -> None:
    with pytest.raises(ValueError, match=r"package 'other' has no place in .*PACKAGES"):
        place_of("other")
