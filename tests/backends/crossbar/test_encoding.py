from __future__ import annotations

import struct

import pytest

from epimc.backends.crossbar.encoding import decode, encode
from epimc.backends.crossbar.isa import Streams
from epimc.backends.crossbar.program import Instruction, Ring
from epimc.diagnostics import EpimcError
from tests.backends.crossbar.programs import PROGRAMS

HALT = Instruction("halt", ())


def program(*instructions: bytes) -> bytes:
    """A binary program of one tile."""
    header = struct.pack("<8sHII", b"EPIMPROG", 1, 1, len(instructions))
    return header + b"".join(instructions)


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


@pytest.mark.parametrize(
    ("data", "message", "offset"),
    [
        (b"EPIM", "The program ends inside its header.", 0),
        (
            b"NOTEPIMC" + bytes(6),
            "Not a binary program: it does not begin with 'EPIMPROG'.",
            0,
        ),
        (struct.pack("<8sHI", b"EPIMPROG", 9, 0), "Binary program version 9 is not supported.", 8),
        (program() + b"xyz", "3 bytes follow the program.", 18),
        (program(b"\x00", b"\x63"), "Unknown opcode 99.", 19),
        (program(b"\x05\x01"), "The program ends inside its operands of 'signal'.", 19),
        (
            struct.pack("<8sHII", b"EPIMPROG", 1, 1, 2**32 - 1) + b"\x00",
            "The program ends inside its instructions.",
            19,
        ),
        (
            struct.pack("<8sHI", b"EPIMPROG", 1, 2**32 - 1),
            "The program ends inside its number of instructions of tile 0.",
            14,
        ),
        (program(struct.pack("<BIIIIIB", 18, 0, 0, 1, 0, 1, 0)), "An empty list in 'pool'.", 39),
    ],
)
def test_errors(data: bytes, message: str, offset: int) -> None:
    with pytest.raises(EpimcError) as caught:
        decode(data, "p.bin")
    assert str(caught.value) == f"error: {message}\n  --> p.bin, byte {offset}"


def test_every_truncation_is_refused() -> None:
    data = encode(PROGRAMS["spill"]().streams)
    for size in range(len(data)):
        with pytest.raises(EpimcError):
            decode(data[:size])


def test_every_flipped_bit_is_refused_or_seen() -> None:
    streams = PROGRAMS["spill"]().streams
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
