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
from epimc.support.limits import DEEPEST

# So many marks a text may have: keys, values, lines, and what stands between them.
MOST_MARKS = 2**20

# What may stand in a text: strings and comments, in which nothing counts, and marks.
_MARK = re.compile(
    r"""
    (?P<text> \"{3} (?: [^\\"] | \\. | "{1,2}(?!") )*+ "{3,5}
            | '{3} (?: [^'] | '{1,2}(?!') )*+ '{3,5}
            | " (?: [^"\\\n] | \\. )*+ "
            | ' [^'\n]*+ ' )
    | (?P<open> [\[{] ) | (?P<close> [\]}] ) | (?P<dot> \. )
    | (?P<next> [=,] | \n | \#[^\n]*+ )
    | (?P<broken> ["'] )
    """,
    re.VERBOSE | re.DOTALL,
)


def parse_toml(text: str, file: str, kind: str, most: int = MOST_MARKS) -> dict[str, Any]:
    """What a TOML text says.

    Args:
        text: Of any content.
        file: What messages call it.
        kind: Names the file in messages: `Target`.
        most: How many marks it may have: keys, values, lines, and what stands between them.

    Raises:
        EpimcError: The text is not TOML, has more than `most` marks, or tables deeper than DEEPEST.
    """
    refuse_large(text, file, kind, most)
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as caught:
        raise wrong_toml(text, file, kind, caught) from None


def refuse_large(text: str, file: str, kind: str, most: int) -> None:
    """Refuse what would take the parser long, or much memory, however short the text is.

    The parser takes time with the square of a dotted key's length, and calls itself for every list
    in a list.  What else is wrong with a text, the parser says.

    Raises:
        EpimcError: Here, at the line and column.
    """
    opened = dots = 0
    for count, mark in enumerate(_MARK.finditer(text)):
        if count == most:
            message = f"{kind} file '{file}' has more than {most} keys, values and lines."
            raise error(message, where=_span(text, file, mark.start()))
        match mark.lastgroup:
            case "open":
                opened, dots = opened + 1, 0
            case "close":
                opened = max(opened - 1, 0)
            case "dot":
                dots += 1
            case "next":
                dots = 0
            case "broken":
                # A string without an end: the parser gets no further either.
                return
        if opened + dots > DEEPEST:
            message = f"{kind} file '{file}' nests its values deeper than {DEEPEST}."
            raise error(message, where=_span(text, file, mark.start()))


def _span(text: str, file: str, offset: int) -> Span:
    """The place of a character."""
    line, start = text.count("\n", 0, offset) + 1, text.rfind("\n", 0, offset) + 1
    # Of a line of megabytes the beginning says enough.
    shown = text[start:].split("\n", 1)[0].rstrip("\r")
    return Span(file, line, offset - start + 1, shown)


def wrong_toml(text: str, file: str, kind: str, caught: ValueError | RecursionError) -> EpimcError:
    """The error for a text that is not TOML, at its line and column where they are known."""
    message = f"{kind} file '{file}' is not TOML"
    if isinstance(caught, RecursionError):
        return error(f"{message}: its values are nested too deeply.", where=file)
    reason, _, place = str(caught).partition(" (at ")
    # The only error that is not the parser's own: it names a function of Python, and no place.
    if reason.startswith("Exceeds the limit"):
        return error(f"{message}: an integer has too many digits.", where=file)
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
