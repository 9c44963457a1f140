"""docs/passes.md: every pass, the levels that it takes and gives, and its options."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import MISSING
from inspect import getdoc

from epimc.ir.pipeline import Pass, pass_class
from epimc.support.options import DeclaredOption, options_of

HEAD = """# Passes

This page is generated from the classes of the passes.

`epimc opt FILE.epi -p 'a,b{option=value}'` runs passes on IR in text form, and
`epimc compile -O 'b{option=value}'` sets options of those that a compile runs.  Values are numbers,
`true` and `false`, words, lists such as `[1,2]`, and `none` where an option may be left unset; text
with spaces, commas, braces, brackets or quotes stands in quotes, as in JSON.
"""


def pass_document(registry: Mapping[str, str]) -> str:
    """The page as Markdown; ends in a newline.

    Args:
        registry: All passes, in the order of a compile.
    """
    kinds = [pass_class(name, registry) for name in registry]
    return HEAD + "".join(line + "\n" for kind in kinds for line in section(kind))


def section(kind: type[Pass]) -> Iterator[str]:
    """The lines about one pass."""
    ends = f"from `{kind.requires}` to `{kind.ensures}`"
    if kind.requires == kind.ensures:
        ends = f"at `{kind.requires}`"
    yield from ("", f"## {kind.name}", "", f"Runs {ends}.", "")
    yield (getdoc(kind) or "").partition("\n\nAttributes:")[0]
    options = options_of(kind)
    if options:
        yield from ("", "| Option | Value | Default | Meaning |", "| --- | --- | --- | --- |")
        yield from map(row, options.values())


def row(known: DeclaredOption) -> str:
    """The row of the table for one option."""
    default, option = "-", known.option
    if known.default is not MISSING:
        default = f"`{known.kind.show(known.default)}`"
    bounded = option.minimum is not None or option.maximum is not None
    value = f"{known.kind.expected}, {option.bounds}" if bounded else known.kind.expected
    return f"| `{known.name}` | {value} | {default} | {option.doc} |"
