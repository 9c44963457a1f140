from __future__ import annotations

import pytest

from epimc.backends.crossbar.core.program import Advance, Instruction, Ring
from epimc.backends.crossbar.instructions.registry import BY_NAME, instructions
from epimc.backends.crossbar.isa.assembly import format_program, parse_program
from epimc.support.diagnostics import EpimcError
from tests.backends.crossbar.programs import PROGRAMS

pytestmark = pytest.mark.smoke

HEAD = ".epimc 1\n.tile 0\n"


@pytest.mark.parametrize("name", PROGRAMS)
def test_round_trip(name: str) -> None:
    streams = PROGRAMS[name]().streams
    text = format_program(streams)
    assert parse_program(text, "p.asm") == streams
    assert format_program(parse_program(text, "p.asm")) == text


def test_examples_of_the_documentation_are_canonical() -> None:
    lines = [
        f"    {spec.name} "
        + ", ".join(
            f"{op.name}={text}" for op, text in zip(spec.operands, spec.example, strict=True)
        )
        for spec in instructions()
    ]
    text = HEAD + "\n".join(line.rstrip() for line in lines) + "\n"
    assert format_program(parse_program(text, "p.asm")) == text


def test_free_spelling() -> None:
    text = (
        "; a comment\r\n\n  .epimc   1 ; the header\n.tile 0\n"
        "\tload bytes = 0x1C ,src=16,  dst=0X10;comment\n"
        "mvm src=[ 0 : 3 ], dst=0x10 :2, rows= 0 : 1, table=0\n halt\n.tile 1\nhalt"
    )
    load = Instruction("load", (16, 16, 28))
    mvm = Instruction("mvm", (0, (0, 1), Ring(16, 2), (Ring(0, 3),)))
    halt = Instruction("halt", ())
    assert parse_program(text, "p.asm") == ((load, mvm, halt), (halt,))


def test_loops_in_free_spelling() -> None:
    text = (
        f"{HEAD}loop count=0x2\nload src = 0x10 - 8 + 0x20+0, dst=0 + 8 % 0 : 0x40, bytes=8\n"
        "end\nend\nhalt\n"
    )
    load = Instruction("load", (Advance(0, (8,), (0, 64)), Advance(16, (-8, 32)), 8))
    end, halt = Instruction("end", ()), Instruction("halt", ())
    streams = parse_program(text, "p.asm")
    assert streams == ((Instruction("loop", (2,)), load, end, end, halt),)
    assert format_program(streams).splitlines()[2:] == [
        "    loop count=2",
        "        load dst=0x0+8%0x0:64, src=0x10-8+32, bytes=8",
        "    end",
        "    end",
        "    halt",
    ]


def test_a_stride_of_nothing_is_none() -> None:
    text = f"{HEAD}load dst=0+0%0:64, src=8+0+0, bytes=8\nhalt\n"
    assert parse_program(text, "p.asm")[0][0] == Instruction("load", (0, 8, 8))


def caret(message: str, line: int, column: int, text: str, hint: str = "") -> str:
    """The rendered error."""
    gutter = " " * len(str(line))
    lines = [
        f"error: {message}",
        f"  --> p.asm:{line}:{column}",
        f"{line} | {text}",
        f"{gutter} | {' ' * (column - 1)}^",
    ]
    return "\n".join([*lines, f"  hint: {hint}"] if hint else lines)


