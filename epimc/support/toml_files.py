"""TOML files of users: texts refused at their line and column, and tables declared in words."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from epimc.support.diagnostics import EpimcError, Span, error


def parse_toml(text: str, file: str, kind: str) -> dict[str, Any]:
    """What a TOML text says; `kind` names the file in messages.

    Raises:
        EpimcError: The text is not TOML.
    """
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as caught:
        raise wrong_toml(text, file, kind, caught) from None


def wrong_toml(text: str, file: str, kind: str, caught: ValueError | RecursionError) -> EpimcError:
    """The error for a text that is not TOML, at its line and column where they are known."""
    message = f"{kind} file '{file}' is not TOML"
    if isinstance(caught, RecursionError):
        return error(f"{message}: its values are nested too deeply.", where=file)
    reason, _, place = str(caught).partition(" (at ")
    sentence = f"{message}: {reason[:1].lower()}{reason[1:]}."
    lines = text.replace("\r\n", "\n").split("\n")
    if numbers := re.fullmatch(r"line (\d+), column (\d+)\)", place):
        line, column = int(numbers[1]), int(numbers[2])
        return error(sentence, where=Span(file, line, column, lines[line - 1]))
    if place:
        return error(sentence, where=Span(file, len(lines), len(lines[-1]) + 1, lines[-1]))
    return error(sentence, where=file)


# --- what a file may say ------------------------------------------------------------------------


class TomlTable(BaseModel):
    """A table of a file: no key but those declared, no conversion of types, immutable."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


def number(low: int, high: int, unit: str, meaning: str, **options: Any) -> Any:
    """A field that holds an integer between `low` and `high`, both allowed."""
    allowed = f"between {low} and {high}" if low < high else str(low)
    # A value of another type is told the type as well.
    typed = f"an integer {allowed}" if low < high else allowed
    texts: JsonDict = {"unit": unit, "allowed": allowed, "typed": typed}
    return Field(ge=low, le=high, description=meaning, json_schema_extra=texts, **options)


def words(allowed: str, meaning: str, inner: Sequence[str] = (), **options: Any) -> Any:
    """A field that holds text, a list, or a word in the place of a number.

    Args:
        allowed: What it may hold.
        meaning: What it stands for.
        inner: What an item of a list may be, then an item of that.
        options: Further ones of pydantic's `Field`.
    """
    texts: JsonDict = {"unit": "", "allowed": allowed, "typed": allowed}
    texts |= {f"inner{depth}": text for depth, text in enumerate(inner, 1)}
    return Field(description=meaning, json_schema_extra=texts, **options)


def toml(value: object) -> str:
    """A string, an integer or a list of them in TOML."""
    return json.dumps(value, ensure_ascii=False)
