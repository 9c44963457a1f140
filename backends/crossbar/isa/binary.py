"""The binary form of a program's streams; the exact counterpart of the text assembly.

    8 bytes   EPIMPROG
    u16       version
    u32       tiles
    each tile: u32 instructions, then the instructions

An instruction is its opcode (u8) and its operands in order, little-endian, of fixed width; a list
begins with its length (u8).  Where an operand advances in a loop, the opcode has its highest bit
set, and for each operand of a kind that can advance there follow a byte, which holds the number of
strides and, from bit 3 on, 1 if the operand goes round a region; the strides (i64 where the operand
is u64, else i32), the innermost first; and the region: its address and its size (u32 each).
"""

from __future__ import annotations

import struct
from typing import Any

from epimc.backends.crossbar.core.limits import MAXIMUM_INSTRUCTIONS
from epimc.backends.crossbar.core.operands import OperandKind, Operands
from epimc.backends.crossbar.core.program import Advance, Instruction, Streams
from epimc.backends.crossbar.instructions.registry import BY_CODE, BY_NAME
from epimc.support.diagnostics import EpimcError, error, other_version

MAGIC = b"EPIMPROG"
# Of the binary form: to be raised when bytes that were right before are refused or mean another.
VERSION = 1

_HEADER = struct.Struct("<8sHI")
_LENGTH = struct.Struct("<I")
_REGION = struct.Struct("<II")
_ITEMS = 255
_ADVANCES, _WRAPS = 0x80, 8


def encode(streams: Streams) -> bytes:
    """The bytes of all streams.

    Raises:
        EpimcError: An operand does not fit its width.
    """
    parts = [_HEADER.pack(MAGIC, VERSION, len(streams))]
    for tile, stream in enumerate(streams):
        parts.append(_LENGTH.pack(len(stream)))
        for number, instruction in enumerate(stream):
            try:
                parts.append(encode_instruction(instruction))
            except (struct.error, ValueError) as problem:
                raise error(
                    f"An operand of '{instruction.opcode}' cannot be encoded: {problem}.",
                    where=f"tile {tile}, instruction {number}",
                ) from None
    return b"".join(parts)


def encode_instruction(instruction: Instruction) -> bytes:
    """The bytes of one instruction; struct.error or ValueError when an operand does not fit."""
    spec = BY_NAME[instruction.opcode]
    data = advances = b""
    for operand, value in zip(spec.operands, instruction.operands, strict=True):
        # The first iteration stands in the operand's own place, so that its width is fixed.
        plain = value.first if isinstance(value, Advance) else value
        data += _encode_operand(operand.kind, plain)
        if isinstance(value, Advance) or operand.kind.advances:
            advances += _encode_advance(operand.kind, value)
    # Bytes of 0 alone say that nothing advances: then they are left out, for one form only.
    if not any(advances):
        return bytes((spec.code,)) + data
    return bytes((spec.code | _ADVANCES,)) + data + advances


def _encode_advance(kind: OperandKind, value: Any) -> bytes:
    """How an operand advances, if it does."""
    if not isinstance(value, Advance):
        return b"\0"
    if problem := kind.advance_error(value):
        raise ValueError(problem)
    data = bytes((len(value.strides) | (_WRAPS if value.region else 0),))
    data += b"".join(kind.stride_layout.pack(stride) for stride in value.strides)
    return data + _REGION.pack(*value.region) if value.region else data


def _encode_operand(kind: OperandKind, value: Any) -> bytes:
    items = kind.items(value)
    if kind.repeated and not kind.least <= len(items) <= _ITEMS:
        raise ValueError(f"a list of {len(items)} items")
    data = b"".join(kind.layout.pack(*item) for item in items)
    return bytes((len(items),)) + data if kind.repeated else data


