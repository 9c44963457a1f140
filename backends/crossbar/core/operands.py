"""The kinds of operands: what they look like in the text and in the binary.

Inside loops an operand of some kinds may advance: `0x2000+32` adds 32 with every iteration of the
innermost loop, `4:5+1+8` also 8 with every iteration of the loop around it, and
`0x100+32%0x40:256` goes round the 256 bytes from 0x40 on.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from epimc.backends.crossbar.core.program import Advance, Ring

Operands = int | tuple[int, int] | Ring | tuple[Ring, ...] | Advance
"""The value of an operand."""

NUMBER = r"0[xX][0-9a-fA-F]{1,16}|[0-9]{1,20}"
STRIDES = rf"(?:\s*[+-]\s*(?:{NUMBER}))+"
REGION = rf"\s*%\s*(?:{NUMBER})\s*:\s*(?:{NUMBER})"

NESTING = 4
"""The most loops that may enclose an instruction."""


@dataclass(frozen=True)
class Part:
    """One unsigned number inside an operand: its width in the binary and its base in the text."""

    bits: int
    hexadecimal: bool = False

    def text(self, number: int) -> str:
        """The canonical text of a number."""
        return f"{number:#x}" if self.hexadecimal else str(number)


@dataclass(frozen=True)
class OperandKind:
    """A kind of operand: numbers joined by ':' or, when repeated, a bracketed list of those.

    Attributes:
        name: For messages and the documentation.
        parts: The numbers of one item.
        build: The operand's value from the numbers of one item.
        numbers: The numbers of one item from its value.
        repeated: Whether the operand is a list of items (at most 255).
        least: How many items a list has at least.
        advances: Whether it may advance in a loop, all its numbers alike.
        wraps: Whether it may go round a region; its one number is an address then.
    """

    name: str
    parts: tuple[Part, ...]
    build: Callable[[list[int]], Any]
    numbers: Callable[[Any], tuple[int, ...]]
    repeated: bool = False
    least: int = 1
    advances: bool = False
    wraps: bool = False

    @cached_property
    def item_pattern(self) -> str:
        """A regular expression for one item, without groups."""
        return r"\s*:\s*".join(f"(?:{NUMBER})" for _ in self.parts)

    @cached_property
    def pattern(self) -> str:
        """A regular expression for the operand's text, without groups."""
        item = self.item_pattern
        if self.repeated:
            several = rf"{item}(?:\s*,\s*{item})*\s*"
            return rf"\[\s*{several}\]" if self.least else rf"\[\s*(?:{several})?\]"
        region = rf"(?:{REGION})?" if self.wraps else ""
        return rf"{item}(?:{STRIDES}{region})?" if self.advances else item

    @cached_property
    def layout(self) -> struct.Struct:
        """How the numbers of one item lie in the binary."""
        return struct.Struct("<" + "".join({32: "I", 64: "Q"}[part.bits] for part in self.parts))

    @cached_property
    def stride_layout(self) -> struct.Struct:
        """How a stride lies in the binary: signed, as wide as the operand's numbers."""
        return struct.Struct({32: "<i", 64: "<q"}[self.parts[0].bits])

    def limit_error(self, numbers: list[int]) -> str:
        """What is wrong with the size of the numbers of one item; empty when nothing is."""
        for number, part in zip(numbers, self.parts, strict=True):
            if not 0 <= number < 1 << part.bits:
                return f"{part.text(number)} does not fit in {part.bits} bits"
        return ""

    def advance_error(self, value: Advance) -> str:
        """What is wrong with how a value advances, wherever it stands; empty when nothing is."""
        bits = self.parts[0].bits
        if not self.advances or (value.region and not self.wraps):
            return f"a {self.name} does not advance so"
        if not 0 < len(value.strides) <= NESTING or not value.strides[-1]:
            return f"it must have up to {NESTING} strides, the last of them not 0"
        for stride in value.strides:
            if not -(1 << bits - 1) <= stride < 1 << bits - 1:
                return f"the stride {stride} does not fit in {bits} bits"
        if value.region is None:
            return ""
        low, size = value.region
        first = value.first
        if not (isinstance(first, int) and 0 <= low <= first < low + size <= 1 << bits):
            return f"{self.format(value.first)} lies outside of the region {low:#x}:{size}"
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
        if isinstance(value, Advance):
            strides = "".join(f"{stride:+}" for stride in value.strides)
            region = f"%{value.region[0]:#x}:{value.region[1]}" if value.region else ""
            return f"{self.format(value.first)}{strides}{region}"
        parts = self.parts
        items = [
            ":".join(part.text(number) for part, number in zip(parts, item, strict=True))
            for item in self.items(value)
        ]
        return f"[{', '.join(items)}]" if self.repeated else items[0]

    def parse(self, text: str) -> Operands:
        """The value of a text that matches `pattern`.

        Raises:
            ValueError: A number does not fit, in words.
        """
        # The numbers themselves have no sign: the first sign begins the strides.
        plain = re.split(r"[+-]", text, maxsplit=1)[0]
        strides, _, region = text[len(plain) :].partition("%")
        numbers, size = _numbers(plain), len(self.parts)
        items = [numbers[i : i + size] for i in range(0, len(numbers), size)]
        for item in items:
            if problem := self.limit_error(item):
                raise ValueError(problem)
        return self._advancing(self.join(items), _signed(strides), _numbers(region))

    def _advancing(self, first: Any, strides: list[int], region: list[int]) -> Operands:
        """A value with its strides, less those of outer loops that are 0."""
        # One text for one value: a last stride of 0 says nothing.
        count = max((k for k, stride in enumerate(strides, 1) if stride), default=0)
        if not count:
            value: Operands = first
            return value
        around = (region[0], region[1]) if region else None
        advance = Advance(first, tuple(strides[:count]), around)
        if problem := self.advance_error(advance):
            raise ValueError(problem)
        return advance


