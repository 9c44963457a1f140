"""What imports what in the project, and the tables of the documentation that state it.

`python -m tests.imports` prints the table of docs/architecture.md as it would be true now, and
which modules import each dependency.
"""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import networkx as nx

ROOT = Path(__file__).parent.parent
FOLDERS = {"epimc": "epimc", "ir": "epimc.ir", "backends": "epimc.backends"}

PAGE = ROOT / "docs" / "architecture.md"
DEPENDENCIES = ROOT / "docs" / "decisions" / "0002-dependencies.md"

if TYPE_CHECKING:
    Graph: TypeAlias = nx.DiGraph[str]


def is_in(module: str, package: str) -> bool:
    """Whether a module is the package or lies in it."""
    return module == package or module.startswith(package + ".")


# --- imports of a file ----------------------------------------------------------------------------


@cache
def project_files() -> dict[str, Path]:
    """The file of every module by its dotted name; links, as epimc/ir is one, are not followed."""
    files: dict[str, Path] = {}
    for folder, package in FOLDERS.items():
        for here, _, names in os.walk(ROOT / folder):
            parts = (package, *Path(here).relative_to(ROOT / folder).parts)
            for name in names:
                stem, suffix = os.path.splitext(name)
                if suffix == ".py":
                    dotted = parts if stem == "__init__" else (*parts, stem)
                    files[".".join(dotted)] = Path(here, name)
    return files


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


def imports_of(module: str, path: Path, modules: Collection[str]) -> Iterator[tuple[str, int]]:
    """All that a file imports, with the line: inside functions and for types alone, too."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        for target in targets(node, package, modules):
            yield target, getattr(node, "lineno", 0)


@cache
def all_imports() -> list[tuple[str, str, str]]:
    """(module, what it imports, file:line) for every import of the project."""
    files = project_files()
    return [
        (module, target, f"{path.relative_to(ROOT)}:{line}")
        for module, path in sorted(files.items())
        for target, line in imports_of(module, path, files)
    ]


# --- graphs ---------------------------------------------------------------------------------------


@cache
def import_graph() -> Graph:
    """An edge from a module to every other module of the project that it imports."""
    files = project_files()
    graph: Graph = nx.DiGraph()
    graph.add_nodes_from(files)
    graph.add_edges_from((a, b) for a, b, _ in all_imports() if b in files and a != b)
    return graph


def cycles(graph: Graph) -> list[list[str]]:
    """One cycle of each set of nodes that reach each other."""
    knots = [knot for knot in nx.strongly_connected_components(graph) if len(knot) > 1]
    return sorted([edge[0] for edge in nx.find_cycle(graph.subgraph(knot))] for knot in knots)


def row_of(module: str, rows: Collection[str]) -> str:
    """The row of a table to which a module belongs: its own, or that of its package.

    A row `package.*` takes everything below a package, too.

    Raises:
        LookupError: There is none.
    """
    package = module if project_files()[module].name == "__init__.py" else module.rpartition(".")[0]
    parts = package.split(".")
    above = [".".join(parts[:count]) + ".*" for count in range(len(parts), 0, -1)]
    for name in (module, package, *above):
        if name in rows:
            return name
    raise LookupError(f"'{module}' is in no row")


def row_graph(rows: Collection[str]) -> Graph:
    """The graph of the modules, those of a row drawn together.

    A module that neither imports nor is imported needs no row.

    Raises:
        LookupError: A module has no row.
    """
    graph: Graph = nx.DiGraph()
    graph.add_nodes_from(rows)
    for module, target in import_graph().edges:
        start, end = row_of(module, rows), row_of(target, rows)
        if start != end:
            graph.add_edge(start, end)
    return graph


# --- tables of the documentation ------------------------------------------------------------------


def table_below(page: Path, heading: str) -> dict[str, list[str]]:
    """The first table below a heading: its first column, and the other cells of each row."""
    text = page.read_text(encoding="utf-8")
    _, _, below = text.partition(f"\n{heading}\n")
    lines = re.search(r"^\|.*?(?=\n[^|]|\n\n|\Z)", below, re.MULTILINE | re.DOTALL)
    assert lines, f"{page.name} has no table below '{heading}'"
    cells = [line.strip("|").split("|") for line in lines[0].splitlines()[2:]]
    return {row[0].strip().strip("`"): [cell.strip() for cell in row[1:]] for row in cells}


def names_in(cell: str) -> list[str]:
    """What stands between backticks."""
    return re.findall(r"`([^`]+)`", cell)


@cache
def documented_imports() -> dict[str, list[str]]:
    """The table of docs/architecture.md, from the bottom to the top, with full names."""
    table = table_below(PAGE, "## Imports")
    return {full(row): [full(name) for name in names_in(cells[0])] for row, cells in table.items()}


@cache
def documented_users() -> dict[str, list[str]]:
    """The modules and packages that import each dependency, as its decision states; none: any."""
    table = table_below(DEPENDENCIES, "## Decision")
    return {row: names_in(cells[1]) for row, cells in table.items()}


def full(name: str) -> str:
    """The full name of a row, which the table states without `epimc.`."""
    return name if is_in(name, "epimc") else f"epimc.{name}"


def short(name: str) -> str:
    """The inverse of `full`."""
    return name.removeprefix("epimc.")


def import_table(rows: Iterable[str]) -> str:
    """The table of docs/architecture.md that is true, for its rows and all packages that are new.

    Rows that import each other, which no order can put right, stay in theirs.
    """
    known = with_new_packages(rows)
    graph = row_graph(known)
    knots = nx.condensation(graph)
    lines = ["| package | imports |", "|---|---|"]
    for knot in nx.lexicographical_topological_sort(knots.reverse(), lambda n: _place(knots, n)):
        for row in sorted(knots.nodes[knot]["members"], key=known.index):
            cells = " ".join(f"`{short(name)}`" for name in sorted(graph.successors(row)))
            lines.append(f"| `{short(row)}` | {cells} |")
    return "\n".join(lines)


def _place(knots: nx.DiGraph[int], knot: int) -> tuple[int, str]:
    """What puts rows into an order that may stand in any: below lies the IR, then the backends."""
    name = min(knots.nodes[knot]["members"])
    parts = ("epimc.support", "epimc.ir", "epimc.backends", "epimc")
    return next(height for height, part in enumerate(parts) if is_in(name, part)), name


def with_new_packages(rows: Iterable[str]) -> list[str]:
    """Rows, and the packages of modules that import or are imported and have none."""
    known = list(rows)
    files: Mapping[str, Path] = project_files()
    for module in (name for edge in import_graph().edges for name in edge):
        try:
            row_of(module, known)
        except LookupError:
            is_package = files[module].name == "__init__.py"
            known.append(module if is_package else module.rpartition(".")[0])
    return known


def importing(package: str) -> list[str]:
    """The modules that import a dependency; those of pydantic_core count as of pydantic."""
    names = package, f"{package}_core"
    return sorted({m for m, target, _ in all_imports() if any(is_in(target, n) for n in names)})


if __name__ == "__main__":
    print(import_table(documented_imports()))
    for dependency, stated in documented_users().items():
        if stated:
            print(f"\n{dependency}: {', '.join(importing(dependency))}")
