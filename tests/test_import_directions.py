"""Imports point downwards, and only the modules at the border know ONNX files and onnxruntime.

The layers, bottom to top: epimc.support, epimc.ir.semantics, epimc.ir, epimc.backends, the rest.
Imports inside functions count like any other: they make start-up fast, not the design different.
"""

from __future__ import annotations

import ast
import os
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.smoke

ROOT = Path(__file__).parent.parent
FOLDERS = {"epimc": "epimc", "ir": "epimc.ir", "backends": "epimc.backends"}

SUPPORT = "epimc.support"
SHARED = "epimc.ir.semantics"
LAYERS = (SUPPORT, SHARED, "epimc.ir", "epimc.backends", "epimc")
BORDERS = {
    "onnx": ("epimc.frontend", "epimc.backends.onnx"),
    "onnxruntime": ("epimc.runtime.reference",),
}
# What runs or checks a program must not need the IR that the program was made from.
CROSSBAR = "epimc.backends.crossbar"
CROSSBAR_KNOWS_IR = tuple(
    f"epimc.backends.crossbar.{name}" for name in ("lower", "dialect", "levels", "backend")
)
# Instructions state their part of the proof in its terms.
FORMS = "epimc.backends.forms"


def is_in(module: str, package: str) -> bool:
    """Whether a module is the package or lies in it."""
    return module == package or module.startswith(package + ".")


def layer(module: str) -> int:
    """The height of a module's layer, 0 at the bottom."""
    return next(height for height, package in enumerate(LAYERS) if is_in(module, package))


def complaint(module: str, target: str) -> str | None:
    """What is wrong when the module imports the target, if anything."""
    for package, users in BORDERS.items():
        if is_in(target, package) and not any(is_in(module, user) for user in users):
            return f"only {' and '.join(users)} may import {package}"
    if not is_in(target, "epimc"):
        return None
    if is_in(module, SUPPORT) and not is_in(target, SUPPORT):
        return f"{SUPPORT} may import nothing else of the project"
    if layer(target) > layer(module):
        return f"{LAYERS[layer(module)]} lies below {LAYERS[layer(target)]}"
    if is_in(target, "epimc.ir") and (is_in(module, CROSSBAR) or module == FORMS):
        free = any(is_in(module, user) for user in CROSSBAR_KNOWS_IR)
        if not free and not is_in(target, SHARED):
            return f"of epimc.ir it may import {SHARED} only"
    return None


def project_files() -> dict[str, Path]:
    """The file of every module by its dotted name; links, as epimc/ir is one, are not followed."""
    found: dict[str, Path] = {}
    for folder, package in FOLDERS.items():
        for here, _, names in os.walk(ROOT / folder):
            parts = (package, *Path(here).relative_to(ROOT / folder).parts)
            for name in names:
                stem, suffix = os.path.splitext(name)
                if suffix == ".py":
                    dotted = parts if stem == "__init__" else (*parts, stem)
                    found[".".join(dotted)] = Path(here, name)
    return found


def targets(node: ast.AST, package: str, modules: Collection[str]) -> Iterator[str]:
    """The modules that a statement or a call, in a module of the package, imports."""
    match node:
        case ast.Import(names=names):
            yield from (alias.name for alias in names)
        case ast.ImportFrom(module=base, names=names, level=level):
            above = package.split(".")[: len(package.split(".")) - level + 1] if level else []
            start = ".".join([*above, *([base] if base else [])])
            for alias in names:
                inner = f"{start}.{alias.name}"
                yield inner if inner in modules else start
        case ast.Call(
            func=ast.Name(id="import_module" | "__import__") | ast.Attribute(attr="import_module"),
            args=[ast.Constant(value=str() as name), *_],
        ):
            yield name


def complaints(module: str, path: Path, text: str, modules: Collection[str]) -> Iterator[str]:
    """What is wrong with the imports of a file, a line each."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(text)):
        for target in targets(node, package, modules):
            if wrong := complaint(module, target):
                line = getattr(node, "lineno", 0)
                yield f"{path}:{line}: {module} imports {target}: {wrong}"


def test_imports_point_downwards() -> None:
    files = project_files()
    assert {"epimc", "epimc.ir", "epimc.backends"} <= set(files)
    wrong = [
        line
        for module, path in sorted(files.items())
        for line in complaints(
            module, path.relative_to(ROOT), path.read_text(encoding="utf-8"), files
        )
    ]
    assert not wrong, "\n" + "\n".join(wrong)


@pytest.mark.parametrize(
    ("module", "target"),
    [
        ("epimc.support.diagnostics", "epimc.ir.core.module"),
        ("epimc.ir.core.module", "epimc"),
        ("epimc.ir.core.module", "epimc.backends.crossbar.isa.assembly"),
        ("epimc.backends.onnx.export", "epimc.compiler.compiler"),
        ("epimc.ir.core.module", "onnx"),
        ("epimc.backends.crossbar.lower.emit", "onnx.helper"),
        ("epimc.compiler.compiler", "onnxruntime"),
        ("epimc.frontend.reader", "onnxruntime"),
        ("epimc.backends.crossbar.sim.simulator", "epimc.ir.core.module"),
        ("epimc.backends.crossbar.sim.simulator", "epimc.ir"),
        ("epimc.backends.forms", "epimc.ir.core.module"),
    ],
)
def test_the_rule_forbids(module: str, target: str) -> None:
    assert complaint(module, target)


@pytest.mark.parametrize(
    ("module", "target"),
    [
        ("epimc.ir.core.module", "epimc.support.diagnostics"),
        ("epimc.backends.onnx.export", "epimc.ir.core.module"),
        ("epimc.backends.onnx.export", "onnx.helper"),
        ("epimc.frontend.reader", "onnx"),
        ("epimc.runtime.reference", "onnxruntime"),
        ("epimc.cli.main", "epimc.backends.crossbar.isa.assembly"),
        ("epimc.backends.crossbar.sim.simulator", "epimc.ir.semantics.integers"),
        ("epimc.backends.crossbar.instructions.moves", "epimc.ir.semantics.layouts"),
        ("epimc.backends.crossbar.lower.place", "epimc.ir.core.module"),
        ("epimc.backends.crossbar.lower.emit", "epimc.ir.core.module"),
        ("epimc.ir.core.module", "numpy"),
    ],
)
def test_the_rule_allows(module: str, target: str) -> None:
    assert complaint(module, target) is None


@pytest.mark.parametrize(
    ("statement", "target"),
    [
        ("import epimc.cli.main as c", "epimc.cli.main"),
        ("from epimc import cli", "epimc.cli"),
        ("from epimc import compile", "epimc"),
        ("from epimc.cli.main import main", "epimc.cli.main"),
        ("from . import core", "epimc.ir.core"),
        ("from .core import Op", "epimc.ir.core"),
        ("from .. import cli", "epimc.cli"),
        ("from ..cli import main", "epimc.cli.main"),
        ("importlib.import_module('epimc.cli.main')", "epimc.cli.main"),
        ("def f():\n    from epimc import cli", "epimc.cli"),
    ],
)
def test_every_form_of_import_is_seen(statement: str, target: str) -> None:
    modules = {"epimc", "epimc.cli", "epimc.cli.main", "epimc.ir", "epimc.ir.core"}
    nodes = ast.walk(ast.parse(statement))
    assert [name for node in nodes for name in targets(node, "epimc.ir", modules)] == [target]
