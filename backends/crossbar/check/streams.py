"""Static checks of the streams: every instruction by itself, and the pairing of semaphores."""

from __future__ import annotations

import math
import struct
from collections import Counter

from epimc.backends.crossbar.core.findings import Findings
from epimc.backends.crossbar.core.program import Instruction, Program, Ring
from epimc.backends.crossbar.instructions.control import SIGNAL, WAIT
from epimc.backends.crossbar.instructions.registry import BY_NAME, format_instruction
from epimc.backends.crossbar.isa.binary import encode_instruction
from epimc.backends.crossbar.isa.extremes import samples, with_counts
from epimc.backends.crossbar.isa.loops import (
    Cursor,
    loop_problem,
    refuse_long,
    region_problem,
    walk,
)

Rings = dict[tuple[int, int, int], Ring]
"""By tile, table and place among its maps: the ring that instructions name for it."""


def is_last(instruction: Instruction) -> bool:
    """Whether a stream ends in an instruction, which may be none of the set."""
    kind = BY_NAME.get(instruction.opcode)
    return kind is not None and kind.is_last


def check_streams(findings: Findings) -> None:
    """All streams; maps and tables are good already.

    Raises:
        EpimcError: They execute more instructions than anybody could check.
    """
    program = findings.program
    refuse_long(program.streams)
    findings.require(
        len(program.streams) == program.chip.tiles,
        "streams",
        f"The chip has {program.chip.tiles} tiles, the program {len(program.streams)} streams.",
    )
    rings: Rings = {}
    for tile, stream in enumerate(program.streams):
        halts = [i for i, instruction in enumerate(stream) if is_last(instruction)]
        findings.require(
            halts == [len(stream) - 1],
            f"tile {tile}",
            "The stream must end in its only 'halt'.",
        )
        if _check_form(findings, tile, stream):
            wrong = _wrong_instructions(findings, tile, stream, rings)
            # Only to say in which iterations: without a mistake nothing is walked.
            for cursor in walk(stream) if wrong else ():
                if cursor.index in wrong:
                    _check_instruction(findings, tile, cursor, stream[cursor.index], rings)
    # Which counts are reached is a question only to streams that are well formed.
    if not findings.diagnostics and not _semaphores_are_paired(program):
        _check_semaphores(findings)


def _check_form(findings: Findings, tile: int, stream: tuple[Instruction, ...]) -> bool:
    """Whether all operands are of their kinds and all loops are paired."""
    good = True
    for number, instruction in enumerate(stream):
        place = f"tile {tile}, instruction {number}"
        good &= _check_encoding(findings, place, instruction)
    problem = (loop_problem(stream) or region_problem(stream)) if good else None
    if problem is not None:
        number, message = problem
        text = format_instruction(stream[number])
        findings.add(f"tile {tile}, instruction {number}: {text}", message)
    return good and problem is None


def _check_encoding(findings: Findings, place: str, instruction: Instruction) -> bool:
    return findings.require(
        _is_encodable(instruction), place, f"Malformed instruction '{instruction.opcode}'."
    )


def _is_encodable(instruction: Instruction) -> bool:
    try:
        encode_instruction(instruction)
    except (KeyError, ValueError, TypeError, AttributeError, struct.error):
        return False
    return True


def _wrong_instructions(
    findings: Findings, tile: int, stream: tuple[Instruction, ...], rings: Rings
) -> set[int]:
    """The instructions of a stream, by number, that are wrong in some iteration."""
    return {
        number
        for number, instruction, counts in with_counts(stream)
        if any(
            # What has advanced in a loop may have left the range of its kind; all else was encoded
            # before.
            (sample is not instruction and not _is_encodable(sample))
            or _problem(findings, tile, sample, rings)
            for sample in samples(instruction, counts)
        )
    }


def _problem(findings: Findings, tile: int, instruction: Instruction, rings: Rings) -> str:
    """What is wrong with an instruction, which can be encoded; empty when nothing is."""
    problem = BY_NAME[instruction.opcode].problem(findings.program, tile, *instruction.operands)
    return problem or _other_ring(findings, tile, instruction, rings)


