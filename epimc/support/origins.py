"""The ONNX nodes that an op or a feature map stands for: as data, and in words.

This module is at the bottom of the project: it imports nothing of it.  Nodes stay data from the
import to the bundle and to `--json`; what is printed has their words from here.
"""

from __future__ import annotations

# Of a long name so many characters are shown, and so many of them from its begin.
LONGEST_SHOWN, SHOWN_BEGIN = 48, 16

Node = tuple[str, str]
"""One ONNX node: its op type, with the domain where that is not the default, and its name."""

EVERY_NODE: Node = ("", "")
"""Stands for all nodes of a model: no operator is named so."""

Nodes = tuple[Node, ...]
"""Several of them, in execution order."""


def place_of(nodes: Nodes) -> str:
    """How messages and listings name nodes: `node 'a' (Conv), node 'b' (Relu)`, on one line."""
    named = ((kind, f"node '{printable(name)}'" if name else "a node") for kind, name in nodes)
    return ", ".join(f"{words} ({kind})" for kind, words in named)


def call_of(kind: str, name: str) -> str:
    """How results name a node that the host runs: `Softmax 'probabilities'`, on one line."""
    return f"{kind} '{printable(name)}'"


def printable(text: str) -> str:
    """A text on one line: ONNX lets a name hold line breaks and other control characters."""
    # Nearly every name is printable as it is, and the checker names every table.
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else " " for character in text)


def elided(name: str) -> str:
    """A name as a sentence among others can have it: of a long one its begin and its end."""
    if len(name) <= LONGEST_SHOWN:
        return name
    # Exporters put what tells names apart at their ends.
    return f"{name[:SHOWN_BEGIN]}…{name[SHOWN_BEGIN + 1 - LONGEST_SHOWN :]}"
