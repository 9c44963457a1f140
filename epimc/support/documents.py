"""JSON documents of a bundle: laid out to be read by people, read back with nothing trusted."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from epimc.support.diagnostics import EpimcError, error, mistaken, other_version, shortened
from epimc.support.mistakes import key_path, sentences

WIDTH = 200
MAXIMUM_NOTES = 20

# Values of a document, each of which takes a hundred bytes or so once it is read.
MOST_VALUES = 2**22


class Record(BaseModel):
    """An object of a document: no key but those declared, no conversion of types, immutable."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


T = TypeVar("T")


def lay_out(value: object) -> str:
    """JSON text of dicts, lists, strings, numbers: what fits on a line of WIDTH stays on one.

    Equal values in equal order give equal texts, and floats come back exactly.
    """
    return lines_of(value, 0) + "\n"


def lines_of(value: object, depth: int) -> str:
    """The text of a value whose first line is already indented by `depth` levels."""
    flat = json.dumps(value, ensure_ascii=False, allow_nan=False)
    if depth and 2 * depth + len(flat) <= WIDTH:
        return flat
    if isinstance(value, dict):
        inner = [
            f"{json.dumps(k, ensure_ascii=False)}: {lines_of(v, depth + 1)}"
            for k, v in value.items()
        ]
        opening, closing = "{", "}"
    elif isinstance(value, (list, tuple)):
        inner = [lines_of(item, depth + 1) for item in value]
        opening, closing = "[", "]"
    else:
        return flat
    margin = "\n" + "  " * depth
    body = f",{margin}  ".join(inner)
    return f"{opening}{margin}  {body}{margin}{closing}" if inner else flat


def read_document(
    data: bytes,
    form: TypeAdapter[T],
    subject: str,
    tags: Collection[str] = (),
    version: int | None = None,
) -> T:
    """What a JSON text holds.

    Args:
        data: The text, in UTF-8.
        form: What it must hold.
        subject: What messages begin with, such as `File 'tables.json' of bundle 'out'`.
        tags: Values of the key `type` by which records are told apart.
        version: What the key `format` must hold, where the record has one.

    Raises:
        OtherVersionError: It holds another version, or none.
        EpimcError: It is not JSON, or wrong: the first mistakes are named with their keys; or it
            has too many values, or a key twice.
    """
    refuse_many_values(data, subject)
    try:
        document = form.validate_json(data)
    except ValidationError as caught:
        if version is not None:
            refuse_other_version(caught, subject, version)
        raise wrong_document(caught, subject, tags) from None
    refuse_repeated_keys(data, subject)
    return document


def refuse_many_values(data: bytes, subject: str, most: int = MOST_VALUES) -> None:
    """Raise EpimcError for a JSON text of more values, before it is parsed."""
    # Every value but the first stands behind one of these; some of them may stand in texts.
    if sum(map(data.count, (b",", b"[", b"{"))) > most:
        raise error(f"{subject} has more than {most} values.")


def refuse_repeated_keys(data: bytes, subject: str) -> None:
    """Raise EpimcError where an object of a right document has a key twice.

    Readers of JSON differ in which of both they take.
    """

    def checked(pairs: list[tuple[str, None]]) -> None:
        keys: set[str] = set()
        for key, _ in pairs:
            if key in keys:
                raise error(f"{subject} has the key '{shortened(key)}' twice.")
            keys.add(key)

    json.loads(data, object_pairs_hook=checked)


def refuse_other_version(caught: ValidationError, subject: str, version: int) -> None:
    """Raise OtherVersionError where it is the key `format` that is wrong.

    Only a document that is refused is looked at: what else is wrong with it follows from that.
    """
    for item in caught.errors(include_url=False):
        if item["loc"] == ("format",):
            stated = None if item["type"] == "missing" else item["input"]
            raise other_version(subject, stated, version)


def wrong_document(caught: ValidationError, subject: str, tags: Collection[str]) -> EpimcError:
    """The error for a text that is not JSON, or holds something else."""
    first = caught.errors(include_url=False)[0]
    if first["type"] == "json_invalid":
        return error(f"{subject} is not JSON: {first['ctx']['error']}.")
    notes = sentences(caught, call=lambda keys: key_path(keys, tags))
    return mistaken(f"{subject} has", notes, most=MAXIMUM_NOTES)
