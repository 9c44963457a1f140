"""Results are data: what a command comes to, as an object with typed fields.

A result is a frozen dataclass.  Its fields are the data, and the keys of its JSON document; its
blocks are what people read, as text on a terminal and as HTML in a notebook.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import ClassVar, Protocol, runtime_checkable

from epimc.support.origins import Nodes
from epimc.support.rendering import html_of, text_of
from epimc.support.tables import Block

FORMAT = 1
"""Of all JSON documents: raised when a key goes, or means something else; new keys leave it."""

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]


@dataclass(frozen=True)
class Result(ABC):
    """What a command comes to; `str` of it is what the command prints.

    A class that can be instantiated states its `KIND`: the key `kind` of its JSON document.
    """

    KIND: ClassVar[str]

    @abstractmethod
    def blocks(self) -> Iterable[Block]:
        """What it says, from top to bottom."""

    def to_json(self) -> dict[str, Json]:
        """The document that `--json` prints: its format, its kind, and the fields by their names.

        `docs/json.md` describes all kinds.
        """
        return {"format": FORMAT, "kind": self.KIND, **field_values(self)}

    def __str__(self) -> str:
        """The text, in lines of at most 100 columns, without a line break at the end."""
        return text_of(self.blocks())

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        return html_of(self.blocks())


@dataclass(frozen=True)
class OnnxNode:
    """One node of the user's ONNX model.

    Attributes:
        op: Its op type, with the domain where that is not the default.
        name: Its name, which may be empty.
    """

    op: str
    name: str


def onnx_nodes(nodes: Nodes) -> tuple[OnnxNode, ...]:
    """The nodes that a layer stands for, as results have them."""
    return tuple(OnnxNode(op, name) for op, name in nodes)


def first_name(name: str, nodes: Sequence[OnnxNode]) -> str:
    """The first node that a layer stands for; the layer's own name where there is none."""
    return nodes[0].name if nodes and nodes[0].name else name


INLINED: Mapping[str, bool] = {"inlined": True}
"""Metadata of a field whose own keys stand in the document beside those of its record.

So a bundle's document has the keys that its backend knows, next to those of every bundle.
"""


@runtime_checkable
class Keyed(Protocol):
    """What is declared elsewhere, as the keys of a target's file are, and knows its own keys."""

    def to_dict(self) -> Mapping[str, object]:
        """Its keys with their values: nested mappings, sequences, strings and numbers."""


def field_values(record: object) -> dict[str, Json]:
    """The keys of a record with their values, as JSON has them."""
    if isinstance(record, Keyed):
        return {key: as_json(value) for key, value in record.to_dict().items()}
    assert is_dataclass(record)
    values: dict[str, Json] = {}
    for each in fields(record):
        value = getattr(record, each.name)
        if INLINED.items() <= each.metadata.items():
            values |= field_values(value)
        else:
            values[each.name] = as_json(value)
    return values


def as_json(value: object) -> Json:
    """A value of a field as JSON has it: records become objects, sequences lists.

    Raises:
        TypeError: JSON has no form for it, which is a mistake in the class of the result.
    """
    if isinstance(value, float) and not math.isfinite(value):
        raise TypeError(f"{value} is no number of JSON")
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Mapping):
        return {str(key): as_json(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        return [as_json(item) for item in value]
    if is_dataclass(value) or isinstance(value, Keyed):
        return field_values(value)
    raise TypeError(f"a result has a {type(value).__name__}, for which JSON has no form")
