"""What all tests share: golden files are collected, and hypothesis measures no times."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

import epimc.backends.crossbar.dialect
import epimc.ir.dialects  # noqa: F401  (both register their ops)
from tests.golden_files import GoldenFile
from tests.goldens import Goldens

# A busy machine is no failure.
settings.register_profile("epimc", deadline=None)
settings.load_profile("epimc")


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--update-golden`."""
    parser.addoption(
        "--update-golden", action="store_true", help="write the golden files that differ anew"
    )


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> GoldenFile | None:
    """Collect tests/golden/*.epi."""
    if file_path.suffix == ".epi" and file_path.parent.name == "golden":
        return GoldenFile.from_parent(parent, path=file_path)
    return None


@pytest.fixture
def goldens(request: pytest.FixtureRequest) -> Goldens:
    """The golden files of this test."""
    return Goldens(request.node.nodeid, update=request.config.getoption("--update-golden"))
