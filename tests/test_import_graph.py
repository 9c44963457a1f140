"""Imports point downwards, in no circle, and just as the documentation says.

Imports inside functions, and those for types alone, count like any other: they make start-up fast,
not the design different.
"""

from __future__ import annotations

import ast
import re
import tomllib

import networkx as nx
import pytest

from tests.imports import (
    ROOT,
    all_imports,
    cycles,
    documented_imports,
    documented_users,
    import_graph,
    import_table,
    importing,
    is_in,
    names_in,
    project_files,
    row_graph,
    row_of,
    targets,
    with_new_packages,
)

SUPPORT = "epimc.support"
SHARED = "epimc.ir.semantics"
CROSSBAR = "epimc.backends.crossbar"

# From the bottom to the top; a module is in the last of them that it lies in.
LAYERS = (
    SUPPORT,
    SHARED,
    "epimc.ir.core",
    "epimc.ir",
    "epimc.backends",
    f"{CROSSBAR}.core",
    f"{CROSSBAR}.kernels",
    f"{CROSSBAR}.compiled",
    f"{CROSSBAR}.instructions",
    f"{CROSSBAR}.isa",
    f"{CROSSBAR}.target",
    CROSSBAR,
    "epimc",
)
# What runs or checks a program must not need the IR that the program was made from.
KNOW_THE_IR = tuple(f"{CROSSBAR}.{name}" for name in ("lower", "dialect", "levels", "backend"))
# Instructions state their part of the proof in its terms.
FORMS = "epimc.backends.forms"


def height(module: str) -> int:
    """The height of a module's layer, 0 at the bottom."""
    layers = [layer for layer in LAYERS if is_in(module, layer)]
    return LAYERS.index(max(layers, key=len))


def is_driver(module: str) -> bool:
    """Whether a module is part of neither the IR, nor a backend, nor what both stand on."""
    parts = (SUPPORT, "epimc.ir", "epimc.backends")
    return not any(is_in(module, part) for part in parts)


def complaint(module: str, target: str) -> str | None:
    """What is wrong when the module imports the target, if anything."""
    for package, users in documented_users().items():
        imports = is_in(target, package) or is_in(target, f"{package}_core")
        if imports and users and not any(is_in(module, user) for user in users):
            return f"only {' and '.join(users)} may import {package}"
    if not is_in(target, "epimc"):
        return None
    if height(target) > height(module):
        return f"{LAYERS[height(module)]} lies below {LAYERS[height(target)]}"
    if is_in(target, CROSSBAR) and is_driver(module):
        return "the driver knows a backend by epimc.backends.base alone"
    compiles = any(is_in(module, part) for part in KNOW_THE_IR)
    runs = is_in(module, FORMS) or (is_in(module, CROSSBAR) and not compiles)
    if runs and is_in(target, "epimc.ir") and not is_in(target, SHARED):
        return f"of epimc.ir it may import {SHARED} only"
    return None


# --- the project ----------------------------------------------------------------------------------


def test_imports_point_downwards() -> None:
    assert {"epimc", "epimc.ir", "epimc.backends"} <= set(project_files())
    wrong = [
        f"{place}: {module} imports {target}: {problem}"
        for module, target, place in all_imports()
        if (problem := complaint(module, target))
    ]
    assert not wrong, "\n" + "\n".join(wrong)


def test_no_module_imports_itself_through_others() -> None:
    circles = [" -> ".join([*circle, circle[0]]) for circle in cycles(import_graph())]
    assert not circles, "\n" + "\n".join(circles)


def test_the_table_of_imports_is_true() -> None:
    table = documented_imports()
    graph = row_graph(with_new_packages(table))
    actual = {row: sorted(graph.successors(row)) for row, edges in graph.degree if edges}
    stated = {row: sorted(names) for row, names in table.items()}
    assert stated == actual, f"\nThe table that is true:\n\n{import_table(table)}"


def test_every_row_imports_rows_above_it() -> None:
    above: set[str] = set()
    wrong: set[str] = set()
    for row, names in documented_imports().items():
        wrong |= {f"{row} -> {name}" for name in names if name not in above}
        above.add(row)
    assert not wrong, "a row imports one that stands below"


def test_every_dependency_is_imported_where_its_decision_says() -> None:
    users = documented_users()
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    names = [re.split("[<>=]", text)[0] for text in declared["project"]["dependencies"]]
    assert sorted(users) == sorted(names)
    for package, places in users.items():
        modules = importing(package)
        assert modules, f"nothing imports {package}"
        needed = [place for place in places if any(is_in(module, place) for module in modules)]
        assert places == needed, f"{package} is imported by {', '.join(modules)}"


