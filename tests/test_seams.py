"""What is known of an instruction or of an op stands in its class: no other file tells them apart.

The exceptions are those of docs/decisions/0009 for instructions, and 0010 for ops of the IR.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pytest

import epimc.backends.crossbar.instructions  # noqa: F401  (it registers them)
from epimc.backends.crossbar import dialect
from epimc.backends.crossbar.instructions.registry import instructions
from epimc.ir.core.op import Op
from epimc.ir.core.registry import OPS
from epimc.ir.passes import epitomize, fold, layout  # noqa: F401  (their patterns)
from epimc.ir.rewriting import Pattern
from epimc.quantization.equalization import equalize  # noqa: F401  (its pattern)
from tests.imports import project_files

T = TypeVar("T")

pytestmark = pytest.mark.smoke

PAGES = Path(__file__).parents[1] / "docs/decisions"


@dataclass(frozen=True)
class Seam:
    """Classes that only their homes tell apart.

    Attributes:
        homes: The modules and packages that declare them.
        classes: Their names, as the texts below call them.
        words: The class of each text that stands for one: an opcode, or the name of an op.
        attribute: Where such a text must come from to count; empty: wherever it is compared.
        exceptions: Module -> the classes that it may tell from others.
        most: How many exceptions there may be.
        page: Which says why.
    """

    homes: tuple[str, ...]
    classes: frozenset[str]
    words: Mapping[str, str]
    attribute: str
    exceptions: Mapping[str, set[str]]
    most: int
    page: str

    def is_home(self, module: str) -> bool:
        """Whether a module declares some of the classes."""
        return any(module == home or module.startswith(home + ".") for home in self.homes)

    def label(self, path: str) -> str:
        """The class that a dotted path leads to, as the exceptions call it; empty: none."""
        module, _, name = path.rpartition(".")
        return name if name in self.classes and self.is_home(module) else ""


INSTRUCTIONS = Seam(
    homes=("epimc.backends.crossbar.instructions",),
    classes=frozenset(kind.__name__ for kind in instructions()),
    words={kind.name: kind.__name__ for kind in instructions()},
    attribute="opcode",
    exceptions={
        # The parts of a split layer, and their sums: a property of several tables.
        "epimc.backends.crossbar.check.layers": {"Mvm", "Add"},
        # Nothing but walks through streams knows what a loop is.
        "epimc.backends.crossbar.isa.loops": {"Loop", "End"},
        # Signals and waits meet: a property of all streams.
        "epimc.backends.crossbar.check.streams": {"Signal", "Wait"},
        "epimc.backends.crossbar.lower.semaphores": {"Signal", "Wait"},
    },
    most=5,
    page="0009-instructions-are-classes.md",
)


def below(kind: type[T]) -> Iterator[type[T]]:
    """All classes that derive from one."""
    for child in kind.__subclasses__():
        yield child
        yield from below(child)


HOMES = ("epimc.ir.dialects", "epimc.backends.crossbar.dialect")
DECLARED = {kind for kind in below(Op) if kind.__module__.startswith(HOMES)}

IR_OPS = Seam(
    homes=HOMES,
    # What all ops on crossbars are is a trait of theirs.
    classes=frozenset(kind.__name__ for kind in DECLARED - {dialect.XbarOp}),
    words={name: kind.__name__ for name, kind in OPS.items()},
    attribute="",
    exceptions={
        # Only layers take crossbars, and are split over tiles.
        "epimc.backends.crossbar.lower.place": {"Mvm"},
        "epimc.backends.crossbar.lower.tiles": {"Mvm"},
        # The pass is about rearrangements: it counts what they move, and looks for them.
        "epimc.ir.passes.layout": {"Rearrange"},
        "epimc.ir.passes.sinking": {"Rearrange"},
    },
    most=6,
    page="0010-ir-ops-are-classes.md",
)

# What a pattern matches, itself and around it, it says inside.
PATTERNS = {f"{kind.__module__}.{kind.__qualname__}" for kind in below(Pattern)}  # type: ignore[type-abstract]


class Reading:
    """What one file says of the classes of a seam."""

    def __init__(self, seam: Seam, tree: ast.Module, module: str) -> None:
        self.seam, self.tree, self.module = seam, tree, module
        self.imported = {
            alias.asname or alias.name: f"{node.module}.{alias.name}"
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        }
        # Tuples and unions of classes, which are told from others where their names are used.
        self.groups = {
            target.id: self.named_in(node.value)
            for node in tree.body
            if isinstance(node, ast.Assign) and not isinstance(node.value, ast.Call)
            for target in node.targets
            if isinstance(target, ast.Name)
        }

    def named_in(self, node: ast.AST) -> set[str]:
        """The classes that an expression names."""
        labels = {self.seam.label(self.path(part)) for part in ast.walk(node)}
        names = {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
        grouped = [self.groups[name] for name in names if name in vars(self).get("groups", {})]
        return labels.union(*grouped) - {""}

    def path(self, node: ast.AST) -> str:
        """The dotted path of a name or of an attribute of an imported module."""
        match node:
            case ast.Name(id=name):
                return self.imported.get(name, "")
            case ast.Attribute(value=value, attr=attr):
                return f"{self.path(value)}.{attr}"
        return ""

    def distinctions(self) -> Iterator[tuple[int, set[str]]]:
        """Where the file tells classes from each other: the line, and the classes it names."""
        yield from self._distinctions(self.tree)

    def _distinctions(self, node: ast.AST) -> Iterator[tuple[int, set[str]]]:
        match node:
            case ast.ClassDef(name=name) if f"{self.module}.{name}" in PATTERNS:
                return
            case ast.Call(func=ast.Name(id="isinstance" | "issubclass"), args=[_, kinds]):
                yield node.lineno, self.named_in(kinds)
            case ast.MatchClass(cls=kind):
                yield node.lineno, self.named_in(kind)
            case ast.Dict(keys=keys):
                yield node.lineno, set().union(*(self.named_in(key) for key in keys if key))
            case ast.Compare(left=left, comparators=others):
                yield node.lineno, self.compared([left, *others])
        for child in ast.iter_child_nodes(node):
            yield from self._distinctions(child)

    def compared(self, sides: list[ast.expr]) -> set[str]:
        """The classes that a comparison names, or texts that stand for them."""
        labels = set[str]().union(*map(self.named_in, sides))
        attribute = self.seam.attribute
        if not attribute or any(attribute in ast.dump(side) for side in sides):
            labels |= {word for side in sides for word in self.spelled(side)}
        return labels

    def spelled(self, node: ast.AST) -> set[str]:
        """The classes whose texts an expression holds, as they are or as constants."""
        words = self.seam.words
        constants = {word.upper(): kind for word, kind in words.items()}
        names = {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
        texts = {part.value for part in ast.walk(node) if isinstance(part, ast.Constant)}
        spelled = {kind for word, kind in words.items() if word in texts}
        return spelled | {kind for name, kind in constants.items() if name in names}


SEAMS = [pytest.param(INSTRUCTIONS, id="instructions"), pytest.param(IR_OPS, id="ops of the IR")]


@pytest.mark.parametrize("seam", SEAMS)
def test_no_other_file_tells_them_apart(seam: Seam) -> None:
    wrong: list[str] = []
    for module, path in sorted(project_files().items()):
        if seam.is_home(module):
            continue
        reading = Reading(seam, ast.parse(path.read_text(encoding="utf-8")), module)
        allowed = seam.exceptions.get(module, set())
        for line, classes in reading.distinctions():
            wrong += [f"{path}:{line}: {name}" for name in sorted(classes - allowed)]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("seam", SEAMS)
def test_every_exception_is_needed_and_written_down(seam: Seam) -> None:
    assert len(seam.exceptions) <= seam.most
    files, page = project_files(), (PAGES / seam.page).read_text(encoding="utf-8")
    for module, allowed in seam.exceptions.items():
        reading = Reading(seam, ast.parse(files[module].read_text(encoding="utf-8")), module)
        used = set[str]().union(*(classes for _, classes in reading.distinctions()))
        assert used == allowed, module
        place = module.removeprefix("epimc.").removeprefix("backends.crossbar.").replace(".", "/")
        assert f"`{place}.py`" in page, module


def seen(seam: Seam, text: str) -> set[str]:
    """The classes that a text tells apart, as part of the pass `fold`."""
    distinctions = Reading(seam, ast.parse(text), "epimc.ir.passes.fold").distinctions()
    return set[str]().union(*(kinds for _, kinds in distinctions))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("isinstance(x, Mvm)", {"Mvm"}),
        ("isinstance(x, (Pool, int))", {"Pool"}),
        ("match x:\n    case Pool(kind='max'):\n        pass", {"Pool"}),
        ("i.opcode == 'wait'", {"Wait"}),
        ("i.opcode in (SIGNAL, 'send')", {"Signal", "Send"}),
        ("type(x) is Mvm", {"Mvm"}),
        ("table = {Mvm: 1}", {"Mvm"}),
        ("isinstance(x, int)", set()),
        ("name == 'wait'", set()),
    ],
)
def test_distinctions_of_instructions_are_seen(text: str, expected: set[str]) -> None:
    (home,) = INSTRUCTIONS.homes
    imports = f"from {home}.mvm import Mvm\nfrom {home}.pool import Pool\n"
    assert seen(INSTRUCTIONS, imports + text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("isinstance(op, nn.Conv)", {"Conv"}),
        ("isinstance(op, (nn.Conv, moves.Pad, Clips))", {"Conv", "Pad"}),
        ("isinstance(op, nn.Conv | nn.Gemm)", {"Conv", "Gemm"}),
        ("isinstance(op, nn.Windowed)", {"Windowed"}),
        ("LAYERS = (nn.Conv, nn.Gemm)\nisinstance(op, LAYERS)", {"Conv", "Gemm"}),
        ("Layer = nn.Conv | nn.Gemm\ndef f(op): return type(op) in Layer", {"Conv", "Gemm"}),
        ("match op:\n    case nn.Relu():\n        pass", {"Relu"}),
        ("type(op) is Mvm", {"Mvm"}),
        ("RULES = {nn.Relu: 1, int: 2}", {"Relu"}),
        ("op.name == 'epi.quantize'", {"Quantize"}),
        ("[op.name for op in ops] != ['nn.relu']", {"Relu"}),
        ("isinstance(op, Clips)", set()),
        ("isinstance(op, XbarOp)", set()),
        ("@quantizes(nn.Relu)\ndef rule(op: nn.Relu): ...", set()),
        ("lowers = (nn.Relu,)", set()),
        ("builder.emit(nn.Relu, [x], 'y', location)", set()),
        ("class PadIntoConv(Base):\n    def f(self, op): isinstance(op, nn.Pad)", set()),
        ("class Other(Base):\n    def f(self, op):\n        isinstance(op, nn.Conv)", {"Conv"}),
    ],
)
def test_distinctions_of_ops_are_seen(text: str, expected: set[str]) -> None:
    imports = (
        "from epimc.ir.dialects import moves, nn\n"
        "from epimc.ir.core.traits import Clips\n"
        "from epimc.backends.crossbar.dialect import Mvm, XbarOp\n"
    )
    assert seen(IR_OPS, imports + text) == expected
