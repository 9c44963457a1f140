"""What all tests share: golden files are collected, and hypothesis measures no times."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

from tests.golden_files import GoldenFile

# A busy machine is no failure.
settings.register_profile("epimc", deadline=None)
settings.load_profile("epimc")


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> GoldenFile | None:
    """Collect tests/golden/*.epi."""
    if file_path.suffix == ".epi" and file_path.parent.name == "golden":
        return GoldenFile.from_parent(parent, path=file_path)
    return None