def _check_instruction(
    findings: Findings, tile: int, cursor: Cursor, written: Instruction, rings: Rings
) -> None:
    """An instruction in one iteration of its loops; `written` is how the stream has it."""
    instruction = cursor.current
    assert instruction is not None
    # As above.
    if instruction is not written and not _check_encoding(
        findings, f"tile {tile}, {cursor.place}", instruction
    ):
        return
    if problem := _problem(findings, tile, instruction, rings):
        findings.add(f"tile {tile}, {cursor.place}: {format_instruction(instruction)}", problem)


def _other_ring(findings: Findings, tile: int, instruction: Instruction, rings: Rings) -> str:
    """A table's maps have the same rings in all instructions; what is wrong, or empty."""
    kind, operands = BY_NAME[instruction.opcode], instruction.operands
    for place, (index, ring) in enumerate(kind.rings(findings.program, *operands)):
        table = operands[0]
        assert isinstance(table, int)
        if rings.setdefault((tile, table, place), ring) != ring:
            name = findings.program.maps[index].name
            return f"The ring of '{name}' differs from that used before."
    return ""


def _semaphores_are_paired(program: Program) -> bool:
    """Whether `_check_semaphores` would report nothing; no loop is walked for it."""
    signals: Counter[int] = Counter()
    signaller: dict[int, int] = {}
    waits: list[tuple[int, int, int, int]] = []
    for tile, stream in enumerate(program.streams):
        for _, instruction, counts in with_counts(stream):
            match instruction:
                case Instruction(opcode="signal", operands=(int() as semaphore,)):
                    signals[semaphore] += math.prod(counts)
                    if signaller.setdefault(semaphore, tile) != tile:
                        return False
                case Instruction(opcode="wait", operands=(int() as semaphore, _)):
                    least, most, *_ = (s.operands[1] for s in samples(instruction, counts))
                    assert isinstance(least, int)
                    assert isinstance(most, int)
                    waits.append((semaphore, tile, least, most))
    return set(signals) == {semaphore for semaphore, *_ in waits} and all(
        1 <= least <= most <= signals[semaphore] and signaller[semaphore] != tile
        for semaphore, tile, least, most in waits
    )


def _check_semaphores(findings: Findings) -> None:
    """One tile signals a semaphore; every wait can be met; every signal has a waiter."""
    signals: Counter[int] = Counter()
    signaller: dict[int, int] = {}
    waits: list[tuple[int, int, str, int]] = []
    for tile, stream in enumerate(findings.program.streams):
        # Most tiles wait for nobody, and need no second walk.
        pairing = any(instruction.opcode in (SIGNAL, WAIT) for instruction in stream)
        for cursor in walk(stream) if pairing else ():
            instruction = cursor.current
            if instruction is None or instruction.opcode not in (SIGNAL, WAIT):
                continue
            place = f"tile {tile}, {cursor.place}: {format_instruction(instruction)}"
            semaphore = instruction.operands[0]
            assert isinstance(semaphore, int)
            if instruction.opcode == WAIT:
                count = instruction.operands[1]
                assert isinstance(count, int)
                waits.append((semaphore, count, place, tile))
                continue
            signals[semaphore] += 1
            other = signaller.setdefault(semaphore, tile)
            findings.require(other == tile, place, f"Tile {other} signals this semaphore too.")
    for semaphore, count, place, tile in waits:
        if count > signals[semaphore]:
            note = f"The semaphore is signalled {signals[semaphore]} times."
            findings.add(place, "A wait that no signal ever meets.", note)
        findings.require(count >= 1, place, "A wait for a count of 0.")
        findings.require(
            signaller.get(semaphore) != tile, place, "A tile waits for its own signal."
        )
    for semaphore in sorted(set(signals) - {wait[0] for wait in waits}):
        findings.add(f"tile {signaller[semaphore]}", f"Nobody waits for semaphore {semaphore}.")
