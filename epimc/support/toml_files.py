"""TOML texts of users, refused at their line and column."""

from __future__ import annotations

import re
import tomllib
from typing import Any

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