@pytest.mark.parametrize(
    ("line", "message", "column", "hint"),
    [
        ("  lod dst=0", "Unknown instruction 'lod'.", 3, "Did you mean 'load'?"),
        (
            "load dst=0, src=0",
            "'load' lacks its operand 'bytes'.",
            1,
            "Write bytes=..., a number of bytes.",
        ),
        (
            "load dst=0, src=0, byte=1",
            "'load' has no operand 'byte'.",
            20,
            "Did you mean 'bytes'?",
        ),
        ("halt now=1", "'halt' has no operand 'now'.", 6, "'halt' has no operands."),
        ("signal sem=1, sem=2", "Operand 'sem' is given twice.", 15, ""),
        ("signal sem=x", "Operand 'sem' of 'signal' must be a semaphore number.", 12, ""),
        ("signal sem=-1", "Operand 'sem' of 'signal' must be a semaphore number.", 12, ""),
        ("signal sem=", "Operand 'sem' of 'signal' must be a semaphore number.", 12, ""),
        ("signal 3", "Expected an operand 'name=value'.", 8, ""),
        ("wait sem=1 count=2", "Expected ',' between operands.", 12, ""),
        (
            "signal sem=4294967296",
            "Operand 'sem': 4294967296 does not fit in 32 bits.",
            12,
            "",
        ),
        (
            "load src=0, bytes=1, dst=0x100000000",
            "Operand 'dst': 0x100000000 does not fit in 32 bits.",
            26,
            "",
        ),
        (
            "pool table=0, rows=1, dst=0:1, src=[0:1]",
            "Operand 'rows' of 'pool' must be a range of rows first:end.",
            20,
            "",
        ),
        (
            "pool table=0, rows=0:1, dst=0:1, src=[]",
            "Operand 'src' of 'pool' must be a list of rings [address:rows, ...].",
            38,
            "",
        ),
        (
            "pool table=0, rows=0:1, dst=0:1, src=[0:1",
            "Operand 'src' of 'pool' must be a list of rings [address:rows, ...].",
            38,
            "",
        ),
        (
            "wait sem=0, count=0+8%0:64",
            "Operand 'count' of 'wait' must be a count.",
            19,
            "",
        ),
        ("signal sem=1+1", "Operand 'sem' of 'signal' must be a semaphore number.", 12, ""),
        (
            "load dst=64+8%0:64, src=0, bytes=8",
            "Operand 'dst': 0x40 lies outside of the region 0x0:64.",
            10,
            "",
        ),
        (
            "load dst=0+1+2+3+4+5, src=0, bytes=8",
            "Operand 'dst': it must have up to 4 strides, the last of them not 0.",
            10,
            "",
        ),
        (
            "wait sem=0, count=0-2147483649",
            "Operand 'count': the stride -2147483649 does not fit in 32 bits.",
            19,
            "",
        ),
        (".tile 2", "Tile 2 is out of order.", 7,
         "Tiles are numbered 0, 1, 2 and so on: expected '.tile 1'."),
        (".tiles 1", "Unknown directive.", 1, "Expected '.tile 1'."),
        ("= 3", "Unknown instruction '3'.", 1, f"Known: {', '.join(sorted(BY_NAME))}."),
    ],
)  # fmt: skip
def test_errors_of_a_line(line: str, message: str, column: int, hint: str) -> None:
    with pytest.raises(EpimcError) as caught:
        parse_program(f"{HEAD}{line}\n", "p.asm")
    assert str(caught.value) == caret(message, 3, column, line, hint)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "error: The program has no header.\n  --> p.asm\n  hint: Begin with '.epimc 1'."),
        ("halt", caret("The program has no header.", 1, 1, "halt", "Begin with '.epimc 1'.")),
        (".tile 0", caret("The program has no header.", 1, 1, ".tile 0", "Begin with '.epimc 1'.")),
        (
            ".epimc 2",
            caret(
                "The program's text has the format 2; this version of epimc reads the format 1.",
                1, 8, ".epimc 2", "Make it again with this version of epimc.",
            ),
        ),
        (
            ".epimc 1\nhalt",
            caret("Instruction outside a tile.", 2, 1, "halt", "Begin with '.tile 0'."),
        ),
    ],
)  # fmt: skip
def test_errors_of_the_whole(text: str, expected: str) -> None:
    with pytest.raises(EpimcError) as caught:
        parse_program(text, "p.asm")
    assert str(caught.value) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            ".epimc 1\n.tile 0\n  load dst=0" + "+1" * 3_000_000 + "\n",
            "The line has 6000012 characters; the limit is 16384.\n  --> p.asm:3:16385",
        ),
        (
            ".epimc 1\n" + ".tile 0\n" * 2**22,
            "The program has 33554441 characters; the limit is 16777216.\n  --> p.asm",
        ),
        (
            ".epimc 1\n.tile 0\n" + "halt\n" * (2**17 + 1),
            "The program has more than 131072 instructions.\n  --> p.asm:131075:1",
        ),
        (
            ".epimc 1\n.tile 0\n" + "x" * 9000,
            f"Unknown instruction '{'x' * 39}…'.\n  --> p.asm:3:1",
        ),
        (
            ".epimc 1\n.tile 0\nhalt " + "x" * 9000 + "=1",
            f"'halt' has no operand '{'x' * 39}…'.\n  --> p.asm:3:6",
        ),
        (
            ".epimc 1\n.tile 0\nsignal sem=" + "9" * 5000,
            "Operand 'sem' of 'signal' must be a semaphore number.\n  --> p.asm:3:12",
        ),
    ],
)
def test_what_is_too_long(text: str, message: str) -> None:
    with pytest.raises(EpimcError) as caught:
        parse_program(text, "p.asm")
    lines = str(caught.value).splitlines()
    assert "\n".join(lines[:2]) == f"error: {message}"
    assert max(map(len, lines)) < 300
