"""Blocks as text for a terminal or a pipe, and as HTML for a notebook.

The text is the same on a terminal and in a pipe: no colours, no frames, at most WIDTH columns of a
terminal, in which a Chinese character takes two.
"""

from __future__ import annotations

import html
from collections.abc import Iterable
from typing import TYPE_CHECKING

from epimc.support.origins import printable
from epimc.support.tables import Block, Facts, Lines, TableBlock, Verbatim

if TYPE_CHECKING:
    from rich.console import Console, JustifyMethod
    from rich.table import Table as RichTable

WIDTH = 100
GAP = 2

RIGHT = ' style="text-align: right"'


def text_of(blocks: Iterable[Block]) -> str:
    """The text of blocks, one below the other, without a line break at the end."""
    return "\n".join(line for block in blocks for line in block_lines(block))


def block_lines(block: Block) -> list[str]:
    """The lines of one block; one without rows, lines or pairs may have none."""
    match block:
        case TableBlock():
            return table_lines(block)
        case Lines(lines):
            return [fitted(line) for line in lines]
        case Facts(pairs):
            return [fitted(f"{name}: {value}") for name, value in pairs]
        case Verbatim(text):
            return [text.removesuffix("\n")]


def table_lines(table: TableBlock) -> list[str]:
    """Aligned columns under their titles and a rule, within WIDTH: the first column is cut."""
    # rich takes a tenth of a second, which a command that prints JSON need not wait for.
    from rich.rule import Rule
    from rich.text import Text

    grid = grid_of(table)
    grid.add_row(*(Text(printable(column.title)) for column in table.columns))
    grid.add_row(*(Rule(characters="-", style="") for _ in table.columns))
    for row in table.rows:
        grid.add_row(*(Text(printable(cell)) for cell in row))
    console = plain_console()
    with console.capture() as captured:
        console.print(grid)
    return [line.rstrip() for line in captured.get().removesuffix("\n").split("\n")]


def grid_of(table: TableBlock) -> RichTable:
    """An empty table of rich with these columns, none of which wraps its cells."""
    from rich.table import Table as RichTable

    grid = RichTable.grid(padding=(0, GAP, 0, 0), pad_edge=False)
    for column, width in zip(table.columns, widths(table), strict=True):
        justify: JustifyMethod = "right" if column.right else "left"
        grid.add_column(justify=justify, no_wrap=True, overflow="ellipsis", width=width)
    return grid


def widths(table: TableBlock) -> list[int]:
    """The columns' widths: as wide as their cells, the first as wide as the others leave room.

    Where the others leave none, the widest is cut, again and again.
    """
    from rich.cells import cell_len

    lines = [[column.title for column in table.columns], *table.rows]
    wanted = [max(cell_len(printable(line[k])) for line in lines) for k in range(len(lines[0]))]
    room = WIDTH - GAP * (len(wanted) - 1)
    smallest = min(wanted[0], room // len(wanted))
    while sum(wanted[1:]) > room - smallest:
        widest = max(range(1, len(wanted)), key=wanted.__getitem__)
        wanted[widest] -= 1
    wanted[0] = min(wanted[0], room - sum(wanted[1:]))
    return wanted


def plain_console() -> Console:
    """A console that writes plain text of WIDTH columns, whatever the terminal or notebook."""
    import io

    from rich.console import Console

    return Console(
        file=io.StringIO(),
        width=WIDTH,
        color_system=None,
        force_terminal=False,
        force_jupyter=False,
        legacy_windows=False,
    )


def fitted(line: str) -> str:
    """A line within WIDTH: broken between words, what goes on is indented by two more.

    A word that is longer than a line, such as a path, is cut.
    """
    line = printable(line)
    # Most lines are short and of one column a character: they need not wait for rich.
    if line.isascii() and len(line) <= WIDTH:
        return line
    from rich.cells import cell_len, set_cell_size

    if cell_len(line) <= WIDTH:
        return line
    margin = " " * (len(line) - len(line.lstrip()))
    broken, current = [], margin
    for word in line.split():
        joined = f"{current} {word}" if current.strip() else f"{current}{word}"
        if cell_len(joined) > WIDTH and current.strip():
            broken.append(current)
            joined = f"{margin}  {word}"
        if cell_len(joined) > WIDTH:
            joined = set_cell_size(joined, WIDTH - 1).rstrip() + "…"
        current = joined
    return "\n".join([*broken, current])


def html_of(blocks: Iterable[Block]) -> str:
    """The HTML of blocks: a fragment, in which every text is escaped."""
    return "\n".join(block_html(block) for block in blocks)


def block_html(block: Block) -> str:
    """The HTML of one block."""
    match block:
        case TableBlock():
            return table_html(block)
        case Lines(lines):
            return "".join(f"<p>{escaped(line)}</p>" for line in lines if line)
        case Facts(pairs):
            cells = (f"<tr><th>{escaped(a)}</th><td>{escaped(b)}</td></tr>" for a, b in pairs)
            return f"<table>{''.join(cells)}</table>" if pairs else ""
        case Verbatim(text):
            return f"<pre>{html.escape(text)}</pre>"


def table_html(table: TableBlock) -> str:
    """A table with a head and a body."""
    styles = [RIGHT if column.right else "" for column in table.columns]
    titles = zip(styles, (column.title for column in table.columns), strict=True)
    head = "".join(f"<th{style}>{escaped(title)}</th>" for style, title in titles)
    body = "".join(
        "<tr>"
        + "".join(f"<td{s}>{escaped(cell)}</td>" for s, cell in zip(styles, row, strict=True))
        + "</tr>\n"
        for row in table.rows
    )
    return f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody>\n</table>"


def escaped(text: str) -> str:
    """A text on one line, of which nothing is read as HTML."""
    return html.escape(printable(text))
