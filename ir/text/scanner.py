"""How large a text is, before the parser sees it: depth, pieces and lengths of names.

The parser takes a thousand times as long for a piece as a look at it, and keeps its tree.
"""

from __future__ import annotations

import re

from epimc.support.diagnostics import EpimcError, Span, error
from epimc.support.limits import DEEPEST, Budget

LARGEST_TEXT = 2**26
"""Bytes of a file; its tensors lie beside it."""

LONGEST_WORD = 2**16
"""Characters of a name or a number."""

# What the parser keeps of a piece until its statement is read, and of an item of a list.
PIECE_BYTES, ITEM_BYTES = 512, 64

# So often the pieces are paid for, so that nothing goes through all of a text that is too large.
PAID_AT_ONCE = 2**14

# Strings and comments come first, as brackets in them are none.
_PIECE = re.compile(
    r'"[^"\\\n]*+(?:\\.[^"\\\n]*+)*+"'
    r"|//[^\n]*+"
    r"|(?P<list>\[[ \t\r\n]*+-?[0-9]{1,20}+"
    r"(?:[ \t\r\n]*+,[ \t\r\n]*+-?[0-9]{1,20}+)*+[ \t\r\n]*+\])"
    r"|(?P<word>[%@]?[A-Za-z0-9_.\-]++)"
    r"|(?P<open>[\[{(])"
    r"|(?P<close>[\]})])"
    r"|[^ \t\r\n]"
)


def lines_of(text: str) -> list[str]:
    """The lines as lark counts them: what else str.splitlines ends a line at does not."""
    lines = text.removesuffix("\n").split("\n")
    return [line.removesuffix("\r") for line in lines]


def place_of(text: str, position: int, file: str) -> Span:
    """Line and column of a position."""
    start = text.rfind("\n", 0, position) + 1
    end = text.find("\n", position)
    line = text[start : len(text) if end < 0 else end].removesuffix("\r")
    return Span(file, text.count("\n", 0, position) + 1, position - start + 1, line)


def refuse_oversized(text: str, file: str, budget: Budget) -> None:
    """Hold a text to its limits.

    Args:
        text: A module, or anything else: what is no text of the IR is left to the parser.
        file: Named in error messages.
        budget: Pays for the tree.

    Raises:
        EpimcError: It is nested too deeply, has too many pieces, or too long a name.
    """
    # The braces of the module itself are no level.
    depth, pieces, items = -1, 0, 0
    for piece in _PIECE.finditer(text):
        pieces += 1
        match piece.lastgroup:
            case "open":
                depth += 1
                if depth > DEEPEST:
                    fact = f"Lists and dictionaries lie more than {DEEPEST} deep"
                    raise _refusal(fact, piece, file)
            case "close":
                depth -= 1
            case "word" if piece.end() - piece.start() > LONGEST_WORD:
                raise _refusal(
                    f"A name or a number has more than {LONGEST_WORD} characters", piece, file
                )
            case "list":
                items += text.count(",", piece.start(), piece.end())
        if pieces == PAID_AT_ONCE:
            budget.make(pieces * PIECE_BYTES + items * ITEM_BYTES, "the tree of the text")
            pieces, items = 0, 0
    budget.make(pieces * PIECE_BYTES + items * ITEM_BYTES, "the tree of the text")


def _refusal(fact: str, piece: re.Match[str], file: str) -> EpimcError:
    return error(f"{fact}.", where=place_of(piece.string, piece.start(), file))
