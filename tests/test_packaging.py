"""The wheel holds every package of the three folders, and the lock pins all that they need."""

import os
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import epimc
import epimc.backends.crossbar

pytestmark = pytest.mark.smoke

ROOT = Path(__file__).parent.parent


def packages_below(folder: str, name: str) -> set[str]:
    """Dotted names of the packages in a folder; links, as epimc/ir is one, are not followed."""
    packages: set[str] = set()
    for here, _, files in os.walk(ROOT / folder):
        if "__init__.py" in files:
            packages.add(".".join((name, *Path(here).relative_to(ROOT / folder).parts)))
    return packages


def declared() -> dict[str, Any]:
    """What pyproject.toml says."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def requirements() -> list[Requirement]:
    """All that pyproject.toml names: to run, to develop and to build."""
    settings = declared()
    extras = settings["project"]["optional-dependencies"].values()
    lists = settings["project"]["dependencies"], settings["build-system"]["requires"], *extras
    return [Requirement(text) for names in lists for text in names]


def entries() -> list[str]:
    """The lines of all constraints: of what is always installed, and of the heavy extra."""
    files = ("constraints.txt", "constraints-torch.txt")
    texts = [(ROOT / name).read_text(encoding="utf-8") for name in files]
    return [line for text in texts for line in text.splitlines() if not line.startswith("#")]


def pins() -> dict[str, Version]:
    """The version of every package in the constraints, by its canonical name."""
    pairs = [entry.split("==") for entry in entries()]
    return {canonicalize_name(name): Version(version) for name, version in pairs}


def test_every_package_is_declared() -> None:
    settings = declared()["tool"]["setuptools"]
    packages = packages_below("epimc", "epimc")
    for name, folder in settings["package-dir"].items():
        packages |= packages_below(folder, name)
    assert set(settings["packages"]) == packages


def test_the_map_of_the_crossbar_backend_is_complete() -> None:
    """Its docstring leads a reader through all that lies in the folder."""
    entries = (ROOT / "backends/crossbar").iterdir()
    names = {path.stem if path.is_file() else path.name for path in entries}
    text = epimc.backends.crossbar.__doc__ or ""
    assert names - {"__init__", "__pycache__"} <= set(re.findall(r"\w+", text))


def test_the_package_knows_its_version() -> None:
    assert declared()["project"]["version"] == epimc.__version__


def test_the_lock_pins_all_that_is_named() -> None:
    locked = pins()
    named = requirements()
    assert {requirement.name for requirement in named} >= {"numpy", "pytest", "setuptools"}
    for requirement in named:
        assert locked[canonicalize_name(requirement.name)] in requirement.specifier, requirement


def test_the_lock_pins_nothing_twice_and_leaves_no_range() -> None:
    assert all(re.fullmatch(r"[\w.-]+==[\w.+!]+", entry) for entry in entries())
    assert len(pins()) == len(entries())


def test_lower_bounds_are_stated() -> None:
    """A range without one promises what nobody has tried; one with an upper bound ages."""
    operators = [[limit.operator for limit in entry.specifier] for entry in requirements()]
    assert all(kinds == [">="] for kinds in operators)
