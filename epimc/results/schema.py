"""What the classes of results declare of their JSON documents."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from epimc.support.docstrings import attribute_docs
from epimc.support.results import INLINED

WORDS: Mapping[object, str] = {
    str: "string",
    int: "integer",
    float: "number",
    bool: "true or false",
    NoneType: "null",
}


@dataclass(frozen=True)
class Key:
    """One key of a record.

    Attributes:
        name: In the document.
        type: As it is annotated.
        meaning: From the docstring.
        inlined: Whether the keys of its value stand in its place.
    """

    name: str
    type: Any
    meaning: str
    inlined: bool


def keys_of(record: type) -> Iterator[Key]:
    """The keys of a record; records that are inlined and known have their own keys listed."""
    types, meanings = get_type_hints(record), meanings_of(record)
    for name, metadata in field_names(record).items():
        key = Key(name, types[name], meanings[name], INLINED.items() <= metadata.items())
        if key.inlined and is_record(key.type):
            yield from keys_of(key.type)
        else:
            yield key


def field_names(kind: object) -> dict[str, Mapping[Any, Any]]:
    """The names of the fields that a class declares, each with its metadata.

    The class is a dataclass, or a model of pydantic, whose fields have none.
    """
    if is_dataclass(kind):
        return {field.name: field.metadata for field in fields(kind)}
    return {name: {} for name in getattr(kind, "model_fields", ())}


def meanings_of(record: type) -> dict[str, str]:
    """What the docstrings of a class and of its bases say of the attributes."""
    meanings: dict[str, str] = {}
    for base in reversed(record.__mro__):
        meanings |= attribute_docs(base.__doc__ or "")
    return meanings


def is_record(kind: object) -> bool:
    """Whether values of a type are objects whose keys it declares."""
    return isinstance(kind, type) and bool(field_names(kind))


def parts_of(kind: object) -> tuple[object, ...]:
    """The types that a type is made of: of a tuple's items, of a mapping's values, of a union."""
    if get_origin(kind) in (Union, UnionType):
        return get_args(kind)
    if get_origin(kind) is tuple:
        return (get_args(kind)[0],)
    if get_origin(kind) is Mapping:
        return (get_args(kind)[1],)
    return ()


def records_in(record: type) -> Iterator[type]:
    """The records that a record has, in the order of its keys, those within them after each."""
    for key in keys_of(record):
        yield from records_of(key.type)


def records_of(kind: object) -> Iterator[type]:
    """The records that values of a type have."""
    if is_record(kind):
        assert isinstance(kind, type)
        yield kind
        yield from records_in(kind)
    for part in parts_of(kind):
        yield from records_of(part)


def words_of(kind: object) -> str:
    """A type in words, as the page has it."""
    if get_origin(kind) in (Union, UnionType):
        return " or ".join(words_of(part) for part in get_args(kind))
    if get_origin(kind) is tuple:
        return f"list of {words_of(get_args(kind)[0])}"
    if get_origin(kind) is Mapping:
        return f"object of {words_of(get_args(kind)[1])}"
    if kind in WORDS:
        return WORDS[kind]
    assert isinstance(kind, type)
    return f"[{kind.__name__}](#{kind.__name__.lower()})" if is_record(kind) else "object"
