"""What docstrings say, for the pages of documentation that are made from them."""

from __future__ import annotations

from inspect import cleandoc


def summary_of(docstring: str) -> str:
    """A docstring without its sections, on one line a paragraph."""
    head = cleandoc(docstring).partition("\n\nAttributes:")[0]
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in head.split("\n\n"))


def attribute_docs(docstring: str) -> dict[str, str]:
    """What the section `Attributes` of a docstring says of each attribute."""
    docs: dict[str, str] = {}
    name, first = "", 0
    for line in docstring.partition("Attributes:\n")[2].splitlines():
        indent = len(line) - len(line.lstrip())
        head, colon, rest = line.strip().partition(": ")
        # What goes on is indented further than what begins.
        if colon and head.isidentifier() and (not docs or indent <= first):
            name, first = head, indent
            docs[name] = rest
        elif name:
            docs[name] = f"{docs[name]} {line.strip()}".strip()
    return docs
