"""docs/isa.md, written from the declarations of the instruction set.

`python -m epimc.backends.crossbar.isa_document > docs/isa.md` renews the file.
"""

from __future__ import annotations

import sys

from epimc.backends.crossbar import assembler, encoding
from epimc.backends.crossbar.isa import SPECS, Spec
from epimc.backends.crossbar.operands import Kind

_INTRODUCTION = f"""\
# The instruction set

This page is generated from the declarations in `backends/crossbar/isa.py`.

A program has one stream of instructions for every tile of the chip.  It describes one sample; a
batch runs the same program on every sample.  All streams start together, each executes its
instructions in order, and the program ends when every tile has reached its `halt`.

Each tile has a byte-addressed buffer and its crossbars; one byte-addressed off-chip memory is
shared by all tiles.  Data moves and is computed in rows of feature maps: row y of a map
[C, H, W] is [C, W], one byte an activation, eight bytes (little-endian, signed) an accumulator.
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
        halt
    .tile 1
        halt

One instruction a line; tiles in order.  The canonical text is as above: addresses hexadecimal,
other numbers decimal, operands in the order given below.  A hand-written text may also have
comments (`;` to the end of the line), blank lines, any spacing, numbers in either base, and
operands in any order.  Text and binary hold the same and are made from each other losslessly.

## Binary

Little-endian: the 8 bytes `{encoding.MAGIC.decode()}`, the version (u16, {encoding.VERSION}), the \
number of tiles (u32); then, for every
tile, the number of its instructions (u32) and the instructions.  An instruction is its opcode (u8)
and its operands in order, in the encodings given below.
"""


def isa_document() -> str:
    """The text of docs/isa.md."""
    rows = [f"| `{spec.name}` | {spec.code} | {_summary(spec)} |" for spec in SPECS]
    index = ["## Instructions", "", "| name | opcode | what it does |", "|---|---|---|", *rows, ""]
    sections = [_section(spec) for spec in SPECS]
    return "\n".join([_INTRODUCTION, *index, *sections]).rstrip() + "\n"


def _summary(spec: Spec) -> str:
    return spec.doc.split(".  ")[0].split(": ")[0].rstrip(".") + "."


def _section(spec: Spec) -> str:
    pairs = zip(spec.operands, spec.example, strict=True)
    operands = ", ".join(f"{operand.name}={text}" for operand, text in pairs)
    lines = [f"### {spec.name}", "", f"    {spec.name} {operands}".rstrip(), "", spec.doc, ""]
    if spec.operands:
        lines += ["| operand | kind | encoding | meaning |", "|---|---|---|---|"]
        lines += [
            f"| `{operand.name}` | {operand.kind.name} | {_encoding(operand.kind)} "
            f"| {operand.doc} |"
            for operand in spec.operands
        ]
        lines.append("")
    return "\n".join(lines)


def _encoding(kind: Kind) -> str:
    item = " + ".join(f"u{part.bits}" for part in kind.parts)
    return f"u8 length, then each {item}" if kind.repeated else item


if __name__ == "__main__":
    sys.stdout.write(isa_document())
