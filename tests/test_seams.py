"""What is known of an instruction stands in its class: no other file distinguishes instructions.

The exceptions are those of docs/decisions/0009, at most five.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import epimc.backends.crossbar.instructions  # noqa: F401  (it registers them)
from epimc.backends.crossbar.instructions.registry import instructions
from tests.test_import_directions import project_files

pytestmark = pytest.mark.smoke

HOME = "epimc.backends.crossbar.instructions"
NAMES = {kind.__name__: kind.name for kind in instructions()}

# Module -> the instructions that it may tell from others.
EXCEPTIONS = {
    # The parts of a split layer, and their sums: a property of several tables.
    "epimc.backends.crossbar.check.layers": {"Mvm", "Add"},
    # Nothing but walks through streams knows what a loop is.
    "epimc.backends.crossbar.isa.loops": {"Loop", "End"},
    # Signals and waits meet: a property of all streams.
    "epimc.backends.crossbar.check.streams": {"Signal", "Wait"},
    "epimc.backends.crossbar.lower.semaphores": {"Signal", "Wait"},
}


def imported_classes(tree: ast.Module) -> set[str]:
    """The names under which a module knows classes of instructions."""
    return {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(HOME)
        for alias in node.names
        if alias.name in NAMES
    }


def names_in(node: ast.AST) -> set[str]:
    """All names in an expression."""
    return {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}


def distinctions(tree: ast.Module) -> Iterator[tuple[int, set[str]]]:
    """Where a module tells instructions from each other: the line, and the classes it names."""
    classes = imported_classes(tree)
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id="isinstance" | "issubclass"), args=[_, kinds]):
                yield node.lineno, names_in(kinds) & classes
            case ast.match_case(pattern=pattern):
                for part in ast.walk(pattern):
                    if isinstance(part, ast.MatchClass):
                        yield part.lineno, names_in(part.cls) & classes
            case ast.Compare(left=left, comparators=others):
                sides = [left, *others]
                yield node.lineno, {name for side in sides for name in names_in(side) & classes}
                if any("opcode" in ast.dump(side) for side in sides):
                    yield node.lineno, {k for side in sides for k in named_opcodes(side)}
            case _:
                pass


def named_opcodes(node: ast.AST) -> set[str]:
    """The instructions that an expression names by their opcodes."""
    opcodes = {name: kind for kind, name in NAMES.items()}
    constants = {name.upper(): kind for kind, name in NAMES.items()}
    written = {p.value for p in ast.walk(node) if isinstance(p, ast.Constant)}
    spelled = {opcodes[value] for value in written if value in opcodes}
    return spelled | {constants[name] for name in names_in(node) if name in constants}


def test_no_other_file_distinguishes_instructions() -> None:
    wrong: list[str] = []
    for module, path in sorted(project_files().items()):
        if module.startswith(HOME):
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for line, classes in distinctions(tree):
            wrong += [f"{path}:{line}: {name}" for name in classes - EXCEPTIONS.get(module, set())]
    assert not wrong, "\n".join(wrong)


def test_every_exception_is_needed_and_written_down() -> None:
    assert len(EXCEPTIONS) <= 5
    files = project_files()
    page = (
        Path(__file__).parents[1] / "docs/decisions/0009-instructions-are-classes.md"
    ).read_text()
    for module, allowed in EXCEPTIONS.items():
        tree = ast.parse(files[module].read_text(encoding="utf-8"))
        used = set[str]().union(*(classes for _, classes in distinctions(tree)))
        assert used == allowed, module
        place = module.removeprefix("epimc.backends.crossbar.").replace(".", "/")
        assert f"`{place}.py`" in page, module


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("isinstance(x, Mvm)", {"Mvm"}),
        ("isinstance(x, (Pool, int))", {"Pool"}),
        ("match x:\n    case Pool(kind='max'):\n        pass", {"Pool"}),
        ("i.opcode == 'wait'", {"Wait"}),
        ("i.opcode in (SIGNAL, 'send')", {"Signal", "Send"}),
        ("type(x) is Mvm", {"Mvm"}),
        ("isinstance(x, int)", set()),
        ("name == 'wait'", set()),
    ],
)
def test_distinctions_are_seen(text: str, expected: set[str]) -> None:
    imports = f"from {HOME}.mvm import Mvm\nfrom {HOME}.pool import Pool\n"
    seen = set[str]().union(*(kinds for _, kinds in distinctions(ast.parse(imports + text))))
    assert seen == expected
