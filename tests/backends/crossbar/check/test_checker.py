from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from epimc.backends.crossbar.check.checker import CONVERTERS, check
from epimc.backends.crossbar.core.findings import LIMIT
from epimc.backends.crossbar.core.program import Program
from epimc.backends.crossbar.core.rounds import Array, OfatEntry, Round
from epimc.backends.crossbar.instructions.host import HostOperand
from epimc.backends.crossbar.instructions.mvm import Mvm
from epimc.backends.crossbar.instructions.table import Table
from epimc.backends.crossbar.instructions.vector import Requantize
from epimc.backends.crossbar.isa.assembly import format_program, parse_program
from epimc.backends.crossbar.kernels.converters import most_lost
from epimc.ir.semantics.layouts import Selection
from epimc.support.diagnostics import render
from tests.backends.crossbar.mutations import (
    data_mutations,
    nested,
    operand_mutations,
    stream_mutations,
)
from tests.backends.crossbar.programs import PROGRAMS, merged_weights

# Numbers that nothing else in a program repeats: another value is another good program.
FREE = re.compile(
    r"maps\[\d+\]\.(zero_point|bits)"
    r"|tables\[\d+\]\.(bias|multipliers|shifts|offsets|low|high|values"
    # The step of ADCs: the result of a lossy chip, but a right one.
    r"|adc_step"
    r"|rounds\[\d+\]\.ofat\[\d+\]\.multiplier)"
    # Only where the map's size stays the same.
    r"|tables\[\d+\]\.(window\.(pads|strides|dilations|kernel)|selection|counted)"
    # Which results a fragment has, its model alone tells.
    r"|(tables\[\d+\]\.value|outputs\[\d+\])\.result [+-][18]"
)
# 5 bits in 2-bit cells, one polarity a column, are 2 slices as 4 bits are.
SAME_CELLS = "tables[0].weight_bits +1"


@pytest.mark.parametrize("name", PROGRAMS)
def test_good_programs(name: str) -> None:
    assert check(PROGRAMS[name]()) == []


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_changed_operand_is_refused(name: str) -> None:
    survivors = [
        what for what, program in operand_mutations(PROGRAMS[name]()) if not check(program)
    ]
    assert survivors == []


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_lost_or_doubled_instruction_is_refused(name: str) -> None:
    survivors = [what for what, program in stream_mutations(PROGRAMS[name]()) if not check(program)]
    assert survivors == []


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_changed_number_is_refused_or_free(name: str) -> None:
    survivors = [
        what
        for what, program in data_mutations(PROGRAMS[name]())
        if not FREE.match(what) and not check(program)
    ]
    assert set(survivors) <= {SAME_CELLS}


def flipped(weight: int, bit: int, bits: int) -> int:
    """A weight of `bits` bits, two's complement, with one bit flipped."""
    raw: int = (weight % (1 << bits)) ^ (1 << bit)
    return raw - (1 << bits) if raw >> (bits - 1) else raw


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_flipped_weight_bit_is_refused(name: str) -> None:
    program = PROGRAMS[name]()
    for i, table in enumerate(program.tables):
        if not isinstance(table, Mvm):
            continue
        for index in np.ndindex(table.weights.shape):
            for bit in range(table.weight_bits):
                weights = table.weights.copy()
                weights[index] = flipped(int(weights[index]), bit, table.weight_bits)
                tables = tuple(
                    replace(other, weights=weights)
                    if isinstance(other, Mvm) and other.weights_name == table.weights_name
                    else other
                    for other in program.tables
                )
                assert check(replace(program, tables=tables)), (i, index, bit)


# --- what is said -------------------------------------------------------------------------------


def edited(name: str, *changes: tuple[str, str]) -> Program:
    """A program with parts of its text replaced, each once."""
    program = PROGRAMS[name]()
    text = format_program(program.streams)
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    return replace(program, streams=parse_program(text, "p.asm"))


def with_table(name: str, index: int, **changes: Any) -> Program:
    """A program with fields of one table replaced."""
    program = PROGRAMS[name]()
    tables = list(program.tables_of(Table))
    tables[index] = replace(tables[index], **changes)
    return replace(program, tables=tuple(tables))


def with_map(program_name: str, index: int, /, **changes: Any) -> Program:
    """A program with fields of one map replaced."""
    program = PROGRAMS[program_name]()
    old = program.maps[index]
    sizes = tuple(changes.pop(key, getattr(old, key)) for key in ("channels", "height", "width"))
    replaced = replace(old, **{"shape": sizes, **changes})
    return replace(program, maps=(*program.maps[:index], replaced, *program.maps[index + 1 :]))


def first(program: Program) -> str:
    """The first diagnostic, as the user sees it."""
    return render(check(program)[0])


