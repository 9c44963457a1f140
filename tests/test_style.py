"""Functions and files stay short, every function is annotated, public names are documented.

A limit that stands in the way of a good change is a reason to split, seldom one to raise it.
"""

from __future__ import annotations

import ast
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

pytestmark = pytest.mark.smoke

ROOT = Path(__file__).parent.parent
FOLDERS = ("epimc", "ir", "backends")

FUNCTION_LINES, FUNCTION_LINES_P95 = 60, 34
FILE_LINES, FILE_LINES_P95 = 600, 400
DOCUMENTED = 0.90

Function = ast.FunctionDef | ast.AsyncFunctionDef
Definition = Function | ast.ClassDef


@dataclass(frozen=True)
class Site:
    """A function or class: where it is, and whether its name can be reached from outside."""

    where: str
    node: Definition
    public: bool


@cache
def sources() -> dict[str, str]:
    """The text of every file by its path; links, as epimc/ir is one, are not followed."""
    return {
        Path(here, name).relative_to(ROOT).as_posix(): Path(here, name).read_text(encoding="utf-8")
        for folder in FOLDERS
        for here, _, names in os.walk(ROOT / folder)
        for name in sorted(names)
        if name.endswith(".py")
    }


def definitions(scope: ast.AST, path: str, name: str, public: bool) -> Iterator[Site]:
    """The functions and classes in a scope, at every depth."""
    for node in ast.iter_child_nodes(scope):
        if isinstance(node, Definition):
            inner, visible = f"{name}.{node.name}".lstrip("."), public and node.name[0] != "_"
            yield Site(f"{path}:{node.lineno}: {inner}", node, visible)
            is_class = isinstance(node, ast.ClassDef)
            yield from definitions(node, path, inner, visible and is_class)
        else:
            yield from definitions(node, path, name, public)


@cache
def everything() -> list[Site]:
    """The functions and classes of the project."""
    return [
        site
        for path, text in sources().items()
        for site in definitions(
            ast.parse(text), path, "", public=path.endswith("__init__.py") or "/_" not in path
        )
    ]


def functions() -> dict[str, Function]:
    """The functions and methods of the project, by where they are."""
    return {
        site.where: site.node for site in everything() if not isinstance(site.node, ast.ClassDef)
    }


def lines(function: Function) -> int:
    """From the first decorator to the last line, without the docstring."""
    start = min([function.lineno, *(item.lineno for item in function.decorator_list)])
    total = (function.end_lineno or start) - start + 1
    if ast.get_docstring(function, clean=False) is not None:
        text = function.body[0]
        total -= (text.end_lineno or text.lineno) - text.lineno + 1
    return total


def unannotated(function: Function) -> list[str]:
    """The parameters without a type, and `return` if that has none."""
    given = function.args
    positional = [*given.posonlyargs, *given.args]
    if positional and positional[0].arg in ("self", "cls", "mcs"):
        positional = positional[1:]
    several = [argument for argument in (given.vararg, given.kwarg) if argument]
    every = [*positional, *given.kwonlyargs, *several]
    missing = [argument.arg for argument in every if argument.annotation is None]
    return missing if function.returns else [*missing, "return"]


def needs_no_text(node: Definition) -> bool:
    """Whether it says again what is documented elsewhere: an overload or a property's setter."""
    marks = [ast.unparse(mark) for mark in node.decorator_list]
    return any(mark.split(".")[-1] in ("overload", "setter", "deleter") for mark in marks)


def percentile_95(values: Sequence[int]) -> int:
    """The smallest value that at least 95 % do not exceed."""
    return sorted(values)[math.ceil(0.95 * len(values)) - 1]


def check_lengths(lengths: dict[str, int], most: int, most_p95: int) -> None:
    """Fail, with the longest first, when one is too long or too many are rather long."""
    assert lengths
    ranked = sorted(lengths, key=lambda where: -lengths[where])
    too_long = [f"{where}: {lengths[where]} lines" for where in ranked if lengths[where] > most]
    assert not too_long, f"more than {most} lines:\n" + "\n".join(too_long)
    p95 = percentile_95(list(lengths.values()))
    rather = [f"{where}: {lengths[where]} lines" for where in ranked if lengths[where] > most_p95]
    assert p95 <= most_p95, f"95th percentile {p95} > {most_p95}:\n" + "\n".join(rather)


def test_functions_are_short() -> None:
    lengths = {where: lines(function) for where, function in functions().items()}
    check_lengths(lengths, FUNCTION_LINES, FUNCTION_LINES_P95)


def test_files_are_short() -> None:
    lengths = {path: len(text.splitlines()) for path, text in sources().items() if text}
    check_lengths(lengths, FILE_LINES, FILE_LINES_P95)


def test_every_function_is_annotated() -> None:
    wrong = [
        f"{where}: {', '.join(missing)}"
        for where, function in functions().items()
        if (missing := unannotated(function))
    ]
    assert not wrong, "no type for:\n" + "\n".join(wrong)


def test_public_names_are_documented() -> None:
    public = [site for site in everything() if site.public and not needs_no_text(site.node)]
    bare = [site.where for site in public if not ast.get_docstring(site.node)]
    share = 1 - len(bare) / len(public)
    assert share >= DOCUMENTED, f"only {share:.1%} have a docstring; not:\n" + "\n".join(bare)


def test_lines_leave_out_the_docstring_and_count_decorators() -> None:
    tree = ast.parse('@mark\ndef f(a, *b: int):\n    """One.\n\n    Two.\n    """\n    return a\n')
    (function,) = tree.body
    assert isinstance(function, ast.FunctionDef)
    assert lines(function) == 3
    assert unannotated(function) == ["a", "return"]


def test_private_scopes_hide_what_is_in_them() -> None:
    tree = ast.parse(
        "class A:\n    def f(self):\n        def g(): ...\n    def _h(self): ...\n"
        "class _B:\n    def f(self): ...\n"
    )
    public = [site.where for site in definitions(tree, "m.py", "", public=True) if site.public]
    assert public == ["m.py:1: A", "m.py:2: A.f"]
