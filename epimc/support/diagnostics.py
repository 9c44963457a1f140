"""Diagnostics are data: one record, one renderer, one exception.

This module stands at the bottom of the project.  A user's mistake is always
reported by raising `EpimcError` with one `Diagnostic`; a defect of epimc itself raises whatever
Python raises.  The wording follows one grammar: the message is one sentence that states the fact,
notes add facts, the hint says what to do.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from epimc.support.origins import Node, Nodes

REMAKE = "Make it again with this version of epimc."
SHOWN_CHARACTERS = 40

# Of a line of a file so many characters are shown.
WIDEST = 200

# To compare words takes long where they are long, or many; and nobody reads so many.
LONGEST_COMPARED, MOST_COMPARED, MOST_NAMED = 200, 2000, 200


@dataclass(frozen=True)
class Span:
    """A place in a text: file name, 1-based line and column, and the line itself."""

    file: str
    line: int
    column: int
    text: str = ""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True)
class Diagnostic:
    """What is wrong, where, and what to do about it.

    Attributes:
        message: One sentence that states the fact.
        where: A place in a text, or words such as `node 'conv1' (Conv)`; empty when there is none.
        notes: Further facts, one line each (a note may hold several lines).
        hint: What the user can do.
    """

    message: str
    where: Span | str = ""
    notes: tuple[str, ...] = ()
    hint: str = ""


@dataclass
class EpimcError(Exception):
    """A user's mistake, or a check that failed; `exit_code` is what the command line exits with."""

    diagnostic: Diagnostic
    exit_code: int = field(default=2)

    def __str__(self) -> str:
        return render(self.diagnostic)

    def with_notes(self, *notes: str) -> EpimcError:
        """The same error with further notes."""
        known = self.diagnostic
        return replace(self, diagnostic=replace(known, notes=(*known.notes, *notes)))

    def with_hint(self, hint: str) -> EpimcError:
        """The same error with a hint, where it has none yet."""
        known = self.diagnostic
        return replace(self, diagnostic=replace(known, hint=known.hint or hint))


@dataclass
class RefusedNodesError(EpimcError):
    """The chip cannot have some nodes of the model, as a pass finds; the host may run them.

    Attributes:
        reasons: For each ONNX node, by op type and name, a clause that says why.
    """

    reasons: Mapping[Node, str] = field(default_factory=dict)

    @property
    def nodes(self) -> Nodes:
        """The nodes."""
        return tuple(self.reasons)

    @property
    def clause(self) -> str:
        """The message as a reason."""
        return clause(self.diagnostic.message)


def clause(message: str) -> str:
    """A sentence as a clause, as it stands behind a colon."""
    return f"{message[:1].lower()}{message[1:].rstrip('.')}"


class OtherVersionError(EpimcError):
    """A file is of another version of its format than the one that is read."""


def error(
    message: str, *, where: Span | str = "", notes: Iterable[str] = (), hint: str = ""
) -> EpimcError:
    """An `EpimcError` ready to raise (exit code 2: bad usage or input)."""
    return EpimcError(Diagnostic(message, where, tuple(notes), hint))


def check_failed(message: str, *, notes: Iterable[str] = (), hint: str = "") -> EpimcError:
    """An `EpimcError` for a check that failed on good input (exit code 1)."""
    return EpimcError(Diagnostic(message, "", tuple(notes), hint), exit_code=1)


def other_version(
    subject: str, stated: object, expected: int, *, where: Span | str = "", hint: str = REMAKE
) -> OtherVersionError:
    """The error for a file of another version of its format.

    Args:
        subject: What the message begins with, such as `Bundle 'out'`.
        stated: The version that the file states, as JSON would have it; None where it states none.
        expected: The version that is read.
        where: The place in the file.
        hint: What the user can do.
    """
    short = shortened(json.dumps(stated, ensure_ascii=False, default=str))
    version = "no format" if stated is None else f"the format {short}"
    message = f"{subject} has {version}; this version of epimc reads the format {expected}."
    return OtherVersionError(Diagnostic(message, where, (), hint))


def shortened(text: str) -> str:
    """A text of a user's file, cut to what fits into a sentence."""
    return text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 1] + "…"


def render(diagnostic: Diagnostic) -> str:
    """The one text form of a diagnostic, several lines, no trailing newline."""
    lines = [f"error: {diagnostic.message}"]
    where = diagnostic.where
    if isinstance(where, Span):
        lines.append(f"  --> {where}")
        if where.text:
            gutter = " " * len(str(where.line))
            text, column = excerpt(where.text, where.column)
            lines.append(f"{where.line} | {text}")
            lines.append(f"{gutter} | {' ' * (column - 1)}^")
    elif where:
        lines.append(f"  --> {where}")
    lines += [indent(f"note: {note}") for note in diagnostic.notes]
    if diagnostic.hint:
        lines.append(indent(f"hint: {diagnostic.hint}"))
    return "\n".join(lines)


def excerpt(line: str, column: int) -> tuple[str, int]:
    """What is shown of a line, and the column in it: of a long one what is around the column."""
    if len(line) <= WIDEST:
        return line, column
    start = max(min(column - 1 - WIDEST // 2, len(line) - WIDEST), 0)
    shown = line[start : start + WIDEST]
    before, after = "..." if start else "", "..." if start + WIDEST < len(line) else ""
    return f"{before}{shown}{after}", column - start + len(before)


def indent(text: str) -> str:
    """Shift every line of a note by two columns."""
    return "\n".join("  " + line for line in text.splitlines())


def mistaken(clause: str, mistakes: Sequence[str], *, most: int = 0, hint: str = "") -> EpimcError:
    """One error that names every mistake.

    Args:
        clause: What has them, with its verb: `Plan file 'x.toml' has`.
        mistakes: A sentence each, at least one.
        most: So many are named, the others counted; 0 names all.
        hint: What the user can do.
    """
    notes = list(mistakes)
    if most and len(notes) > most:
        notes[most:] = [f"{len(notes) - most} more."]
    return error(f"{clause} {counted(len(mistakes), 'mistake')}.", notes=notes, hint=hint)


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that is meant, where one is near enough to say so."""
    if len(word) > LONGEST_COMPARED:
        return None
    choices = sorted(choice for choice in known if len(choice) <= LONGEST_COMPARED)
    if len(choices) > MOST_COMPARED:
        choices = [choice for choice in choices if choice[:1] == word[:1]][:MOST_COMPARED]
    return next(iter(difflib.get_close_matches(word, choices, n=1)), None)


def did_you_mean(word: str, known: Iterable[str], listed: Iterable[str] | None = None) -> str:
    """A hint naming the nearest known word, or all of them when none is near.

    Args:
        word: What was written.
        known: What may be meant.
        listed: The words to name when none is near, where the known ones are too many.
    """
    choices = sorted(known)
    near = nearest(word, choices)
    if near is not None:
        return f"Did you mean '{near}'?"
    names = [
        name if len(name) <= LONGEST_COMPARED else f"{name[:LONGEST_COMPARED]}…"
        for name in (choices if listed is None else sorted(listed))
    ]
    if len(names) > MOST_NAMED:
        names[MOST_NAMED:] = [f"and {len(names) - MOST_NAMED} more"]
    return f"Known: {', '.join(names)}." if names else ""


def counted(count: int, thing: str) -> str:
    """`1 tile`, `2 tiles`."""
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"