STREAMS = {
    "use before definition": (
        edited("conv", ("    load dst=0x0, src=0x0, bytes=24\n", "")),
        "error: It reads row 0 of 'x' at 0x0, where nothing lies (undefined).\n"
        "  --> tile 0, instruction 1: mvm table=0, rows=0:1, dst=0x48:1, src=[0x0:3]",
    ),
    "another slot": (
        edited("conv", ("dst=0x0, src=0x48", "dst=0x18, src=0x48")),
        "error: It brings row 3 of 'x' to no slot of that row.\n"
        "  --> tile 0, instruction 9: load dst=0x18, src=0x48, bytes=24",
    ),
    "a host call too early": (
        edited("host", ("    wait sem=0, count=3\n    host table=2\n", "    host table=2\n")),
        "error: Nobody waits for semaphore 0.\n  --> tile 0",
    ),
    "a host call before the last row": (
        edited("host", ("    wait sem=0, count=3\n", "    wait sem=0, count=2\n")),
        "error: It reads row 2 of 'h', but nothing orders this after tile 0's store.\n"
        "  --> tile 1, instruction 1: host table=2\n"
        "  note: The program has a race.",
    ),
    "a host call of another table": (
        edited("host", ("    host table=2\n", "    host table=1\n")),
        "error: Table 1 is one of 'requantize'.\n  --> tile 1, instruction 1: host table=1",
    ),
    "a result of the host that is not waited for": (
        edited("host", ("    wait sem=1, count=1\n", ""), ("    signal sem=1\n", "")),
        "error: It loads row 0 of 'p', which has not been stored.\n"
        "  --> tile 0, instruction 15: load dst=0x50, src=0x80, bytes=8",
    ),
    "of no use": (
        edited("split", ("    halt\n", "    load dst=0x800, src=0xc0, bytes=9\n    halt\n")),
        "error: No instruction of tile 0 reads 'y'.\n"
        "  --> tile 0, instruction 27: load dst=0x800, src=0xc0, bytes=9",
    ),
    "another row": (
        edited("conv", ("    load dst=0x0, src=0x48, bytes=24\n", "")),
        "error: It reads row 3 of 'x' at 0x0, where row 0 of 'x' lies (undefined).\n"
        "  --> tile 0, instruction 9: mvm table=0, rows=2:3, dst=0x48:1, src=[0x0:3]",
    ),
    "partly overwritten": (
        edited("conv", *[("0x48:1", "0x8:1")] * 10),
        "error: It reads row 0 of 'x' at 0x0, where only a part of it lies (undefined).\n"
        "  --> tile 0, instruction 6: mvm table=0, rows=1:2, dst=0x8:1, src=[0x0:3]",
    ),
    "address": (
        edited("conv", ("src=0x18", "src=0x20")),
        "error: No row of a map begins at off-chip address 0x20.\n"
        "  --> tile 0, instruction 1: load dst=0x18, src=0x20, bytes=24",
    ),
    "row size": (
        edited("conv", ("src=0x18, bytes=24", "src=0x18, bytes=23")),
        "error: A row of 'x' has 24 bytes.\n"
        "  --> tile 0, instruction 1: load dst=0x18, src=0x18, bytes=23",
    ),
    "buffer overflow": (
        edited("conv", ("dst=0x18, src=0x18", "dst=0x1ff0, src=0x18")),
        "error: The row ends at 0x2008, beyond the buffer's 0x2000 bytes.\n"
        "  --> tile 0, instruction 1: load dst=0x1ff0, src=0x18, bytes=24",
    ),
    "ring beyond the buffer": (
        edited("conv", ("dst=0x48:1", "dst=0x1ff8:1")),
        "error: The ring of 'acc' ends at 0x20b8, beyond 0x2000.\n"
        "  --> tile 0, instruction 2: mvm table=0, rows=0:1, dst=0x1ff8:1, src=[0x0:3]",
    ),
    "misaligned": (
        edited("conv", ("dst=0x48:1", "dst=0x4c:1")),
        "error: An address is not a multiple of 8.\n"
        "  --> tile 0, instruction 2: mvm table=0, rows=0:1, dst=0x4c:1, src=[0x0:3]",
    ),
    "ring too long": (
        edited("conv", ("src=[0x0:3]", "src=[0x0:6]")),
        "error: A ring of 6 rows for 'x', which has 5.\n"
        "  --> tile 0, instruction 2: mvm table=0, rows=0:1, dst=0x48:1, src=[0x0:6]",
    ),
    "rings differ": (
        edited("conv", ("rows=1:2, dst=0x48:1, src=[0x0:3]", "rows=1:2, dst=0x48:1, src=[0x0:4]")),
        "error: The ring of 'x' differs from that used before.\n"
        "  --> tile 0, instruction 6: mvm table=0, rows=1:2, dst=0x48:1, src=[0x0:4]",
    ),
    "rows": (
        edited("conv", ("rows=4:5", "rows=4:6")),
        "error: Rows 4:6 are no rows of 'acc', which has 5.\n"
        "  --> tile 0, instruction 17: mvm table=0, rows=4:6, dst=0x48:1, src=[0x0:3]",
    ),
    "computed twice": (
        edited("conv", ("mvm table=0, rows=1:2", "mvm table=0, rows=0:2")),
        "error: It computes row 0 of 'acc' a second time.\n"
        "  --> tile 0, instruction 6: mvm table=0, rows=0:2, dst=0x48:1, src=[0x0:3]",
    ),
    "no table": (
        edited("conv", ("mvm table=0", "mvm table=2")),
        "error: There is no table 2.\n"
        "  --> tile 0, instruction 2: mvm table=2, rows=0:1, dst=0x48:1, src=[0x0:3]",
    ),
    "another table": (
        edited("conv", ("mvm table=0", "mvm table=1")),
        "error: Table 1 is one of 'requantize'.\n"
        "  --> tile 0, instruction 2: mvm table=1, rows=0:1, dst=0x48:1, src=[0x0:3]",
    ),
    "sources": (
        edited("conv", ("src=[0x0:3]", "src=[0x0:3, 0x0:3]")),
        "error: Table 0 has 1 sources, not 2.\n"
        "  --> tile 0, instruction 2: mvm table=0, rows=0:1, dst=0x48:1, src=[0x0:3, 0x0:3]",
    ),
    "another tile's crossbars": (
        edited("split", ("mvm table=0", "mvm table=1")),
        "error: The crossbars of table 1 lie on tile 1.\n"
        "  --> tile 0, instruction 4: mvm table=1, rows=0:1, dst=0x48:1, src=[0x0:3]",
    ),
    "no halt": (
        edited("conv", ("    halt\n", "")),
        "error: The stream must end in its only 'halt'.\n  --> tile 0",
    ),
    "tiles": (
        edited("conv", ("    halt\n", "    halt\n.tile 1\n    halt\n")),
        "error: The chip has 1 tiles, the program 2 streams.\n  --> streams",
    ),
    "send to itself": (
        edited("split", ("send tile=1", "send tile=0")),
        "error: Tile 0 is no other tile of the chip.\n"
        "  --> tile 0, instruction 1: send tile=0, src=0x0, bytes=24",
    ),
    "sizes": (
        edited("split", ("recv tile=0, dst=0x0, bytes=24", "recv tile=0, dst=0x0, bytes=16")),
        "error: It meets a recv of another size.\n"
        "  --> tile 0, instruction 1: send tile=1, src=0x0, bytes=24\n"
        "  note: tile 1, instruction 0: recv tile=0, dst=0x0, bytes=16",
    ),
    "no whole row": (
        edited("split", ("send tile=1, src=0x0", "send tile=1, src=0x8")),
        "error: It sends the inside of row 0 of 'x', which is no whole row.\n"
        "  --> tile 0, instruction 1: send tile=1, src=0x8, bytes=24",
    ),
    "deadlock": (
        edited("split", ("send tile=1, src=0x0", "recv tile=1, dst=0x0")),
        "error: The program is deadlocked.\n"
        "  note: tile 0, instruction 1: recv tile=1, dst=0x0, bytes=24 waits.\n"
        "  note: tile 1, instruction 0: recv tile=0, dst=0x0, bytes=24 waits.",
    ),
    "stored twice": (
        edited("conv", ("store dst=0x270", "store dst=0x258")),
        "error: It reads row 0 of 'y' at 0x108, where row 1 of 'y' lies (undefined).\n"
        "  --> tile 0, instruction 8: store dst=0x258, src=0x108, bytes=24",
    ),
    "input overwritten": (
        edited("conv", ("store dst=0x258", "store dst=0x0")),
        "error: It reads row 0 of 'x' at 0x108, where row 0 of 'y' lies (undefined).\n"
        "  --> tile 0, instruction 4: store dst=0x0, src=0x108, bytes=24",
    ),
    "not stored at the end": (
        edited("conv", ("    store dst=0x258, src=0x108, bytes=24\n", "")),
        "error: Row 0 of this output is never stored.\n  --> map 2 ('y')",
    ),
    "race": (
        edited("spill", ("    wait sem=0, count=2\n", "")),
        "error: It loads row 1 of 'h', but nothing orders this after tile 0's store.\n"
        "  --> tile 1, instruction 2: load dst=0x10, src=0x90, bytes=12\n"
        "  note: The program has a race.",
    ),
    "signal before the store": (
        edited(
            "spill",
            (
                "    store dst=0x80, src=0x68, bytes=12\n    signal sem=0\n",
                "    signal sem=0\n    store dst=0x80, src=0x68, bytes=12\n",
            ),
        ),
        "error: It loads row 0 of 'h', but nothing orders this after tile 0's store.\n"
        "  --> tile 1, instruction 1: load dst=0x0, src=0x80, bytes=12\n"
        "  note: The program has a race.",
    ),
    "waits too long": (
        edited("spill", ("wait sem=0, count=1", "wait sem=0, count=2")),
        "error: It waits for more than the next load needs.\n"
        "  --> tile 1, instruction 0: wait sem=0, count=2\n"
        "  note: tile 1, instruction 1: load dst=0x0, src=0x80, bytes=12",
    ),
    "wait without need": (
        edited("spill", ("    mvm table=2", "    wait sem=0, count=2\n    mvm table=2")),
        "error: No load after this wait needs it.\n"
        "  --> tile 1, instruction 4: wait sem=0, count=2",
    ),
    "never met": (
        edited("spill", ("wait sem=0, count=4", "wait sem=0, count=5")),
        "error: A wait that no signal ever meets.\n"
        "  --> tile 1, instruction 9: wait sem=0, count=5\n"
        "  note: The semaphore is signalled 4 times.",
    ),
    "no waiter": (
        edited("spill", ("    halt", "    signal sem=1\n    halt")),
        "error: Nobody waits for semaphore 1.\n  --> tile 0",
    ),
    "two signallers": (
        edited("spill", (".tile 1\n", ".tile 1\n    signal sem=0\n")),
        "error: Tile 0 signals this semaphore too.\n"
        "  --> tile 1, instruction 0: signal sem=0",
    ),
    "wait for itself": (
        edited("spill", ("    signal sem=0\n", "    signal sem=0\n    wait sem=0, count=1\n")),
        "error: A tile waits for its own signal.\n"
        "  --> tile 0, instruction 5: wait sem=0, count=1",
    ),
    "signal of nothing": (
        edited("spill", ("    signal sem=0\n", "    signal sem=0\n    signal sem=0\n")),
        "error: Nothing has been stored since the last signal.\n"
        "  --> tile 0, instruction 5: signal sem=0",
    ),
    "direct too early": (
        edited("direct", ("    wait sem=0, count=1\n    direct", "    direct")),
        "error: It reads row 0 of 'acc', but nothing orders this after tile 0's store.\n"
        "  --> tile 1, instruction 4: direct table=1, rows=0:1, window=0x58, bytes=8\n"
        "  note: The program has a race.",
    ),
    "direct twice": (
        edited("direct", ("    lookup table=2, rows=0:1", "    direct table=1, rows=0:1, "
                          "window=0x58, bytes=8\n    lookup table=2, rows=0:1")),
        "error: It computes row 0 of 'y' a second time.\n"
        "  --> tile 1, instruction 8: direct table=1, rows=0:1, window=0x58, bytes=8",
    ),
    "direct over rows": (
        edited("direct", ("rows=1:2, window=0x58", "rows=1:2, window=0x50")),
        "error: It reads row 3 of 'x' at 0x50, where nothing lies (undefined).\n"
        "  --> tile 1, instruction 14: lookup table=2, rows=3:4, dst=0x0:1, src=[0x38:4]",
    ),
    "direct without room": (
        edited("direct", ("window=0x58, bytes=8", "window=0x58, bytes=16")),
        "error: It has 16 bytes of the buffer, where it needs 8.\n"
        "  --> tile 1, instruction 5: direct table=1, rows=0:1, window=0x58, bytes=16",
    ),
    "direct beyond the buffer": (
        edited("direct", ("window=0x58, bytes=8", "window=0x60, bytes=8")),
        "error: The row ends at 0x68, beyond the buffer's 0x60 bytes.\n"
        "  --> tile 1, instruction 5: direct table=1, rows=0:1, window=0x60, bytes=8",
    ),
    "direct of a table that is not there": (
        edited("direct", ("direct table=1, rows=0:1", "direct table=3, rows=0:1")),
        "error: There is no table 3.\n"
        "  --> tile 1, instruction 5: direct table=3, rows=0:1, window=0x58, bytes=8",
    ),
    "direct on another tile": (
        edited("direct", ("direct table=1, rows=0:1", "direct table=0, rows=0:1")),
        "error: The crossbars of table 0 lie on tile 0.\n"
        "  --> tile 1, instruction 5: direct table=0, rows=0:1, window=0x58, bytes=8",
    ),
    "direct for no rows": (
        edited("direct", ("direct table=1, rows=0:1", "direct table=1, rows=2:3")),
        "error: Rows 2:3 are no rows of 'y', which has 2.\n"
        "  --> tile 1, instruction 5: direct table=1, rows=2:3, window=0x58, bytes=8",
    ),
    "direct for the host": (
        edited("host", ("host table=2", "direct table=2, rows=0:1, window=0x0, bytes=8")),
        "error: Table 2 is one of 'host', which computes no rows.\n"
        "  --> tile 1, instruction 1: direct table=2, rows=0:1, window=0x0, bytes=8",
    ),
    "direct of what stays on chip": (
        edited(
            "conv",
            (
                "requantize table=1, rows=0:1, dst=0x108:1, src=[0x48:1]",
                "direct table=1, rows=0:1, window=0x0, bytes=8",
            ),
        ),
        "error: 'acc' has no place off chip.\n"
        "  --> tile 0, instruction 3: direct table=1, rows=0:1, window=0x0, bytes=8",
    ),
    "loaded again": (
        edited("conv", ("    mvm", "    load dst=0x0, src=0x0, bytes=24\n    mvm")),
        "error: It brings row 0 of 'x' to where it lies already.\n"
        "  --> tile 0, instruction 2: load dst=0x0, src=0x0, bytes=24",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", STREAMS)
def test_bad_streams(name: str) -> None:
    program, expected = STREAMS[name]
    assert first(program) == expected


CONV = "table 0 (mvm of 'acc', node 'conv' (Conv))"
ENTRY = OfatEntry(0, 2, 0, 1, False)


def with_rounds(*entries: OfatEntry) -> Program:
    """The conv program with another OFAT in its first round."""
    table = PROGRAMS["conv"]().tables[0]
    assert isinstance(table, Mvm)
    changed = replace(table.rounds[0], ofat=entries)
    return with_table("conv", 0, rounds=(changed, *table.rounds[1:]))


GROUPS = [t for t in PROGRAMS["groups"]().tables if isinstance(t, Mvm)]


def with_round(round_: Round) -> Program:
    """The program of groups with another first round in its second layer."""
    return with_table("groups", 2, rounds=(round_, GROUPS[1].rounds[1]))


DATA = {
    "names": (
        with_map("conv", 1, name="x"),
        "error: Two maps have the same name.\n  --> map 0 ('x', input)",
    ),
    "zero point": (
        with_map("conv", 0, zero_point=256),
        "error: Zero point 256 is no activation of 8 bits.\n  --> map 0 ('x', input)",
    ),
    "off chip": (
        with_map("conv", 2, address=65536 - 112),
        "error: The map ends at off-chip address 0x10008, beyond 0x10000.\n  --> map 2 ('y')",
    ),
    "overlap": (
        with_map("conv", 2, address=112),
        "error: Its off-chip region overlaps that of 'x'.\n  --> map 2 ('y')",
    ),
    "misplaced": (
        with_map("conv", 2, address=604),
        "error: Off-chip address 0x25c is not a multiple of 8.\n  --> map 2 ('y')",
    ),
    "window": (
        with_map("conv", 1, height=4),
        "error: Its window makes rows and columns [5, 6], not [4, 6].\n"
        f"  --> {CONV}",
    ),
    "element": (
        with_map("conv", 1, element="u8", bits=8, scale=0.5),
        "error: 'acc' must hold accumulators, not activations.\n"
        f"  --> {CONV}",
    ),
    "multiplier": (
        with_rounds(replace(ENTRY, multiplier=2048), OfatEntry(0, 2, 2, 2, False)),
        "error: OFAT's multiplier 2048 is 0 or has more than 12 bits.\n"
        f"  --> {CONV}, round 0",
    ),
    "columns": (
        with_rounds(replace(ENTRY, column=1), OfatEntry(0, 2, 2, 2, False)),
        "error: OFAT reads columns 1 to 2 of 2.\n"
        f"  --> {CONV}, round 0",
    ),
    "store first": (
        with_rounds(ENTRY, OfatEntry(0, 2, 2, 2, True)),
        "error: The first write to an output channel must store, every later one accumulate.\n"
        f"  --> {CONV}, round 0",
    ),
    "twice": (
        with_rounds(ENTRY, OfatEntry(0, 2, 2, 2, False), OfatEntry(0, 2, 0, 1, True)),
        "error: Two rounds bring the same input to the same output channel.\n"
        f"  --> {CONV}",
    ),
    "array": (
        with_table("conv", 0, arrays=(Array(0, 0, 33, 0, 5),)),
        "error: 33 rows and 5 columns do not fit in a crossbar of 32 and 32.\n"
        f"  --> {CONV}, crossbar 0",
    ),
    "crossbar number": (
        with_table("conv", 0, arrays=(Array(8, 0, 32, 0, 5),)),
        "error: A tile has 8 crossbars.\n"
        f"  --> {CONV}, crossbar 8",
    ),
    "crossbar used twice": (
        with_table("classifier", 4, arrays=(Array(0, 0, 12, 0, 3), Array(2, 0, 12, 3, 2))),
        "error: Crossbar 0 of tile 0 is also used by table 0 (mvm of 'acc').\n"
        "  --> table 4 (mvm of 'scores')",
    ),
    "parts": (
        with_table("split", 3, sources=(1, 3), multipliers=np.ones((2, 3), np.int64)),
        "error: It reads the result of table 0 (mvm of 'part0'), which is only a part of its "
        "layer.\n  --> table 3 (requantize of 'y')",
    ),
    "no group": (
        with_table("groups", 0, groups=0),
        "error: It has 0 groups.\n  --> table 0 (mvm of 'acc0')",
    ),
    "groups": (
        with_table("groups", 0, groups=3),
        "error: 4 input channels do not divide into 3 groups.\n  --> table 0 (mvm of 'acc0')",
    ),
    "pack": (
        with_table("groups", 0, pack=5),
        "error: A pack of 5 groups is none of a layer of 4.\n  --> table 0 (mvm of 'acc0')",
    ),
    "large pack": (
        with_table("groups", 0, pack=4),
        "error: A pack of 4 groups, 36 rows and 9 columns, does not fit in a crossbar.\n"
        "  --> table 0 (mvm of 'acc0')",
    ),
    "outside the pack": (
        with_table("groups", 2, arrays=(Array(2, 4, 6, 0, 7),)),
        "error: It holds cells outside the pack of group 0's 6 rows and 7 physical columns.\n"
        "  --> table 2 (mvm of 'acc1'), crossbar 2",
    ),
    "part of a pack": (
        with_table("groups", 0, arrays=(Array(0, 0, 9, 0, 7), Array(2, 9, 18, 0, 7),
                                        Array(1, 27, 9, 7, 3))),
        "error: It holds only a part of a pack of several groups.\n"
        "  --> table 0 (mvm of 'acc0'), crossbar 0",
    ),
    "missing pack": (
        with_table("groups", 0, arrays=(Array(4, 0, 27, 0, 7),),
                   corrections=GROUPS[0].corrections[:, :7]),
        "error: 0 crossbars hold the cell at row 27, physical column 7 of 'a', where 1 must.\n"
        "  --> table 0 (mvm of 'acc0')",
    ),
    "group twice": (
        with_table("groups", 2, arrays=(*GROUPS[1].arrays, Array(6, 8, 4, 7, 7)),
                   corrections=np.hstack([GROUPS[1].corrections, GROUPS[1].corrections[:, -7:]])),
        "error: 2 crossbars hold the cell at row 8, physical column 7 of 'b', where 1 must.\n"
        "  --> table 2 (mvm of 'acc1')",
    ),
    "other channels": (
        with_round(Round(((0, 1), (3, 1)), ((0, 4), (6, 4)), GROUPS[1].rounds[0].ofat)),
        "error: It does not drive the same channels and rows of each of its groups.\n"
        "  --> table 2 (mvm of 'acc1'), round 0",
    ),
    "other rows": (
        with_round(Round(((0, 1), (2, 1)), ((0, 4), (8, 4)), GROUPS[1].rounds[0].ofat)),
        "error: It does not drive the same channels and rows of each of its groups.\n"
        "  --> table 2 (mvm of 'acc1'), round 0",
    ),
    "rows of two groups": (
        with_round(Round(((0, 1),), ((4, 4),), (OfatEntry(0, 3, 0, 1, False),))),
        "error: The rows that IFRT drives are no window of an epitome.\n"
        "  --> table 2 (mvm of 'acc1'), round 0",
    ),
    "columns of another group": (
        with_round(replace(GROUPS[1].rounds[0], ofat=(OfatEntry(0, 3, 3, 1, False),))),
        "error: OFAT gives channels 3 to 5 columns of another group, or of one that is not "
        "driven.\n  --> table 2 (mvm of 'acc1'), round 0",
    ),
    "group not driven": (
        with_round(Round(((0, 1),), ((0, 4),), GROUPS[1].rounds[0].ofat)),
        "error: OFAT gives channels 0 to 5 columns of another group, or of one that is not "
        "driven.\n  --> table 2 (mvm of 'acc1'), round 0",
    ),
    "bits without a mapping": (
        with_table("conv", 0, weight_bits=1, mapping="twos_complement"),
        "error: Weights of 1 bits in mapping 'twos_complement'.\n"
        "  --> table 0 (mvm of 'acc', node 'conv' (Conv))",
    ),
    "no weights of one bit": (
        with_table("conv", 0, weight_bits=1, mapping="offset"),
        "error: A weight of one bit is neither -1 nor 1.\n"
        "  --> table 0 (mvm of 'acc', node 'conv' (Conv))",
    ),
    "one bit in a pack": (
        with_table("groups", 0, weight_bits=1, weights=np.ones_like(GROUPS[0].weights)),
        "error: A pack of several groups has zeros, one bit has none.\n"
        "  --> table 0 (mvm of 'acc0')",
    ),
    "two biases": (
        with_table("split", 1, bias=np.array([1, 0, 0])),
        "error: Two parts of the layer have a bias.\n  --> table 1 (mvm of 'part1')",
    ),
    "precision": (
        with_table("conv", 0, bias=np.array([0, 0, 0, 2**50])),
        "error: Its accumulators times its multipliers may exceed 63 bits.\n"
        "  --> table 1 (requantize of 'y')",
    ),
    "shift": (
        with_table("conv", 1, shifts=np.array([1, 63, 1, 1])),
        "error: A shift lies outside [1, 62].\n  --> table 1 (requantize of 'y')",
    ),
    "scale": (
        replace(
            PROGRAMS["conv"](), inputs=(replace(PROGRAMS["conv"]().chip_inputs[0], scale=2.0),)
        ),
        "error: Its scale 2.0 is not that of its map, 0.5.\n  --> input 'x'",
    ),
    "no scale": (
        with_map("vector", 3, scale=0.0),
        "error: Its scale 0.0 is not a positive number.\n  --> map 3 ('curved')",
    ),
    "endless scale": (
        with_map("vector", 3, scale=float("inf")),
        "error: Its scale inf is not a positive number.\n  --> map 3 ('curved')",
    ),
    "scale of accumulators": (
        with_map("conv", 1, scale=0.5),
        "error: Accumulators must have 0 bits, zero point 0 and scale 0.\n"
        "  --> map 1 ('acc', node 'conv' (Conv))",
    ),
    "multiplier of a requantization": (
        with_table("vector", 4, multipliers=np.array([[1, 1], [1, -(2**31)], [1, 1]])),
        "error: A multiplier lies outside [-2147483647, 2147483647].\n"
        "  --> table 4 (requantize of 'sum')",
    ),
    "offsets": (
        with_table("vector", 4, offsets=np.zeros(3, np.int64)),
        "error: Its multipliers must be int64 [sources, channels], its shifts and offsets int64 "
        "[channels].\n  --> table 4 (requantize of 'sum')",
    ),
    "precision with an offset": (
        with_table("vector", 4, offsets=np.array([0, -(2**63) + 1])),
        "error: Its accumulators times its multipliers may exceed 63 bits.\n"
        "  --> table 4 (requantize of 'sum')",
    ),
    "product of other shapes": (
        with_map("vector", 1, shape=(1, 2, 1)),
        "error: 'gates' has not the shape [2, 3, 2] of 'gated'.\n"
        "  --> table 2 (multiply of 'gated')",
    ),
    "product of three": (
        with_table("vector", 2, sources=(3, 1, 1)),
        "error: It must read 2 maps, not 3.\n  --> table 2 (multiply of 'gated')",
    ),
    "values of another shape": (
        with_table("vector", 1, values=np.zeros((2, 8), np.int64)),
        "error: Its values must be int64 [1 or 2, 16].\n  --> table 1 (lookup of 'curved')",
    ),
    "values": (
        with_table("vector", 1, values=np.full((1, 16), 16)),
        "error: A value is no activation of 4 bits.\n  --> table 1 (lookup of 'curved')",
    ),
    "concatenation": (
        with_table("vector", 5, sources=(2, 6)),
        "error: Its sources do not make up the shape [6, 3, 2].\n"
        "  --> table 5 (concat of 'joined')",
    ),
    "concatenation of another type": (
        with_table("vector", 5, sources=(2, 6, 0)),
        "error: It must keep the type, the bits and the zero point.\n"
        "  --> table 5 (concat of 'joined')",
    ),
    "pads": (
        with_table("vector", 6, pads=(2, 1, 2, 2)),
        "error: Its result must have the shape [9, 7, 5].\n  --> table 6 (pad of 'y')",
    ),
    "pads below 0": (
        with_table("vector", 6, channels=(4, -1)),
        "error: It pads with less than nothing.\n  --> table 6 (pad of 'y')",
    ),
    "axis": (
        with_table("moving", 3, axis=3),
        "error: There is no axis 3.\n  --> table 3 (concat of 'beside')",
    ),
    "concatenation along another axis": (
        with_table("moving", 3, axis=1),
        "error: Its sources do not make up the shape [2, 11, 6].\n"
        "  --> table 3 (concat of 'beside')",
    ),
    "selection outside": (
        with_table("moving", 0, selection=Selection(rows=((0, 5, 1),))),
        "error: It takes what the shape [2, 4, 3] of 'x' lacks.\n"
        "  --> table 0 (select of 'picked')",
    ),
    "selection of another shape": (
        with_table("moving", 0, selection=Selection(rows=((0, 4, 1),))),
        "error: Its result must have the shape [2, 4, 3].\n  --> table 0 (select of 'picked')",
    ),
    "constant of another shape": (
        with_table("moving", 1, values=np.zeros((2, 3, 2), np.int64)),
        "error: Its values must be int64 [2, 2, 3].\n  --> table 1 (constant of 'fixed')",
    ),
    "constant": (
        with_table("moving", 1, values=np.full((2, 2, 3), -1)),
        "error: A value is no activation of 4 bits.\n  --> table 1 (constant of 'fixed')",
    ),
    "counted": (
        with_table("moving", 4, counted=(1, 2, 0, 1)),
        "error: It counts more padding than there is.\n  --> table 4 (pool of 'sums')",
    ),
    "counted for a maximum": (
        with_table("classifier", 2, counted=(0, 0, 0, 0)),
        "error: Nothing is counted for a maximum.\n  --> table 2 (pool of 'max')",
    ),
    "no source": (
        with_table("moving", 2, sources=()),
        "error: It must read 1 to 255 maps, not 0.\n  --> table 2 (concat of 'below')",
    ),
    "permutation": (
        with_table("host", 4, perm=(2, 0, 0)),
        "error: [2, 0, 0] does not permute 3 dims.\n  --> table 4 (rearrange of 'y')",
    ),
    "rearranged shape": (
        with_table("host", 4, shape=(4, 3, 2)),
        "error: Its result must have the shape [4, 3, 2].\n  --> table 4 (rearrange of 'y')",
    ),
    "rearranged size": (
        with_map("host", 4, shape=(2, 2, 4)),
        "error: Its shape [4, 2, 3] has not the 16 elements of its source.\n"
        "  --> table 4 (rearrange of 'y')",
    ),
    "rearranged type": (
        with_map("host", 5, zero_point=8),
        "error: It must keep the type, the bits and the zero point.\n"
        "  --> table 4 (rearrange of 'y')",
    ),
    "fragment": (
        with_table("host", 2, fragment="../p"),
        "error: '../p' is no name of a fragment.\n"
        "  --> table 2 (host of 'call', node 'probabilities' (Softmax))",
    ),
    "its own token for the host": (
        with_table("host", 2, reads=(HostOperand(2), HostOperand(3, 0))),
        "error: It reads row 0 of 'call', which has not been stored.\n"
        "  --> tile 1, instruction 1: host table=2",
    ),
    "a token in the place of activations": (
        with_table("host", 3, value=HostOperand(3)),
        "error: 'call' must hold activations, not a token of the host.\n"
        "  --> table 3 (enter of 'p', node 'probabilities' (Softmax))",
    ),
    "activations in the place of a token": (
        with_table("host", 3, value=HostOperand(2, 0)),
        "error: 'h' must hold a token of the host, not activations.\n"
        "  --> table 3 (enter of 'p', node 'probabilities' (Softmax))",
    ),
    "a fragment of another name": (
        with_table("host", 2, fragment="other"),
        "error: 'other' is not named after 'call'.\n"
        "  --> table 2 (host of 'call', node 'probabilities' (Softmax))",
    ),
    "a token of several bytes": (
        with_map("host", 3, shape=(2, 1, 1)),
        "error: A token is a single byte.\n  --> map 3 ('call', node 'probabilities' (Softmax))",
    ),
    "off the chip's memory": (
        with_map("host", 2, address=-1),
        "error: 'h' has no place off chip.\n"
        "  --> table 2 (host of 'call', node 'probabilities' (Softmax))",
    ),
    "producer": (
        with_table("classifier", 6, destination=3),
        "error: 'max' must hold accumulators, not activations.\n  --> table 6 (pool of 'max')",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", DATA)
def test_bad_data(name: str) -> None:
    program, expected = DATA[name]
    assert first(program) == expected


def test_what_converters_lose_counts_among_the_accumulators() -> None:
    program = PROGRAMS["conv"]()
    layer, rescaling = program.tables
    assert isinstance(layer, Mvm)
    assert isinstance(rescaling, Requantize)
    factor, shift = int(rescaling.multipliers[0, 3]), int(rescaling.shifts[3])
    room = (2**63 - 1 - 2 ** (shift - 1)) // factor
    room -= int(np.abs(merged_weights(layer, layer.weights, 4)[3]).sum()) * 255
    narrow = replace(program.chip, adc_bits=1)
    lost = int(most_lost(layer, 8, narrow)[3])
    assert lost > 0
    for chip, highest in ((program.chip, room), (narrow, room - lost)):
        for more in (0, 1):
            biased = replace(layer, bias=np.array([0, 0, 0, highest + more]))
            changed = replace(program, chip=chip, tables=(biased, rescaling))
            for problems in (check(changed), check(changed, CONVERTERS)):
                assert [problem.message for problem in problems] == [
                    "Its accumulators times its multipliers may exceed 63 bits."
                ] * more


def test_a_flipped_weight_is_named() -> None:
    program = PROGRAMS["conv"]()
    table = program.tables[0]
    assert isinstance(table, Mvm)
    weights = table.weights.copy()
    weights[0, 0] ^= 1
    wrong = first(with_table("conv", 0, weights=weights))
    assert re.fullmatch(
        r"error: The correction of round 0, column 0 is \d+, but the driven cells sum to \d+\.\n"
        + re.escape(f"  --> {CONV}"),
        wrong,
    )


def test_a_cell_that_no_crossbar_holds() -> None:
    program = PROGRAMS["conv"]()
    table = program.tables[0]
    assert isinstance(table, Mvm)
    short = replace(table.arrays[0], columns=4)
    corrections = table.corrections[:, :4]
    assert first(with_table("conv", 0, arrays=(short,), corrections=corrections)) == (
        "error: 0 crossbars hold the cell at row 0, physical column 4 of 'w', where 1 must.\n"
        f"  --> {CONV}"
    )


def test_at_most_twenty_are_reported() -> None:
    program = PROGRAMS["conv"]()
    (stream,) = program.streams
    streams = (tuple(i for i in stream for _ in range(6 if i.opcode == "mvm" else 1)),)
    assert len(check(replace(program, streams=streams))) == LIMIT


def test_mutations_reach_every_kind_of_number() -> None:
    places = {re.sub(r"\d+|[ +-]+", "", place) for place, _ in nested(PROGRAMS["split"]().tables)}
    assert "[].rounds[].ofat[].accumulate=True" in places
    assert "[].arrays[].crossbar" in places
    assert "[].corrections[,]" in places
