"""The wheel must hold every package under epimc/, ir/ and backends/."""

import os
import tomllib
from pathlib import Path

import epimc

ROOT = Path(__file__).parent.parent


def packages_below(folder: str, name: str) -> set[str]:
    """Dotted names of the packages in a folder; links, as epimc/ir is one, are not followed."""
    found: set[str] = set()
    for here, _, files in os.walk(ROOT / folder):
        if "__init__.py" in files:
            found.add(".".join((name, *Path(here).relative_to(ROOT / folder).parts)))
    return found


def test_every_package_is_declared() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    found = packages_below("epimc", "epimc")
    for name, folder in settings["package-dir"].items():
        found |= packages_below(folder, name)
    assert set(settings["packages"]) == found


def test_the_package_knows_its_version() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert settings["project"]["version"] == epimc.__version__
