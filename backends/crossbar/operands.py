"""The kinds of operands: what they look like in the text and in the binary."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from epimc.backends.crossbar.program import Ring

Operands = int | tuple[int, int] | Ring | tuple[Ring, ...]
"""The value of an operand."""

NUMBER = r"0[xX][0-9a-fA-F]{1,16}|[0-9]{1,20}"


@dataclass(frozen=True)
class Part:
    """One unsigned number inside an operand: its width in the binary and its base in the text."""

    bits: int
    hexadecimal: bool = False

    def text(self, number: int) -> str:
        """The canonical text of a number."""
        return f"{number:#x}" if self.hexadecimal else str(number)


@dataclass(frozen=True)
class Kind:
    """A kind of operand: numbers joined by ':' or, when repeated, a bracketed list of those.

    Attributes:
        name: For messages and the documentation.
        parts: The numbers of one item.
        build: The operand's value from the numbers of one item.
        numbers: The numbers of one item from its value.
        repeated: Whether the operand is a list of items (at most 255).
    """

    name: str
    parts: tuple[Part, ...]
    build: Callable[[list[int]], Any]
    numbers: Callable[[Any], tuple[int, ...]]
    repeated: bool = False

    @cached_property
    def item_pattern(self) -> str:
        """A regular expression for one item, without groups."""
        return r"\s*:\s*".join(f"(?:{NUMBER})" for _ in self.parts)

    @cached_property
    def pattern(self) -> str:
        """A regular expression for the operand's text, without groups."""
        item = self.item_pattern
        return rf"\[\s*{item}(?:\s*,\s*{item})*\s*\]" if self.repeated else item

    @cached_property
    def layout(self) -> struct.Struct:
        """How the numbers of one item lie in the binary."""
        return struct.Struct("<" + "".join({32: "I", 64: "Q"}[part.bits] for part in self.parts))

    def limit_error(self, numbers: list[int]) -> str:
        """What is wrong with the size of the numbers of one item; empty when nothing is."""
        for number, part in zip(numbers, self.parts, strict=True):
            if not 0 <= number < 1 << part.bits:
                return f"{part.text(number)} does not fit in {part.bits} bits"
        return ""

    def items(self, value: Any) -> list[tuple[int, ...]]:
        """The numbers of every item of an operand's value."""
        return [self.numbers(item) for item in (value if self.repeated else (value,))]

    def join(self, items: list[list[int]]) -> Operands:
        """An operand's value from the numbers of its items."""
        values = [self.build(item) for item in items]
        value: Operands = tuple(values) if self.repeated else values[0]
        return value

    def format(self, value: Any) -> str:
        """The canonical text of an operand's value."""
        parts = self.parts
        items = [
            ":".join(part.text(number) for part, number in zip(parts, item, strict=True))
            for item in self.items(value)
        ]
        return f"[{', '.join(items)}]" if self.repeated else items[0]

    def parse(self, text: str) -> list[list[int]]:
        """The numbers of every item of a text that matches `pattern`."""
        found = [int(n, 16 if n[:2] in ("0x", "0X") else 10) for n in _NUMBERS.findall(text)]
        size = len(self.parts)
        return [found[i : i + size] for i in range(0, len(found), size)]


_NUMBERS = re.compile(NUMBER)


def _scalar(name: str, bits: int, hexadecimal: bool = False) -> Kind:
    return Kind(name, (Part(bits, hexadecimal),), lambda n: n[0], lambda value: (value,))


def _ring_numbers(ring: Ring) -> tuple[int, ...]:
    return ring.address, ring.rows


_RING_PARTS = (Part(32, hexadecimal=True), Part(32))

BUFFER_ADDRESS = _scalar("buffer address", 32, hexadecimal=True)
OFF_CHIP_ADDRESS = _scalar("off-chip address", 64, hexadecimal=True)
SIZE = _scalar("number of bytes", 32)
TILE = _scalar("tile number", 32)
SEMAPHORE = _scalar("semaphore number", 32)
COUNT = _scalar("count", 32)
TABLE = _scalar("table number", 32)
ROWS = Kind("range of rows first:end", (Part(32), Part(32)), lambda n: (n[0], n[1]), tuple)
RING = Kind("ring address:rows", _RING_PARTS, lambda n: Ring(n[0], n[1]), _ring_numbers)
RINGS = Kind(
    "list of rings [address:rows, ...]",
    _RING_PARTS,
    lambda n: Ring(n[0], n[1]),
    _ring_numbers,
    repeated=True,
)
