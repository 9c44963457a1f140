from __future__ import annotations

import struct

import pytest

from epimc.backends.crossbar.core.program import Advance, Instruction, Ring, Streams
from epimc.backends.crossbar.isa.binary import decode, encode
from epimc.backends.crossbar.lower.roll import roll
from epimc.support.diagnostics import EpimcError
from tests.backends.crossbar.programs import PROGRAMS

HALT = Instruction("halt", ())
BOTH = [PROGRAMS["spill"]().streams, roll(PROGRAMS["spill"]().streams)]


def program(*instructions: bytes) -> bytes:
    """A binary program of one tile."""
    header = struct.pack("<8sHII", b"EPIMPROG", 1, 1, len(instructions))
    return header + b"".join(instructions)


@pytest.mark.smoke
@pytest.mark.parametrize("name", PROGRAMS)
def test_round_trip(name: str) -> None:
    streams = PROGRAMS[name]().streams
    assert decode(encode(streams)) == streams


def test_layout() -> None:
    load = Instruction("load", (0x100, 1 << 40, 28))
    add = Instruction("add", (7, (4, 5), Ring(1024, 2), (Ring(0, 3), Ring(8, 1))))
    expected = program(
        struct.pack("<BIQI", 1, 0x100, 1 << 40, 28),
        struct.pack("<BIIIIIBIIII", 20, 7, 4, 5, 1024, 2, 2, 0, 3, 8, 1),
        b"\x00",
    )
    assert encode(((load, add, HALT),)) == expected
    assert decode(expected) == ((load, add, HALT),)


def test_layout_of_what_advances() -> None:
    load = Instruction("load", (Advance(8, (16, -8), (8, 32)), Advance(0, (1 << 40,)), 8))
    mvm = Instruction("mvm", (7, Advance((4, 5), (0, 2)), Ring(0, 1), (Ring(8, 1),)))
    store = Instruction("store", (0, Advance(8, (8,)), 8))
    streams = ((Instruction("loop", (2,)), load, mvm, store, Instruction("end", ()), HALT),)
    expected = program(
        struct.pack("<BI", 14, 2),
        struct.pack("<BIQI", 0x81, 8, 0, 8) + struct.pack("<BiiII", 10, 16, -8, 8, 32)
        + struct.pack("<Bq", 1, 1 << 40),
        struct.pack("<BIIIIIBII", 0x90, 7, 4, 5, 0, 1, 1, 8, 1) + struct.pack("<Bii", 2, 0, 2),
        struct.pack("<BQII", 0x82, 0, 8, 8) + struct.pack("<BBi", 0, 1, 8),
        b"\x0f",
        b"\x00",
    )  # fmt: skip
    assert encode(streams) == expected
    assert decode(expected) == streams


@pytest.mark.parametrize(
    ("data", "message", "offset"),
    [
        (b"EPIM", "The program ends inside its header.", 0),
        (
            b"NOTEPIMC" + bytes(6),
            "Not a binary program: it does not begin with 'EPIMPROG'.",
            0,
        ),
        (program() + b"xyz", "3 bytes follow the program.", 18),
        (program(b"\x00", b"\x63"), "Unknown opcode 99.", 19),
        (program(b"\x05\x01"), "The program ends inside its operands of 'signal'.", 19),
        (
            struct.pack("<8sHII", b"EPIMPROG", 1, 1, 2**17) + b"\x00",
            "The program ends inside its instructions.",
            19,
        ),
        (
            struct.pack("<8sHII", b"EPIMPROG", 1, 1, 2**32 - 1) + b"\x00",
            "The program has more than 131072 instructions.",
            14,
        ),
        (
            struct.pack("<8sHI", b"EPIMPROG", 1, 2**32 - 1),
            "The program ends inside its number of instructions of tile 0.",
            14,
        ),
        (program(struct.pack("<BIIIIIB", 18, 0, 0, 1, 0, 1, 0)), "An empty list in 'pool'.", 39),
        (program(b"\x80"), "No operand of this 'halt' advances.", 18),
        (
            program(struct.pack("<BIIB", 0x86, 0, 0, 0)),
            "No operand of this 'wait' advances.",
            18,
        ),
        (
            program(struct.pack("<BIIBi", 0x86, 0, 0, 1, 0)),
            "An operand of 'wait' advances wrongly.",
            27,
        ),
        (
            program(struct.pack("<BIIBi", 0x86, 0, 0, 17, 1)),
            "An operand of 'wait' advances wrongly.",
            27,
        ),
        (
            program(struct.pack("<BIIBiII", 0x86, 0, 0, 9, 1, 0, 8)),
            "An operand of 'wait' advances wrongly.",
            27,
        ),
        (
            program(struct.pack("<BIIB", 0x86, 0, 0, 2)),
            "The program ends inside its operands of 'wait'.",
            28,
        ),
    ],
)
def test_errors(data: bytes, message: str, offset: int) -> None:
    with pytest.raises(EpimcError) as caught:
        decode(data, "p.bin")
    assert str(caught.value) == f"error: {message}\n  --> p.bin, byte {offset}"


@pytest.mark.parametrize("streams", BOTH)
def test_every_truncation_is_refused(streams: Streams) -> None:
    data = encode(streams)
    for size in range(len(data)):
        with pytest.raises(EpimcError):
            decode(data[:size])


@pytest.mark.parametrize("streams", BOTH)
def test_every_flipped_bit_is_refused_or_seen(streams: Streams) -> None:
    data = encode(streams)

    def outcome(changed: bytes) -> Streams | None:
        try:
            return decode(changed)
        except EpimcError:
            return None

    for position in range(len(data)):
        for bit in range(8):
            flipped = bytearray(data)
            flipped[position] ^= 1 << bit
            assert outcome(bytes(flipped)) != streams


@pytest.mark.parametrize(
    ("instruction", "reason"),
    [
        (Instruction("pool", (0, (0, 1), Ring(0, 1), ())), "a list of 0 items"),
        (Instruction("send", (Advance(1, (1,)), 0, 8)), "a tile number does not advance so"),
        (
            Instruction("wait", (0, Advance(1, (1,), (0, 8)))),
            "a count does not advance so",
        ),
        (Instruction("signal", ()), "zip() argument 2 is shorter than argument 1"),
    ],
)
def test_operands_that_do_not_fit(instruction: Instruction, reason: str) -> None:
    with pytest.raises(EpimcError) as caught:
        encode(((HALT,), (HALT, instruction)))
    name = instruction.opcode
    assert str(caught.value) == (
        f"error: An operand of '{name}' cannot be encoded: {reason}.\n  --> tile 1, instruction 1"
    )


def test_numbers_that_do_not_fit() -> None:
    with pytest.raises(EpimcError, match="An operand of 'signal' cannot be encoded"):
        encode(((Instruction("signal", (2**32,)),),))
