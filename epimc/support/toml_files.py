"""TOML files of users: read within a limit, and refused at their line and column."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from epimc.support.diagnostics import EpimcError, Span, error


def read_text(path: Path, kind: str, limit: int) -> str:
    """The text of a file in UTF-8 of at most `limit` bytes; `kind` names it in messages."""
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as caught:
        reason = caught.strerror or str(caught)
        raise error(f"{kind} file '{path}' cannot be read: {reason}.") from None
    if len(data) > limit:
        raise error(f"{kind} file '{path}' is larger than {limit} bytes.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as caught:
        raise error(
            f"{kind} file '{path}' is not UTF-8 text.",
            notes=[f"The byte at offset {caught.start} cannot be decoded."],
            hint="Save the file in UTF-8.",
        ) from None


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
    if found := re.fullmatch(r"line (\d+), column (\d+)\)", place):
        line, column = int(found[1]), int(found[2])
        return error(sentence, where=Span(file, line, column, lines[line - 1]))
    if place:
        return error(sentence, where=Span(file, len(lines), len(lines[-1]) + 1, lines[-1]))
    return error(sentence, where=file)
