"""Text assembly: the program's streams as text, and back, losslessly.

The canonical text has no comments:

    .epimc 1
    .tile 0
        load dst=0x0, src=0x0, bytes=28
        halt

What a loop encloses is indented further.  A hand-written text may have comments (`;` to the end
of the line), blank lines, any spacing, decimal or hexadecimal numbers, and operands in any order.
"""

from __future__ import annotations

import re

from epimc.backends.crossbar.core.limits import MAXIMUM_INSTRUCTIONS, MAXIMUM_LINE, MAXIMUM_TEXT
from epimc.backends.crossbar.core.operands import Operands
from epimc.backends.crossbar.core.program import Instruction, Streams
from epimc.backends.crossbar.instructions.declaration import DeclaredInstruction, Operand
from epimc.backends.crossbar.instructions.registry import BY_NAME, format_instruction
from epimc.support.diagnostics import (
    EpimcError,
    Span,
    did_you_mean,
    error,
    other_version,
    shortened,
)

# Of the text: to be raised when a text that was right before is refused or means something else.
VERSION = 1

_INDENT = "    "
_WORD = re.compile(r"[^\s,=;]+")
_OPERAND = re.compile(r"([^\s,=\[\]]+)\s*=\s*(\[[^\]]*\]?|[^,\s]*(?:\s*[:+%-]\s*[^,\s]*)*)")
_DIRECTIVE = re.compile(r"\s*\.(\w+)\s+([0-9]{1,10})\s*")


def format_program(streams: Streams) -> str:
    """The canonical text of all streams; ends in a newline."""
    lines = [f".epimc {VERSION}"]
    for tile, stream in enumerate(streams):
        lines.append(f".tile {tile}")
        depth = 1
        for instruction in stream:
            nesting = BY_NAME[instruction.opcode].nesting
            # A wrong program has a text too, even with more ends than loops.
            depth = max(depth + min(nesting, 0), 1)
            lines.append(_INDENT * depth + format_instruction(instruction))
            depth += max(nesting, 0)
    return "\n".join(lines) + "\n"


def parse_program(text: str, file: str) -> Streams:
    """The streams that a text names.

    Args:
        text: An assembly text.
        file: Its name, for messages.

    Raises:
        EpimcError: With the line and column of the first mistake; or the text, or the program, is
            longer than any that is read.
    """
    if len(text) > MAXIMUM_TEXT:
        message = f"The program has {len(text)} characters; the limit is {MAXIMUM_TEXT}."
        raise error(message, where=file)
    streams: list[list[Instruction]] = []
    header, left = False, MAXIMUM_INSTRUCTIONS
    for number, line in enumerate(text.split("\n"), 1):
        code = line.split(";", 1)[0] if ";" in line else line
        stripped = code.strip()
        if not stripped:
            continue
        place = _Line(file, number, line, code)
        if len(code) > MAXIMUM_LINE:
            message = f"The line has {len(code)} characters; the limit is {MAXIMUM_LINE}."
            raise place.error(message, MAXIMUM_LINE)
        if not header:
            _check_header(place)
            header = True
        elif stripped[0] == ".":
            _check_tile(place, len(streams))
            streams.append([])
        elif not streams:
            raise place.error("Instruction outside a tile.", hint="Begin with '.tile 0'.")
        elif not left:
            raise place.error(f"The program has more than {MAXIMUM_INSTRUCTIONS} instructions.")
        else:
            streams[-1].append(_instruction(place))
            left -= 1
    if not header:
        raise error(
            "The program has no header.", where=file, hint=f"Begin with '.epimc {VERSION}'."
        )
    return tuple(tuple(stream) for stream in streams)


class _Line:
    """A line of the text: where it is, and its code without the comment."""

    __slots__ = ("code", "file", "number", "text")

    def __init__(self, file: str, number: int, text: str, code: str) -> None:
        self.file, self.number, self.text, self.code = file, number, text, code

    def span(self, column: int | None = None) -> Span:
        """The place of a 0-based column, by default that of the first word."""
        start = len(self.code) - len(self.code.lstrip()) if column is None else column
        return Span(self.file, self.number, start + 1, self.text.rstrip("\r"))

    def error(self, message: str, column: int | None = None, hint: str = "") -> EpimcError:
        """An error at a 0-based column, by default that of the first word."""
        return error(message, where=self.span(column), hint=hint)


def _check_header(line: _Line) -> None:
    match = _DIRECTIVE.fullmatch(line.code)
    if match is None or match[1] != "epimc":
        raise line.error("The program has no header.", hint=f"Begin with '.epimc {VERSION}'.")
    if int(match[2]) != VERSION:
        place = line.span(match.start(2))
        raise other_version("The program's text", int(match[2]), VERSION, where=place)


