"""What a result says, as neutral blocks: a renderer makes text or HTML of them.

Cells and lines are plain strings as their producers have them: names of any length, with any
characters.  Each renderer makes them fit for where it writes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        title: What stands above it.
        right: Whether its cells are aligned to the right, as numbers are.
    """

    title: str
    right: bool = True


@dataclass(frozen=True)
class TableBlock:
    """Rows under titled columns; the first column is the one that is cut where space is short."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Lines:
    """Sentences and notes, a line each; an empty line sets apart what follows."""

    lines: tuple[str, ...]


@dataclass(frozen=True)
class Facts:
    """Names with their values."""

    pairs: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Verbatim:
    """A text in a language of its own, such as IR, which nothing may cut or wrap."""

    text: str


Block = TableBlock | Lines | Facts | Verbatim


def table(titles: Sequence[str], rows: Iterable[Sequence[str]], *, left: int = 1) -> TableBlock:
    """A table whose first `left` columns hold words and whose others hold numbers."""
    columns = tuple(Column(title, right=k >= left) for k, title in enumerate(titles))
    return TableBlock(columns, tuple(tuple(row) for row in rows))


def number(value: float | None, digits: int) -> str:
    """A number with so many digits behind the point, or a dash where there is none."""
    return "-" if value is None else f"{value:.{digits}f}"


def short(count: int) -> str:
    """A count below 10000 exactly, a larger one with three digits in thousands, millions, ..."""
    if count < 10000:
        return str(count)
    power, digits = divmod(len(str(count)) - 1, 3)
    return f"{count / 1000**power:.{2 - digits}f}{' kMGTPE'[power]}"


def dims(shape: Sequence[int]) -> str:
    """A shape in a cell: `16x3x3`."""
    return "x".join(map(str, shape))
