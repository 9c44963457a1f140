"""Static checks of the streams: every instruction by itself, and the pairing of semaphores."""

from __future__ import annotations

import struct
from collections import Counter
from typing import Any

from epimc.backends.crossbar.encoding import encode_instruction
from epimc.backends.crossbar.isa import BY_NAME, HALT, format_instruction
from epimc.backends.crossbar.loops import loop_problem, region_problem, walk
from epimc.backends.crossbar.program import (
    ALIGNMENT,
    FeatureMap,
    HostTable,
    Instruction,
    MvmTable,
    Ring,
    table_sources,
)
from epimc.backends.crossbar.report import OPERATIONS, Report


def check_streams(report: Report) -> None:
    """All streams; maps and tables are good already."""
    program = report.program
    report.require(
        len(program.streams) == program.chip.tiles,
        "streams",
        f"The chip has {program.chip.tiles} tiles, the program {len(program.streams)} streams.",
    )
    rings: dict[tuple[int, int, int], Ring] = {}
    for tile, stream in enumerate(program.streams):
        halts = [i for i, instruction in enumerate(stream) if instruction.opcode == HALT]
        report.require(
            halts == [len(stream) - 1],
            f"tile {tile}",
            "The stream must end in its only 'halt'.",
        )
        if _check_form(report, tile, stream):
            for cursor in walk(stream):
                assert cursor.current is not None
                place = f"tile {tile}, {cursor.place}"
                _check_instruction(report, tile, place, cursor.current, rings)
    if not report.diagnostics:
        _check_semaphores(report)


def _check_form(report: Report, tile: int, stream: tuple[Instruction, ...]) -> bool:
    """Whether all operands are of their kinds and all loops are paired."""
    good = True
    for number, instruction in enumerate(stream):
        place = f"tile {tile}, instruction {number}"
        good &= _check_encoding(report, place, instruction)
    problem = (loop_problem(stream) or region_problem(stream)) if good else None
    if problem is not None:
        number, message = problem
        text = format_instruction(stream[number])
        report.add(f"tile {tile}, instruction {number}: {text}", message)
    return good and problem is None


def _check_encoding(report: Report, place: str, instruction: Instruction) -> bool:
    try:
        encode_instruction(instruction)
    except (KeyError, ValueError, TypeError, AttributeError, struct.error):
        report.add(place, f"Malformed instruction '{instruction.opcode}'.")
        return False
    return True


def _check_instruction(
    report: Report,
    tile: int,
    place: str,
    instruction: Instruction,
    rings: dict[tuple[int, int, int], Ring],
) -> None:
    # What has advanced in a loop may have left the range of its kind.
    if not _check_encoding(report, place, instruction):
        return
    spec = BY_NAME[instruction.opcode]
    values: dict[str, Any] = {
        operand.name: value
        for operand, value in zip(spec.operands, instruction.operands, strict=True)
    }
    problem = (
        _compute_problem(report, tile, spec.name, values, rings)
        if spec.table is not None
        else _move_problem(report, tile, spec.name, values)
    )
    if problem:
        report.add(f"{place}: {format_instruction(instruction)}", problem)


def _move_problem(report: Report, tile: int, name: str, values: dict[str, Any]) -> str:
    """What is wrong with a load, store, send or recv by itself; empty when nothing is."""
    if "bytes" not in values:
        return ""
    chip = report.program.chip
    buffer = values["src"] if name in ("store", "send") else values["dst"]
    end = buffer + -(-values["bytes"] // ALIGNMENT) * ALIGNMENT
    if any(values[key] % ALIGNMENT for key in ("src", "dst") if key in values):
        return f"An address is not a multiple of {ALIGNMENT}."
    if end > chip.buffer_bytes:
        return f"The row ends at {end:#x}, beyond the buffer's {chip.buffer_bytes:#x} bytes."
    if "tile" in values and not (values["tile"] < chip.tiles and values["tile"] != tile):
        return f"Tile {values['tile']} is no other tile of the chip."
    return ""


def _compute_problem(
    report: Report,
    tile: int,
    name: str,
    values: dict[str, Any],
    rings: dict[tuple[int, int, int], Ring],
) -> str:
    """What is wrong with a computing instruction by itself; empty when nothing is."""
    program, number = report.program, values["table"]
    if number >= len(program.tables):
        return f"There is no table {number}."
    table = program.tables[number]
    if OPERATIONS[type(table)] != name:
        return f"Table {number} is one of '{OPERATIONS[type(table)]}'."
    if isinstance(table, MvmTable) and table.tile != tile:
        return f"The crossbars of table {number} lie on tile {table.tile}."
    if isinstance(table, HostTable):
        return ""
    target = program.maps[table.destination]
    first, end = values["rows"]
    if not first < end <= target.height:
        return f"Rows {first}:{end} are no rows of '{target.name}', which has {target.height}."
    sources = table_sources(table)
    if len(values["src"]) != len(sources):
        return f"Table {number} has {len(sources)} sources, not {len(values['src'])}."
    used = (values["dst"], *values["src"])
    for i, (ring, index) in enumerate(zip(used, (table.destination, *sources), strict=True)):
        problem = _ring_problem(report, ring, program.maps[index])
        if problem:
            return problem
        if rings.setdefault((tile, number, i), ring) != ring:
            return f"The ring of '{program.maps[index].name}' differs from that used before."
    return ""


def _ring_problem(report: Report, ring: Ring, held: FeatureMap) -> str:
    buffer_bytes = report.program.chip.buffer_bytes
    end = ring.address + ring.rows * held.row_stride
    if ring.address % ALIGNMENT:
        return f"An address is not a multiple of {ALIGNMENT}."
    if not 1 <= ring.rows <= held.height:
        return f"A ring of {ring.rows} rows for '{held.name}', which has {held.height}."
    if end > buffer_bytes:
        return f"The ring of '{held.name}' ends at {end:#x}, beyond {buffer_bytes:#x}."
    return ""


def _check_semaphores(report: Report) -> None:
    """One tile signals a semaphore; every wait can be met; every signal has a waiter."""
    signals: Counter[int] = Counter()
    signaller: dict[int, int] = {}
    waits: list[tuple[int, int, str, int]] = []
    for tile, stream in enumerate(report.program.streams):
        for cursor in walk(stream):
            instruction = cursor.current
            if instruction is None or instruction.opcode not in ("signal", "wait"):
                continue
            place = f"tile {tile}, {cursor.place}: {format_instruction(instruction)}"
            semaphore = instruction.operands[0]
            assert isinstance(semaphore, int)
            if instruction.opcode == "wait":
                count = instruction.operands[1]
                assert isinstance(count, int)
                waits.append((semaphore, count, place, tile))
                continue
            signals[semaphore] += 1
            other = signaller.setdefault(semaphore, tile)
            report.require(other == tile, place, f"Tile {other} signals this semaphore too.")
    for semaphore, count, place, tile in waits:
        if count > signals[semaphore]:
            found = f"The semaphore is signalled {signals[semaphore]} times."
            report.add(place, "A wait that no signal ever meets.", found)
        report.require(count >= 1, place, "A wait for a count of 0.")
        report.require(signaller.get(semaphore) != tile, place, "A tile waits for its own signal.")
    for semaphore in sorted(set(signals) - {wait[0] for wait in waits}):
        report.add(f"tile {signaller[semaphore]}", f"Nobody waits for semaphore {semaphore}.")
