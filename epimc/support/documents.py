"""JSON documents of a bundle: laid out to be read by people, read back with nothing trusted."""

from __future__ import annotations

import json
from collections.abc import Collection
from itertools import pairwise
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from epimc.support.diagnostics import EpimcError, error, mistaken, other_version, shortened

WIDTH = 200
MAXIMUM_NOTES = 20


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
        EpimcError: It is not JSON, or wrong: the first mistakes are named with their keys.
    """
    try:
        return form.validate_json(data)
    except ValidationError as caught:
        if version is not None:
            refuse_other_version(caught, subject, version)
        raise wrong_document(caught, subject, tags) from None


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
    mistakes = caught.errors(include_url=False)
    if mistakes[0]["type"] == "json_invalid":
        return error(f"{subject} is not JSON: {mistakes[0]['ctx']['error']}.")
    notes = [
        mistake(key_path(item["loc"], tags), item["type"], item["msg"], item["input"])
        for item in mistakes
    ]
    return mistaken(f"{subject} has", notes, most=MAXIMUM_NOTES)


def mistake(path: str, kind: str, reason: str, value: object) -> str:
    """One sentence about one mistake."""
    if kind == "missing":
        return f"{path} is missing."
    if kind in ("extra_forbidden", "unexpected_keyword_argument"):
        return f"{path} is unknown."
    short = shortened(json.dumps(value, ensure_ascii=False, default=str))
    return f"{path} = {short}: {reason[:1].lower()}{reason[1:]}."


def key_path(keys: tuple[int | str, ...], tags: Collection[str] = ()) -> str:
    """Keys and indices as `tables[3].window`; the whole document is `the document`.

    Where records are told apart, pydantic puts the tag behind the index; it is left out here.
    """
    path = ""
    for before, key in pairwise((None, *keys)):
        if isinstance(key, int):
            path += f"[{key}]"
        elif key not in tags or not isinstance(before, int):
            path += f".{key}"
    return path.removeprefix(".") or "the document"
