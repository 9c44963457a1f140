"""Bundles that differ from a right one in a single number."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from epimc.backends.crossbar.bundle.tables import write_tables
from epimc.backends.crossbar.core.program import Program
from epimc.backends.crossbar.instructions.mvm import Mvm
from epimc.backends.crossbar.isa.assembly import format_program
from epimc.backends.crossbar.isa.binary import encode
from epimc.support.diagnostics import EpimcError
from tests.helpers.bundles import rechecksum

Place = tuple[str | int, ...]
"""Names of fields and indices, from the program to a number or an array of numbers."""

# Text is no part of what is computed.
UNCHANGED = {"nodes", "name", "weights_name", "mapping", "element", "kind", "opcode"}


def places(value: Any, place: Place = ()) -> Iterator[Place]:
    """All numbers and arrays of numbers inside a value."""
    if isinstance(value, (bool, int, float, np.ndarray)):
        yield place
    elif isinstance(value, tuple):
        for index, item in enumerate(value):
            yield from places(item, (*place, index))
    elif is_dataclass(value):
        for field in fields(value):
            if field.name not in UNCHANGED:
                yield from places(getattr(value, field.name), (*place, field.name))


def kind_of(program: Program, place: Place) -> str:
    """What a number is: such as `tables Mvm window strides` or `streams load operands 1`."""
    names = [part for part in place if isinstance(part, str)]
    owner: Any = getattr(program, str(place[0]))[place[1]]
    if place[0] == "tables":
        names.insert(1, type(owner).__name__)
    if place[0] == "streams":
        assert isinstance(place[2], int)
        names[1:] = [owner[place[2]].opcode, *map(str, place[3:])]
        # Rows of one operand, sources of one list: of a kind.
        names = names[:4]
    return " ".join(names)


def kinds(program: Program) -> dict[str, list[Place]]:
    """All places by what they are."""
    by_kind: dict[str, list[Place]] = {}
    for part in ("maps", "tables", "inputs", "outputs", "streams"):
        for place in places(getattr(program, part), (part,)):
            by_kind.setdefault(kind_of(program, place), []).append(place)
    return dict(sorted(by_kind.items()))


def at(value: Any, place: Place) -> Any:
    """What lies at a place."""
    for part in place:
        value = value[part] if isinstance(part, int) else getattr(value, part)
    return value


def put(value: Any, place: Place, new: Any) -> Any:
    """The value with something else at a place."""
    if not place:
        return new
    part, *rest = place
    if isinstance(part, int):
        return (*value[:part], put(value[part], tuple(rest), new), *value[part + 1 :])
    return replace(value, **{part: put(getattr(value, part), tuple(rest), new)})


def changed(value: Any, random: np.random.Generator) -> Any:
    """Another number, or the array with one of its numbers changed."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, float):
        # Accumulators have the scale 0, of which every multiple is the same.
        return float(np.float32((value or 1.0) * random.choice([0.5, 1.001, 2])))
    if isinstance(value, int):
        return value + int(random.choice([-64, -8, -1, 1, 8, 64]))
    array = value.copy()
    index = tuple(int(random.integers(0, size)) for size in array.shape)
    array[index] += random.choice([-8, -1, 1, 8])
    return array


def with_weights(program: Program, name: str, weights: Any) -> Program:
    """The program with another matrix in all tables that share it."""
    tables = tuple(
        replace(table, weights=weights)
        if isinstance(table, Mvm) and table.weights_name == name
        else table
        for table in program.tables
    )
    return replace(program, tables=tables)


def mutated(program: Program, place: Place, random: np.random.Generator) -> Program:
    """The program with the number at a place changed."""
    old = at(program, place)
    if place[-1] == "weights":
        table = program.tables[int(place[1])]
        assert isinstance(table, Mvm)
        return with_weights(program, table.weights_name, flipped_top_bit(table, random))
    result: Program = put(program, place, changed(old, random))
    return result


def flipped_top_bit(table: Mvm, random: np.random.Generator) -> Any:
    """The matrix with the sign bit of one weight flipped."""
    weights = table.weights.copy()
    row, column = (int(random.integers(0, size)) for size in weights.shape)
    top = 1 << (table.weight_bits - 1)
    weights[row, column] += top if weights[row, column] < 0 else -top
    return weights


def write_mutated(source: Path, folder: Path, program: Program) -> bool:
    """A copy of a bundle with another program, and checksums that fit.

    Returns:
        False when the program cannot even be written: a number does not fit its field.
    """
    try:
        files = {
            **write_tables(program),
            "program.asm": format_program(program.streams).encode(),
            "program.bin": encode(program.streams),
        }
    except (EpimcError, ValueError, OverflowError):
        return False
    shutil.copytree(source, folder)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    rechecksum(folder)
    return True
