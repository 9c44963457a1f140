"""docs/passes.md says what the passes are, and how their options are written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

from epimc.backends.registry import load_backend
from epimc.compiler.pass_document import pass_document
from epimc.compiler.passes import passes_of
from epimc.ir.pipeline import Pass
from epimc.support.options import Option

PAGE = Path(__file__).parents[2] / "docs" / "passes.md"


@dataclass(frozen=True)
class Toy(Pass):
    """Plays.

    For ever.

    Attributes:
        colour: Of the toy.
        size: Likewise.
    """

    colour: Annotated[str, Option("Which colour.")]
    size: Annotated[int, Option("How large.", minimum=1)] = 3
    names: Annotated[tuple[str, ...], Option("How it is called.")] = ("a b",)

    name: ClassVar[str] = "toy"
    requires: ClassVar[str] = "nn"
    ensures: ClassVar[str] = "nn"


def test_the_page_is_up_to_date() -> None:
    registry = passes_of(load_backend("crossbar"))
    text = PAGE.read_text(encoding="utf-8")
    assert text == pass_document(registry), "renew it: python -m epimc.pages"
    assert all(f"\n## {name}\n" in text for name in registry)


def test_what_is_said_of_a_pass() -> None:
    text = pass_document({"toy": f"{__name__}:Toy"})
    assert text[text.index("\n## toy") :] == (
        "\n## toy\n\nRuns at `nn`.\n\nPlays.\n\nFor ever.\n\n"
        "| Option | Value | Default | Meaning |\n"
        "| --- | --- | --- | --- |\n"
        "| `colour` | text | - | Which colour. |\n"
        "| `size` | an integer, at least 1 | `3` | How large. |\n"
        '| `names` | a list, each item text | `["a b"]` | How it is called. |\n'
    )