def decode(data: bytes, file: str = "program") -> Streams:
    """The streams that bytes hold.

    Args:
        data: What `encode` made, or anything else.
        file: Its name, for messages.

    Raises:
        EpimcError: With the offset of the first byte that is wrong; no count is trusted.
    """
    reader = _Reader(data, file)
    magic, version, tiles = reader.unpack(_HEADER, "header")
    if magic != MAGIC:
        raise reader.error("Not a binary program: it does not begin with 'EPIMPROG'", 0)
    if version != VERSION:
        place = f"{file}, byte {len(MAGIC)}"
        raise other_version("The binary program", version, VERSION, where=place)
    streams, left = [], MAXIMUM_INSTRUCTIONS
    for tile in range(tiles):
        (count,) = reader.unpack(_LENGTH, f"number of instructions of tile {tile}")
        left -= count
        if left < 0:
            message = f"The program has more than {MAXIMUM_INSTRUCTIONS} instructions"
            raise reader.error(message, reader.offset - _LENGTH.size)
        # Every instruction takes at least a byte: a false count ends at the end of the data.
        streams.append(tuple(reader.instruction() for _ in range(count)))
    if reader.offset != len(data):
        raise reader.error(f"{len(data) - reader.offset} bytes follow the program")
    return tuple(streams)


class _Reader:
    """Bytes with a position."""

    def __init__(self, data: bytes, file: str) -> None:
        self.data, self.file, self.offset = data, file, 0

    def error(self, message: str, offset: int | None = None) -> EpimcError:
        """An error at a byte offset, by default the current one."""
        place = self.offset if offset is None else offset
        return error(f"{message}.", where=f"{self.file}, byte {place}")

    def unpack(self, layout: struct.Struct, what: str) -> tuple[Any, ...]:
        """The next numbers, in a layout; `what` they are part of, an error says."""
        if self.offset + layout.size > len(self.data):
            raise self.error(f"The program ends inside its {what}")
        values = layout.unpack_from(self.data, self.offset)
        self.offset += layout.size
        return values

    def instruction(self) -> Instruction:
        """The next instruction, whose operands fit its class."""
        (code,) = self.unpack(_CODE, "instructions")
        spec = BY_CODE.get(code & ~_ADVANCES)
        start = self.offset - 1
        if spec is None:
            raise self.error(f"Unknown opcode {code & ~_ADVANCES}", start)
        values = [self.operand(operand.kind, spec.name) for operand in spec.operands]
        if code & _ADVANCES:
            plain = list(values)
            for index, operand in enumerate(spec.operands):
                if operand.kind.advances:
                    values[index] = self.advance(operand.kind, values[index], spec.name)
            if values == plain:
                raise self.error(f"No operand of this '{spec.name}' advances", start)
        return Instruction(spec.name, tuple(values))

    def advance(self, kind: OperandKind, first: Any, name: str) -> Operands:
        """What follows on how an operand advances."""
        start, what = self.offset, f"operands of '{name}'"
        (form,) = self.unpack(_CODE, what)
        if not form:
            value: Operands = first
            return value
        strides = [self.unpack(kind.stride_layout, what)[0] for _ in range(form & _WRAPS - 1)]
        region = self.unpack(_REGION, what) if form & _WRAPS else None
        advance = Advance(first, tuple(strides), (region[0], region[1]) if region else None)
        problem = kind.advance_error(advance)
        if form >= 2 * _WRAPS or problem:
            raise self.error(f"An operand of '{name}' advances wrongly", start)
        return advance

    def operand(self, kind: OperandKind, name: str) -> Operands:
        """The next operand of a kind, as its value in the first iteration."""
        count = self.unpack(_CODE, f"operands of '{name}'")[0] if kind.repeated else 1
        if kind.repeated and count < kind.least:
            raise self.error(f"An empty list in '{name}'", self.offset - 1)
        what = f"operands of '{name}'"
        return kind.join([list(self.unpack(kind.layout, what)) for _ in range(count)])


_CODE = struct.Struct("<B")