_NUMBERS = re.compile(NUMBER)
_SIGNED = re.compile(rf"([+-])\s*({NUMBER})")


def _number(text: str) -> int:
    return int(text, 16 if text[:2] in ("0x", "0X") else 10)


def _numbers(text: str) -> list[int]:
    return [_number(digits) for digits in _NUMBERS.findall(text)]


def _signed(text: str) -> list[int]:
    pairs = [(sign, _number(digits)) for sign, digits in _SIGNED.findall(text)]
    return [-number if sign == "-" else number for sign, number in pairs]


def _scalar(
    name: str, bits: int, *, hexadecimal: bool = False, advances: bool = False, wraps: bool = False
) -> OperandKind:
    parts = (Part(bits, hexadecimal),)
    return OperandKind(
        name, parts, lambda n: n[0], lambda value: (value,), advances=advances, wraps=wraps
    )


def _ring_numbers(ring: Ring) -> tuple[int, ...]:
    return ring.address, ring.rows


_RING_PARTS = (Part(32, hexadecimal=True), Part(32))

BUFFER_ADDRESS = _scalar("buffer address", 32, hexadecimal=True, advances=True, wraps=True)
OFF_CHIP_ADDRESS = _scalar("off-chip address", 64, hexadecimal=True, advances=True)
SIZE = _scalar("number of bytes", 32)
TILE = _scalar("tile number", 32)
SEMAPHORE = _scalar("semaphore number", 32)
COUNT = _scalar("count", 32, advances=True)
ITERATIONS = _scalar("number of iterations", 32)
TABLE = _scalar("table number", 32)
ROWS = OperandKind(
    "range of rows first:end",
    (Part(32), Part(32)),
    lambda n: (n[0], n[1]),
    tuple,
    advances=True,
)
RING = OperandKind("ring address:rows", _RING_PARTS, lambda n: Ring(n[0], n[1]), _ring_numbers)
RINGS = OperandKind(
    "list of rings [address:rows, ...]",
    _RING_PARTS,
    lambda n: Ring(n[0], n[1]),
    _ring_numbers,
    repeated=True,
)
NO_RINGS = replace(RINGS, name="empty list []", least=0)
