"""What pydantic refuses, as sentences: the key, its value, and what it may be.

TOML files of users and JSON documents of bundles are declared as pydantic models.  Where the model
is at hand, as it is for TOML, its fields say in words what they may be (`toml_files.number` and
`words` note it), and an unknown key is compared with the known ones; else the words are pydantic's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails, PydanticCustomError

from epimc.support.diagnostics import did_you_mean, shortened

Keys = tuple[int | str, ...]
"""Where a value stands: keys of tables, and indices of lists."""

Form = type[BaseModel]
UNKNOWN = ("extra_forbidden", "unexpected_keyword_argument")
EXPLAINED = "explained"


@dataclass(frozen=True)
class MistakePlace:
    """Where a mistake is.

    Attributes:
        keys: As far as something is declared about them.
        field: The declaration; None for an unknown key, or where there is no model.
        owner: The table in which the key stands; None where there is no model.
        depth: How many lists the value lies in, within the value of the field.
    """

    keys: Keys
    field: FieldInfo | None = None
    owner: Form | None = None
    depth: int = 0


def explained(reason: str) -> PydanticCustomError:
    """What a validator raises for a mistake that no single field's words describe."""
    return PydanticCustomError(EXPLAINED, "{reason}", {"reason": reason})


def key_path(keys: Keys, tags: Collection[str] = ()) -> str:
    """Keys and indices as `tables[3].window`; the whole document is `the document`.

    Where records are told apart, pydantic puts the tag behind the index; it is left out here.
    """
    path = ""
    for before, key in pairwise((None, *keys)):
        if isinstance(key, int):
            path += f"[{key}]"
        elif key not in tags or not isinstance(before, int):
            path += f".{bare(str(key))}"
    return path.removeprefix(".") or "the document"


def sentences(
    caught: ValidationError, form: Form | None = None, call: Callable[[Keys], str] = key_path
) -> list[str]:
    """One sentence for each place where something is wrong.

    Args:
        caught: What pydantic says.
        form: The model that was broken.
        call: What sentences call a place.
    """
    # A value that may be of two types has a mistake for each: one sentence is enough.
    by_place: dict[Keys, str] = {}
    for item in caught.errors(include_url=False):
        place = locate(item, form)
        if place.keys not in by_place:
            by_place[place.keys] = sentence(place, item, call(place.keys))
    return list(by_place.values())


def locate(item: ErrorDetails, form: Form | None) -> MistakePlace:
    """The place of one mistake."""
    keys = item["loc"]
    if form is None:
        return MistakePlace(keys)
    owner, field = form, None
    for depth, key in enumerate(keys):
        if isinstance(key, int):
            continue
        if field is not None:
            owner = table_of(field) or owner
        field = fields(owner).get(key)
        if table_of(field) is None:
            indices = list_indices(keys[depth + 1 :])
            if item["type"] == "missing":
                # The list is wrong, which is too short.
                indices = indices[:-1]
            return MistakePlace((*keys[: depth + 1], *indices), field, owner, len(indices))
    return MistakePlace(keys, field, owner)


def list_indices(keys: Keys) -> Keys:
    """The indices with which some keys begin; behind them pydantic names types."""
    names = (position for position, key in enumerate(keys) if not isinstance(key, int))
    return keys[: next(names, len(keys))]


def sentence(place: MistakePlace, item: ErrorDetails, path: str) -> str:
    """One sentence about one mistake."""
    kind, value, field = item["type"], item["input"], place.field
    if kind in UNKNOWN:
        known = () if place.owner is None else fields(place.owner)
        return f"{path} is unknown. {did_you_mean(str(place.keys[-1]), known)}".rstrip()
    if kind == EXPLAINED:
        return f"{path}: {item['msg']}."
    if field is None:
        is_missing = kind == "missing"
        return f"{path} is missing." if is_missing else f"{path} = {show(value)}: {reason(item)}."
    # Of a list that is too short, pydantic says that an item is missing.
    if kind == "missing" and isinstance(item["loc"][-1], str):
        inner = table_of(field)
        if inner is not None:
            return f"[{path}] is missing: it holds {', '.join(fields(inner))}."
        return f"{path} is missing: must be {rule_of(place, kind)}."
    return f"{path} = {show(value)}: must be {rule_of(place, kind)}."


def rule_of(place: MistakePlace, kind: str) -> str:
    """What a declared value must be."""
    field = place.field
    assert field is not None
    if table_of(field) is None:
        return f"{allowed(field, place.depth, kind)} ({field.description})"
    name = key_path(tuple(key for key in place.keys if not isinstance(key, int)))
    if not is_list(field):
        return f"a table, [{name}]"
    in_list = isinstance(place.keys[-1], int)
    return f"a table, [[{name}]]" if in_list else f"a list of tables, [[{name}]]"


def allowed(field: FieldInfo, depth: int, kind: str) -> str:
    """What the value of a field, or a value in so many lists there, may be."""
    if depth:
        return text_of(field, f"inner{depth}")
    return text_of(field, "typed" if kind == "int_type" else "allowed")


def fields(form: Form) -> dict[str, FieldInfo]:
    """The fields of a table by their keys in the file."""
    return {field.alias or name: field for name, field in form.model_fields.items()}


def table_of(field: FieldInfo | None) -> Form | None:
    """The table that a field holds, or a list of such tables, if it holds one."""
    kind: Any = field.annotation if field else None
    if field is not None and is_list(field):
        kind = get_args(kind)[0]
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def is_list(field: FieldInfo) -> bool:
    """Whether a field holds a list of any length, all items alike."""
    return get_args(field.annotation)[1:] == (...,)


def text_of(field: FieldInfo, key: str) -> str:
    """What `number` and `words` noted about a field."""
    extra = field.json_schema_extra
    return str(extra[key]) if isinstance(extra, dict) else ""


def bare(key: str) -> str:
    """A key as TOML writes it: without quotes where possible."""
    return key if re.fullmatch("[A-Za-z0-9_-]+", key) else show(key)


def show(value: object) -> str:
    """A value as JSON, and TOML, write it; a long one is cut off."""
    # Python refuses to print integers of more than some thousand digits.
    if isinstance(value, int) and value.bit_length() > 128:
        return f"a number of {value.bit_length()} bits"
    return shortened(json.dumps(value, ensure_ascii=False, default=str))


def reason(item: ErrorDetails) -> str:
    """What pydantic says, as it stands behind a colon."""
    return item["msg"][:1].lower() + item["msg"][1:]