def _check_tile(line: _Line, expected: int) -> None:
    match = _DIRECTIVE.fullmatch(line.code)
    if match is None or match[1] != "tile":
        raise line.error("Unknown directive.", hint=f"Expected '.tile {expected}'.")
    if int(match[2]) != expected:
        raise line.error(
            f"Tile {int(match[2])} is out of order.",
            match.start(2),
            f"Tiles are numbered 0, 1, 2 and so on: expected '.tile {expected}'.",
        )


_PATTERNS: dict[type[DeclaredInstruction], re.Pattern[str]] = {}


def _pattern(spec: type[DeclaredInstruction]) -> re.Pattern[str]:
    """The text of an instruction as it is usually written: with its operands in order."""
    if spec not in _PATTERNS:
        _PATTERNS[spec] = _new_pattern(spec)
    return _PATTERNS[spec]


def _new_pattern(spec: type[DeclaredInstruction]) -> re.Pattern[str]:
    operands = r"\s*,\s*".join(
        rf"{operand.name}\s*=\s*({operand.kind.pattern})" for operand in spec.operands
    )
    return re.compile(rf"\s*{spec.name}" + (rf"\s+{operands}" if operands else "") + r"\s*")


def _instruction(line: _Line) -> Instruction:
    word = line.code.split(None, 1)[0]
    spec = BY_NAME.get(word)
    match = _pattern(spec).fullmatch(line.code) if spec else None
    if spec is None or match is None:
        return _careful_instruction(line)
    values = []
    for i, (operand, text) in enumerate(zip(spec.operands, match.groups(), strict=True), 1):
        values.append(_parsed(line, operand, text, match.start(i)))
    return Instruction(spec.name, tuple(values))


def _careful_instruction(line: _Line) -> Instruction:
    """An instruction that is not in the declared order, or the error that says what is wrong."""
    match = _WORD.search(line.code)
    name = match[0] if match else ""
    if match is None or name not in BY_NAME:
        known = did_you_mean(name, BY_NAME)
        raise line.error(
            f"Unknown instruction '{shortened(name or line.code.strip())}'.", hint=known
        )
    spec = BY_NAME[name]
    texts: dict[str, tuple[str, int]] = {}
    position = match.end()
    while line.code[position:].strip():
        pair, position = _next_operand(line, spec, position, first=not texts)
        if pair[1] in texts:
            raise line.error(f"Operand '{pair[1]}' is given twice.", pair.start())
        texts[pair[1]] = (pair[2].strip(), pair.start(2))
    values = [_value(line, spec, i, texts) for i in range(len(spec.operands))]
    return Instruction(name, tuple(values))


def _next_operand(
    line: _Line, spec: type[DeclaredInstruction], position: int, *, first: bool
) -> tuple[re.Match[str], int]:
    """The next `name=text` after a position, of a known name, and where it ends."""
    code = line.code
    start = position + len(code[position:]) - len(code[position:].lstrip())
    if not first:
        if code[start] != ",":
            raise line.error("Expected ',' between operands.", start)
        rest = code[start + 1 :]
        start += 1 + len(rest) - len(rest.lstrip())
    match = _OPERAND.match(code, start)
    if match is None:
        raise line.error("Expected an operand 'name=value'.", min(start, len(code.rstrip())))
    names = [operand.name for operand in spec.operands]
    if match[1] not in names:
        hint = did_you_mean(match[1], names) or f"'{spec.name}' has no operands."
        raise line.error(
            f"'{spec.name}' has no operand '{shortened(match[1])}'.", match.start(), hint
        )
    return match, match.end()


def _value(
    line: _Line, spec: type[DeclaredInstruction], index: int, texts: dict[str, tuple[str, int]]
) -> Operands:
    operand = spec.operands[index]
    if operand.name not in texts:
        raise line.error(
            f"'{spec.name}' lacks its operand '{operand.name}'.",
            hint=f"Write {operand.name}=..., a {operand.kind.name}.",
        )
    text, column = texts[operand.name]
    if not re.fullmatch(operand.kind.pattern, text):
        raise line.error(
            f"Operand '{operand.name}' of '{spec.name}' must be a {operand.kind.name}.", column
        )
    return _parsed(line, operand, text, column)


def _parsed(line: _Line, operand: Operand, text: str, column: int) -> Operands:
    """The value of an operand whose text has the right form."""
    try:
        return operand.kind.parse(text)
    except ValueError as problem:
        raise line.error(f"Operand '{operand.name}': {problem}.", column) from None
