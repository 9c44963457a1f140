"""Every program that differs from a given one in a single number."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from typing import Any

import numpy as np

from epimc.backends.crossbar.core.program import Instruction, Program
from epimc.backends.crossbar.instructions.registry import BY_NAME, format_instruction

DELTAS = (-8, -1, 1, 8)


def nested(value: Any) -> Iterator[tuple[str, Any]]:
    """A value with one number or truth value inside it changed, and where that is."""
    if isinstance(value, bool):
        yield f" = {not value}", not value
    elif isinstance(value, (int, np.integer)):
        for delta in DELTAS:
            yield f" {delta:+}", int(value) + delta
    elif isinstance(value, tuple):
        for i, item in enumerate(value):
            for place, changed in nested(item):
                yield f"[{i}]{place}", (*value[:i], changed, *value[i + 1 :])
    elif isinstance(value, np.ndarray):
        for index in np.ndindex(value.shape):
            for delta in (-1, 1):
                changed = value.copy()
                changed[index] += delta
                yield f"{list(index)} {delta:+}", changed
    elif is_dataclass(value) and not isinstance(value, type):
        for field in fields(value):
            for place, changed in nested(getattr(value, field.name)):
                yield f".{field.name}{place}", replace(value, **{field.name: changed})


def with_instruction(program: Program, tile: int, number: int, *new: Instruction) -> Program:
    """The program with one instruction replaced."""
    stream = program.streams[tile]
    changed = (*stream[:number], *new, *stream[number + 1 :])
    streams = (*program.streams[:tile], changed, *program.streams[tile + 1 :])
    return replace(program, streams=streams)


def operand_mutations(program: Program) -> Iterator[tuple[str, Program]]:
    """Every operand of every instruction changed by 1 or 8, or to a neighbour's value."""
    for tile, stream in enumerate(program.streams):
        for number, instruction in enumerate(stream):
            spec = BY_NAME[instruction.opcode]
            for i, operand in enumerate(spec.operands):
                old = instruction.operands[i]
                # What other instructions have there: other rows, other slots, other tables.
                others = {
                    other.operands[i]
                    for other in stream
                    if other.opcode == instruction.opcode and other.operands[i] != old
                }
                for new in [*(value for _, value in nested(old)), *sorted(others, key=repr)]:
                    changed = (*instruction.operands[:i], new, *instruction.operands[i + 1 :])
                    text = (
                        f"{tile}.{number} {format_instruction(instruction)}: {operand.name}={new}"
                    )
                    mutated = Instruction(instruction.opcode, changed)
                    yield text, with_instruction(program, tile, number, mutated)


def stream_mutations(program: Program) -> Iterator[tuple[str, Program]]:
    """Every instruction left out, and every one doubled."""
    for tile, stream in enumerate(program.streams):
        for number, instruction in enumerate(stream):
            text = f"{tile}.{number} {format_instruction(instruction)}"
            yield f"{text}: left out", with_instruction(program, tile, number)
            yield f"{text}: doubled", with_instruction(program, tile, number, *[instruction] * 2)


def data_mutations(program: Program) -> Iterator[tuple[str, Program]]:
    """Every number of every map, table and port changed."""
    for name in ("maps", "tables", "inputs", "outputs"):
        for place, changed in nested(getattr(program, name)):
            yield f"{name}{place}", replace(program, **{name: changed})
