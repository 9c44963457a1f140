"""What pydantic refuses, in words: of a declared table, and of a document of unknown form."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from pydantic import Field, ValidationError, model_validator

from epimc.support.mistakes import explained, key_path, sentences
from epimc.support.toml_files import TomlTable, number, words

pytestmark = pytest.mark.smoke


class Inner(TomlTable):
    """A table in a list."""

    size: int = number(1, 9, "", "how large")
    sides: Annotated[
        tuple[Annotated[tuple[int, int], Field(strict=False)], ...], Field(strict=False)
    ] = words("a list of pairs", "the sides", inner=["two integers", "an integer"], default=())

    @model_validator(mode="after")
    def odd(self) -> Inner:
        """Refuse an even size."""
        if self.size % 2 == 0:
            raise explained("expected an odd size")
        return self


class Outer(TomlTable):
    """A file."""

    one: Inner
    many: Annotated[tuple[Inner, ...], Field(strict=False)] = ()


ONE = {"size": 1}


def said(data: dict[str, Any], declared: bool = True) -> list[str]:
    """What is said about a wrong file."""
    with pytest.raises(ValidationError) as caught:
        Outer.model_validate(data)
    return sentences(caught.value, Outer if declared else None)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({}, ["[one] is missing: it holds size, sides."]),
        ({"one": 3}, ["one = 3: must be a table, [one]."]),
        ({"one": ONE, "many": ONE}, ['many = {"size": 1}: must be a list of tables, [[many]].']),
        (
            {"one": ONE, "many": [ONE, 7, {"sise": 3}]},
            [
                "many[1] = 7: must be a table, [[many]].",
                "many[2].size is missing: must be between 1 and 9 (how large).",
                "many[2].sise is unknown. Did you mean 'size'?",
            ],
        ),
        ({"one": {"size": 4}}, ["one: expected an odd size."]),
        (
            {"one": {"size": "4"}},
            ['one.size = "4": must be an integer between 1 and 9 (how large).'],
        ),
        (
            {"one": {"size": 1, "sides": [[1, 2], [1], [1, 2, 3], [1, "2"]]}},
            [
                "one.sides[1] = [1]: must be two integers (the sides).",
                "one.sides[2] = [1, 2, 3]: must be two integers (the sides).",
                'one.sides[3][1] = "2": must be an integer (the sides).',
            ],
        ),
        ({"one": {"size": 1, "sides": 5}}, ["one.sides = 5: must be a list of pairs (the sides)."]),
    ],
)
def test_every_kind_of_mistake_in_a_declared_table(
    data: dict[str, Any], expected: list[str]
) -> None:
    assert said(data) == expected


def test_without_a_declaration_the_words_are_those_of_pydantic() -> None:
    assert said({"one": {"size": "4"}, "two": 2}, declared=False) == [
        'one.size = "4": input should be a valid integer.',
        "two is unknown.",
    ]


def test_tags_of_records_are_left_out_of_key_paths() -> None:
    assert key_path(("tables", 3, "add", "sources", 0), ("add",)) == "tables[3].sources[0]"
    assert key_path(("add", "add"), ("add",)) == "add.add"
    assert key_path(("add", "a b")) == 'add."a b"'
    assert key_path(()) == "the document"
