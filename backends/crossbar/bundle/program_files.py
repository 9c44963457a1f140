"""The files in which a bundle keeps a program for crossbars.

    target.toml           the chip
    program.asm           the instructions as text
    program.bin           the same in binary
    tables.json           feature maps and tables; see `tables.py`
    tables.safetensors    their biases, corrections, multipliers and shifts
    weights.safetensors   the epitome matrices

Equal programs give equal bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from epimc.backends.crossbar.bundle.tables import (
    DOCUMENT,
    NUMBERS,
    WEIGHTS,
    Stated,
    read_tables,
    stated_tables,
    tables_in,
)
from epimc.backends.crossbar.core.program import Program, Streams
from epimc.backends.crossbar.isa.assembly import format_program, parse_program
from epimc.backends.crossbar.isa.binary import decode, encode
from epimc.backends.crossbar.target.schema import Target, parse_target
from epimc.support.diagnostics import EpimcError, error
from epimc.support.files import File

TARGET, TEXT, BINARY = "target.toml", "program.asm", "program.bin"
REQUIRED = (TARGET, TEXT, BINARY, DOCUMENT, NUMBERS, WEIGHTS)
MAXIMUM_TILES = 65536


def program_files(program: Program, target: Target) -> dict[str, File]:
    """The files of a program.

    Raises:
        EpimcError: It exceeds a limit of their format.
        ValueError: Its chip is not that of the target: a defect of the caller.
    """
    if program.chip != target.sized(len(program.streams)):
        raise ValueError("the chip of the program is not that of the target")
    tables = stated_tables(program)
    refuse_unreadable(tables)
    return {
        TARGET: target.to_toml().encode(),
        TEXT: format_program(program.streams).encode(),
        BINARY: encode(program.streams),
        **tables.files,
    }


def refuse_unreadable(tables: Stated) -> None:
    """Raise EpimcError for tables that exceed a limit of the format: nobody could read them."""
    try:
        tables_in(tables, "to be written")
    except EpimcError as problem:
        notes = problem.diagnostic.notes
        raise error("The program exceeds a limit of the bundle's format.", notes=notes) from None


def read_program(files: Mapping[str, bytes], folder: str) -> tuple[Program, Target]:
    """The program in these files, and its target.

    Args:
        files: Contents by name, those of REQUIRED among them.
        folder: Names the bundle in errors.

    Raises:
        OtherVersionError: A file is of another version of its format.
        EpimcError: A file is wrong, or they contradict each other.
    """
    target = parse_target(text_of(files[TARGET], folder, TARGET), str(Path(folder, TARGET)))
    streams = read_streams(files, folder)
    contents = read_tables(files, folder)
    limit = target.chip.tiles
    if limit != "auto" and len(streams) > limit:
        excess = f"{len(streams)} instruction streams for {limit} tiles"
        raise error(f"Bundle '{folder}' contradicts itself: it has {excess}.")
    chip = target.sized(len(streams))
    program = Program(
        chip, contents.maps, contents.tables, contents.inputs, contents.outputs, streams
    )
    return program, target


def read_streams(files: Mapping[str, bytes], folder: str) -> Streams:
    """The instruction streams, of which text and binary must agree."""
    streams = decode(files[BINARY], str(Path(folder, BINARY)))
    if len(streams) > MAXIMUM_TILES:
        raise error(f"Bundle '{folder}' has more than {MAXIMUM_TILES} instruction streams.")
    text = text_of(files[TEXT], folder, TEXT)
    # Most texts are canonical, and printing is faster than parsing.
    if text != format_program(streams) and parse_program(text, str(Path(folder, TEXT))) != streams:
        raise error(f"Files '{TEXT}' and '{BINARY}' of bundle '{folder}' disagree.")
    return streams


def text_of(data: bytes, folder: str, name: str) -> str:
    """The text of a file, which must be in UTF-8."""
    try:
        return data.decode()
    except UnicodeDecodeError as caught:
        raise error(
            f"File '{name}' of bundle '{folder}' is not UTF-8 text.",
            notes=[f"The byte at offset {caught.start} cannot be decoded."],
        ) from None