# --- the rules ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("module", "target"),
    [
        ("epimc.support.diagnostics", "epimc.ir.core.module"),
        ("epimc.support.diagnostics", "epimc.ir.semantics"),
        ("epimc.ir.core.module", "epimc"),
        ("epimc.ir.core.module", "epimc.ir.pipeline"),
        ("epimc.ir.core.module", f"{CROSSBAR}.isa.assembly"),
        ("epimc.ir.semantics.layouts", "epimc.ir.core.types"),
        ("epimc.backends.onnx.export", "epimc.compiler.compiler"),
        ("epimc.backends.onnx.export", f"{CROSSBAR}.core.program"),
        ("epimc.backends.forms", f"{CROSSBAR}.core.program"),
        ("epimc.ir.core.module", "onnx"),
        ("epimc.ir.core.module", "pydantic_core"),
        ("epimc.ir.passes.fold", "lark"),
        ("epimc.verification.verify", "rich.table"),
        ("epimc.cli.main", f"{CROSSBAR}.isa.assembly"),
        ("epimc", CROSSBAR),
        (f"{CROSSBAR}.lower.emit", "onnx.helper"),
        ("epimc.compiler.compiler", "onnxruntime"),
        ("epimc.frontend.model.loader", "onnxruntime"),
        (f"{CROSSBAR}.core.program", f"{CROSSBAR}.instructions.table"),
        (f"{CROSSBAR}.kernels.cells", f"{CROSSBAR}.instructions.mvm"),
        (f"{CROSSBAR}.core.program", f"{CROSSBAR}.kernels.cells"),
        (f"{CROSSBAR}.instructions.mvm", f"{CROSSBAR}.isa.loops"),
        (f"{CROSSBAR}.isa.loops", f"{CROSSBAR}.target.schema"),
        (f"{CROSSBAR}.target.schema", f"{CROSSBAR}.bundle.program_files"),
        (f"{CROSSBAR}.sim.simulator", "epimc.ir.core.module"),
        (f"{CROSSBAR}.sim.simulator", "epimc.ir"),
        (f"{CROSSBAR}.target.schema", "epimc.ir.core.levels"),
        (f"{CROSSBAR}.proof", "epimc.ir.core.module"),
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
        ("epimc.frontend.model.loader", "onnx"),
        ("epimc.runtime.guard", "onnxruntime"),
        ("epimc.cli.main", "epimc.compiler.compiler"),
        ("epimc.cli.main", "epimc.backends.registry"),
        (f"{CROSSBAR}.backend", "epimc.backends.base"),
        (f"{CROSSBAR}.backend", "epimc.ir.core.module"),
        (f"{CROSSBAR}.sim.simulator", "epimc.ir.semantics"),
        (f"{CROSSBAR}.sim.simulator", f"{CROSSBAR}.core.program"),
        (f"{CROSSBAR}.instructions.moves", "epimc.ir.semantics.layouts"),
        (f"{CROSSBAR}.instructions.moves", "pydantic_core"),
        (f"{CROSSBAR}.instructions.moves", "epimc.backends.forms"),
        (f"{CROSSBAR}.lower.place", "epimc.ir.core.module"),
        (f"{CROSSBAR}.lower.emit", f"{CROSSBAR}.dialect"),
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
        ("if TYPE_CHECKING:\n    from epimc import cli", "epimc.cli"),
    ],
)
def test_every_form_of_import_is_seen(statement: str, target: str) -> None:
    modules = {"epimc", "epimc.cli", "epimc.cli.main", "epimc.ir", "epimc.ir.core"}
    nodes = ast.walk(ast.parse(statement))
    assert [name for node in nodes for name in targets(node, "epimc.ir", modules)] == [target]


def test_a_circle_is_named() -> None:
    graph: nx.DiGraph[str] = nx.DiGraph([("a", "b"), ("b", "c"), ("c", "b"), ("c", "d")])
    assert [sorted(circle) for circle in cycles(graph)] == [["b", "c"]]
    assert cycles(nx.DiGraph([("a", "b"), ("a", "c"), ("b", "c")])) == []


@pytest.mark.parametrize(
    ("rows", "row"),
    [
        (["epimc.ir.core", "epimc.ir"], "epimc.ir.core"),
        (["epimc.ir.core.module", "epimc.ir.core"], "epimc.ir.core.module"),
        (["epimc.ir.*", "epimc"], "epimc.ir.*"),
    ],
)
def test_a_module_belongs_to_the_closest_row(rows: list[str], row: str) -> None:
    assert row_of("epimc.ir.core.module", rows) == row


def test_a_module_of_no_row_is_no_surprise() -> None:
    with pytest.raises(LookupError, match=r"epimc\.ir\.core\.module"):
        row_of("epimc.ir.core.module", ["epimc", "epimc.ir"])


def test_names_stand_between_backticks() -> None:
    assert names_in("`a.b` and `c`, not d") == ["a.b", "c"]
