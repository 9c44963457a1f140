"""The page about JSON documents, made of the classes of results."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import pytest
from pydantic import BaseModel

from epimc.results.document import json_document
from epimc.results.schema import keys_of, records_in, words_of
from epimc.support.results import FORMAT, INLINED, Result
from epimc.support.tables import Block, Lines


@dataclass(frozen=True)
class Size:
    """How large it is.

    Attributes:
        rows: From top to bottom,
            in lines.
    """

    rows: int


class Chip(BaseModel):
    """What it runs on.

    Attributes:
        name: Its own.
    """

    name: str


@dataclass(frozen=True)
class Facts(Result):
    """What every kind of chip has of its own."""

    KIND: ClassVar[str] = "facts"


@dataclass(frozen=True)
class Thing(Result):
    """A thing.

    And more about it.

    Attributes:
        share: Of all things, 0 to 1; null where there are none.
        counts: How many, by name.
        sizes: Of its parts.
        chip: That of the thing.
        size: Of all.
        facts: What its kind of chip says.
    """

    KIND: ClassVar[str] = "thing"

    share: float | None
    counts: Mapping[str, int]
    sizes: tuple[Size, ...]
    chip: Chip
    size: Size = field(metadata=INLINED)
    facts: Facts = field(metadata=INLINED)

    def blocks(self) -> Iterator[Block]:
        """Nothing of interest."""
        yield Lines(())


@dataclass(frozen=True)
class OwnFacts(Facts):
    """What one kind of chip has.

    Attributes:
        good: Whether it is.
    """

    good: bool

    def blocks(self) -> Iterator[Block]:
        """Nothing of interest."""
        yield Lines(())


SECTIONS = """\
## thing

A thing.

And more about it.

| key | value | meaning |
|---|---|---|
| `share` | number or null | Of all things, 0 to 1; null where there are none. |
| `counts` | object of integer | How many, by name. |
| `sizes` | list of [Size](#size) | Of its parts. |
| `chip` | [Chip](#chip) | That of the thing. |
| `rows` | integer | From top to bottom, in lines. |

Beside them: what its kind of chip says. ([facts](#what-backends-add))

### Size

How large it is.

| key | value | meaning |
|---|---|---|
| `rows` | integer | From top to bottom, in lines. |

### Chip

What it runs on.

| key | value | meaning |
|---|---|---|
| `name` | string | Its own. |
"""

OWN = """\
## facts of toy

What one kind of chip has.

| key | value | meaning |
|---|---|---|
| `good` | true or false | Whether it is. |
"""


def test_the_page() -> None:
    page = json_document([Thing], {"toy": [OwnFacts]})
    assert page.startswith("# JSON documents\n")
    assert f"the keys `format`, {FORMAT} in this version" in page
    first, second = page.split("## What backends add\n")
    assert first.endswith(SECTIONS + "\n")
    assert second.endswith(OWN)


def test_a_record_is_described_once() -> None:
    page = json_document([Thing, Thing], {})
    assert page.count("## thing\n") == 2
    assert page.count("### Size\n") == page.count("### Chip\n") == 1
    assert list(records_in(Thing)) == [Size, Chip]


def test_keys() -> None:
    names = [(key.name, key.inlined) for key in keys_of(Thing)]
    assert names == [
        ("share", False),
        ("counts", False),
        ("sizes", False),
        ("chip", False),
        ("rows", False),
        ("facts", True),
    ]


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (bool, "true or false"),
        (tuple[str, ...] | None, "list of string or null"),
        (Mapping[str, float], "object of number"),
        (Facts | None, "object or null"),
    ],
)
def test_types_in_words(kind: object, words: str) -> None:
    assert words_of(kind) == words
