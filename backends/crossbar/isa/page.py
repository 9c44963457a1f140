"""docs/isa.md, written from the declarations of the instruction set."""

from __future__ import annotations

import re

from epimc.backends.crossbar.core.operands import NESTING, OperandKind
from epimc.backends.crossbar.instructions.declaration import DeclaredInstruction
from epimc.backends.crossbar.instructions.registry import instructions
from epimc.backends.crossbar.instructions.table import Table
from epimc.backends.crossbar.isa import assembly as assembler
from epimc.backends.crossbar.isa import binary as encoding
from epimc.backends.crossbar.isa import table_page

_ADVANCING = ", ".join(
    sorted({f"{o.kind.name}" for spec in instructions() for o in spec.operands if o.kind.advances})
)

_INTRODUCTION = f"""\
# The instruction set

This page is generated from the classes in `backends/crossbar/instructions/`.

A program has one stream of instructions for every tile of the chip.  It describes one sample; a
batch runs the same program on every sample.  All streams start together, each executes its
instructions in order, and the program ends when every tile has reached its `halt`.

Each tile has a byte-addressed buffer and its crossbars; one byte-addressed off-chip memory is
shared by all tiles.  Data moves and is computed in rows of feature maps: row y of a map
[C, H, W] is [C, W], little-endian: one byte an activation of up to 8 bits, two bytes one of more,
eight bytes (signed) an accumulator.
Every row starts at a multiple of 8 bytes.  In a buffer the rows of a map lie in a ring
`address:rows`: row y at address + (y mod rows) * (row bytes, rounded up to 8).

A computing instruction names a table, which says what is computed from which map to which, and a
range of output rows, which it processes in order.  The rows that it reads must be in their rings.

Tiles meet in `send` and `recv`, and are ordered by `signal` and `wait`.  Nothing else orders two
tiles: the checker refuses a program whose result could depend on their speed.

## Text

    .epimc {assembler.VERSION}
    .tile 0
        load dst=0x0, src=0x0, bytes=28
        loop count=27
            load dst=0x20+32%0x0:96, src=0x20+32, bytes=28
            mvm table=0, rows=0:1+1, dst=0x80:1, src=[0x0:3]
        end
        halt
    .tile 1
        halt

The first line states the format of the text, {assembler.VERSION}; no other is read.
One instruction a line; tiles in order.  The canonical text is as above: addresses hexadecimal,
other numbers decimal, operands in the order given below.  A hand-written text may also have
comments (`;` to the end of the line), blank lines, any spacing, numbers in either base, and
operands in any order.  Text and binary hold the same and are made from each other losslessly.

## Loops

What stands between a `loop` and its `end` is executed `count` times.  Up to {NESTING} loops may
enclose each other.  In a loop some operands may advance: they are followed by strides, the first
for the innermost loop, the next for the loop around it, and so on; strides of 0 at the end are left
out.  With every iteration of a loop its stride is added; in `rows=0:1+1` to both numbers.  A loop
that is entered again begins anew.  A buffer address may also go round a region `%address:bytes`:
what it has advanced to is taken modulo the bytes of the region, from the region's address on, as
rows go round a ring.  These kinds of operands may advance:
{_ADVANCING}.

A program means what it means with all loops written out; they take no time.

## Binary

Little-endian: the 8 bytes `{encoding.MAGIC.decode()}`, the format (u16, {encoding.VERSION}; no \
other is read), the number of
tiles (u32); then, for every tile, the number of its instructions (u32) and the instructions.  An
instruction is its opcode (u8) and its operands in order, in the encodings given below.

Where an operand advances, the opcode has its highest bit set, and the instruction goes on with one
entry for every operand of a kind that may advance, in order.  An entry is a byte, the number of
strides, plus 8 if the operand goes round a region; the strides (i64 for an off-chip address, else
i32), that of the innermost loop first; and the region's address and bytes (u32 each).
"""


def isa_page() -> str:
    """The text of docs/isa.md."""
    rows = [f"| `{spec.name}` | {spec.code} | {_summary(spec)} |" for spec in instructions()]
    index = ["## Instructions", "", "| name | opcode | what it does |", "|---|---|---|", *rows, ""]
    sections = [_section(spec) for spec in instructions()]
    tables = [kind for kind in instructions() if issubclass(kind, Table)]
    records = [table_page.INTRODUCTION, *table_page.other_records(tables)]
    return "\n".join([_INTRODUCTION, *index, *sections, *records]).rstrip() + "\n"


def _summary(spec: type[DeclaredInstruction]) -> str:
    return re.split(r"\. |: ", spec.doc())[0].rstrip(".") + "."


def _section(spec: type[DeclaredInstruction]) -> str:
    pairs = zip(spec.operands, spec.example, strict=True)
    operands = ", ".join(f"{operand.name}={text}" for operand, text in pairs)
    lines = [f"### {spec.name}", "", f"    {spec.name} {operands}".rstrip(), "", spec.doc(), ""]
    if spec.operands:
        lines += ["| operand | kind | encoding | meaning |", "|---|---|---|---|"]
        lines += [
            f"| `{operand.name}` | {operand.kind.name} | {_encoding(operand.kind)} "
            f"| {operand.doc} |"
            for operand in spec.operands
        ]
        lines.append("")
    if issubclass(spec, Table):
        lines += ["Its table:", "", *table_page.table_fields(spec)]
    return "\n".join(lines)


def _encoding(kind: OperandKind) -> str:
    item = " + ".join(f"u{part.bits}" for part in kind.parts)
    return f"u8 length, then each {item}" if kind.repeated else item
