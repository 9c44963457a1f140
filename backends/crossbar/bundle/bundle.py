"""A bundle: the folder that holds a compiled program with all that is needed to run it.

    manifest.json         what it is, made how, and a checksum of every other file
    target.toml           the chip
    program.asm           the instructions as text
    program.bin           the same in binary
    tables.json           feature maps and tables; see `tables.py`
    tables.safetensors    their biases, corrections, multipliers and shifts
    weights.safetensors   the epitome matrices
    host/                 ONNX models that the host runs, one a host call
    ir/                   the IR after every stage, for people
    reference/            models and samples to verify against

Equal contents give equal bytes.  A program runs without `ir/` and `reference/`, which may be
deleted.
"""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

from pydantic import Field, TypeAdapter

from epimc.backends.crossbar.bundle.tables import (
    DOCUMENT,
    NUMBERS,
    WEIGHTS,
    read_tables,
    write_tables,
)
from epimc.backends.crossbar.core.program import Port, Program, Streams
from epimc.backends.crossbar.instructions.host import host_tables
from epimc.backends.crossbar.isa.assembly import format_program, parse_program
from epimc.backends.crossbar.isa.binary import decode, encode
from epimc.backends.crossbar.target.schema import Target, parse_target
from epimc.support.diagnostics import EpimcError, OtherVersionError, error, other_version
from epimc.support.documents import Record, lay_out, read_document
from epimc.support.files import (
    File,
    is_plain_name,
    lies_inside,
    made,
    replace_folder,
    sha256,
    sha256_of_file,
)

# Of the folder and its manifest: to be raised with the format of any file that a program needs, so
# that the manifest, which is read first, tells another version before any other file can.
FORMAT = 2
MANIFEST, TARGET, TEXT, BINARY = "manifest.json", "target.toml", "program.asm", "program.bin"
REQUIRED = (TARGET, TEXT, BINARY, DOCUMENT, NUMBERS, WEIGHTS)
HOST = "host/"
FREE_FOLDERS = (HOST, "ir/", "reference/")
DELETABLE_FOLDERS = ("ir/", "reference/")
MAXIMUM_MANIFEST_BYTES = 2**26
MAXIMUM_TILES = 65536

Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class Model(Record):
    """The ONNX model: its file's name and SHA-256."""

    name: str
    sha256: Digest


class Options(Record):
    """What the user asked for.

    Attributes:
        weight_bits: Bits of a weight.
        activation_bits: Bits of an activation.
        calibration: The SHA-256 of the samples, or words such as `seeded normal, seed 0`.
        passes: The pipeline, as text.
    """

    weight_bits: Annotated[int, Field(ge=1, le=16)]
    activation_bits: Annotated[int, Field(ge=1, le=16)]
    calibration: str
    passes: str


class Border(Record):
    """An input or output of the model: its name, and its shape without the samples."""

    name: str
    shape: tuple[Annotated[int, Field(ge=1, lt=2**31)], ...]


class Manifest(Record):
    """What `manifest.json` holds.

    Attributes:
        format: Version of the bundle's format.
        tool: Name and version of what wrote it, such as `epimc 0.1.0`.
        model: The ONNX model.
        target: The name of the target.
        options: What the user asked for.
        inputs: The model's inputs.
        outputs: The model's outputs.
        files: The SHA-256 of every other file by its path, sorted.
    """

    format: Annotated[int, Field(ge=FORMAT, le=FORMAT)]
    tool: str
    model: Model
    target: str
    options: Options
    inputs: tuple[Border, ...]
    outputs: tuple[Border, ...]
    files: dict[str, Digest]


@dataclass(frozen=True, eq=False)
class Bundle:
    """A bundle in memory.

    Attributes:
        manifest: What it is; `new_manifest` makes one, and writing fills in the checksums.
        target: The chip.
        program: Its chip is `target.sized(len(program.streams))`.
        extra_files: To write: contents of files below `host/`, `ir/` and `reference/` by path.
            Empty after reading; such files are then to be found in `folder`.
        folder: Where it was read.
        fragments: The ONNX models that the host runs, by name.
    """

    manifest: Manifest
    target: Target
    program: Program
    extra_files: Mapping[str, File] = field(default_factory=dict)
    folder: Path | None = None
    fragments: Mapping[str, bytes] = field(default_factory=dict)


def new_manifest(
    tool: str, model: Model, options: Options, target: Target, program: Program
) -> Manifest:
    """The manifest of a program that is to be written; `tool` is such as `epimc 0.1.0`."""
    return Manifest(
        format=FORMAT,
        tool=tool,
        model=model,
        target=target.name,
        options=options,
        inputs=borders(program.inputs),
        outputs=borders(program.outputs),
        files={},
    )


def borders(ports: Iterable[Port]) -> tuple[Border, ...]:
    """What the manifest says of the inputs or outputs of a program."""
    return tuple(Border(name=port.name, shape=port.shape) for port in ports)


# --- writing ------------------------------------------------------------------------------------


def check_output(folder: Path) -> None:
    """Raise EpimcError unless a bundle can be written here: a new, an empty, or a bundle's folder.

    To be called before the work whose result is to be written.
    """
    place = folder.resolve()
    parent = place.parent
    if not parent.is_dir():
        raise error(
            f"Output folder '{folder}' cannot be made: there is no folder '{parent}'.",
            hint="Make that folder first.",
        )
    if not os.access(parent, os.W_OK | os.X_OK):
        raise error(f"Output folder '{folder}' cannot be made: '{parent}' is not writable.")
    if not place.exists():
        return
    empty = place.is_dir() and not any(place.iterdir())
    if not empty and not is_bundle(place):
        raise error(
            f"Output folder '{folder}' exists and is not a bundle.",
            hint="Choose another folder, or remove that one.",
        )


def is_bundle(folder: Path) -> bool:
    """Whether epimc has written this folder, in this version of the format or another."""
    try:
        stated = stated_manifest(folder)
    except EpimcError:
        return False
    return isinstance(stated.get("format"), int) and str(stated.get("tool")).startswith("epimc ")


def write_bundle(folder: Path, contents: Bundle) -> None:
    """Write a bundle in one step, in the place of an older one.

    Raises:
        EpimcError: Something else is there, or the system refuses.
        ValueError: The contents contradict each other: a defect of the caller.
    """
    check_output(folder)
    replace_folder(folder, with_manifest(contents.manifest, files_of(contents)))


def with_manifest(manifest: Manifest, files: Mapping[str, File]) -> Iterator[tuple[str, bytes]]:
    """Names and contents of files, one made after the other, and of the manifest of them all."""
    digests: dict[str, str] = {}
    for name, file in files.items():
        data = made(file)
        digests[name] = sha256(data)
        yield name, data
        # Before the next one is made.
        del data
    listed = manifest.model_copy(update={"files": dict(sorted(digests.items()))})
    yield MANIFEST, lay_out(listed.model_dump()).encode()


def refuse_unreadable(files: Mapping[str, bytes]) -> None:
    """Raise EpimcError for tables that exceed a limit of the format: nobody could read them."""
    try:
        read_tables(files, "to be written")
    except EpimcError as problem:
        notes = problem.diagnostic.notes
        raise error("The program exceeds a limit of the bundle's format.", notes=notes) from None


def files_of(contents: Bundle) -> dict[str, File]:
    """All files but the manifest, by path."""
    program, target = contents.program, contents.target
    if found := contradictions(contents.manifest, target, program):
        raise ValueError(found)
    if program.chip != target.sized(len(program.streams)):
        raise ValueError("the chip of the program is not that of the target")
    if {table.fragment for table in host_tables(program)} != set(contents.fragments):
        raise ValueError("the fragments are not those that the program names")
    for name in contents.extra_files:
        if not is_plain_name(name) or not name.startswith(FREE_FOLDERS):
            raise ValueError(f"'{name}' is no name for an extra file")
    tables = write_tables(program)
    refuse_unreadable(tables)
    return {
        TARGET: target.to_toml().encode(),
        TEXT: format_program(program.streams).encode(),
        BINARY: encode(program.streams),
        **tables,
        **contents.extra_files,
        **{fragment_file(name): data for name, data in contents.fragments.items()},
    }


def fragment_file(name: str) -> str:
    """Where a bundle keeps a fragment."""
    return f"{HOST}{name}.onnx"


def contradictions(manifest: Manifest, target: Target, program: Program) -> str:
    """In what the manifest does not describe the target or the program; empty when it does."""
    if manifest.target != target.name:
        return f"the manifest names the target '{manifest.target}', its file '{target.name}'"
    for side in ("inputs", "outputs"):
        if getattr(manifest, side) != borders(getattr(program, side)):
            return f"the manifest and the program have different {side}"
    return ""


# --- reading ------------------------------------------------------------------------------------


def read_bundle(folder: Path) -> Bundle:
    """Read a bundle; every file that its manifest lists must be as the manifest says.

    Only files below `ir/` and `reference/` may be missing.  Files that are not listed are ignored.

    Raises:
        OtherVersionError: The bundle or one of its files is of another version of its format.
        EpimcError: The folder is no bundle, or a file is missing, changed or wrong.
    """
    try:
        return read_parts(folder)
    except OtherVersionError as problem:
        raise to_compile_again(problem, folder) from None


def to_compile_again(problem: OtherVersionError, folder: Path) -> OtherVersionError:
    """The error for a file of another version in a bundle, with how to make the bundle again."""
    command = f"epimc compile MODEL -o {shlex.quote(str(folder))}"
    hint = f"Compile the model again with this version of epimc: {command}"
    return OtherVersionError(replace(problem.diagnostic, hint=hint))


def read_parts(folder: Path) -> Bundle:
    """Read a bundle file by file, the manifest first."""
    manifest = read_manifest(folder)
    files = read_files(folder, manifest)
    target = parse_target(text_of(files[TARGET], folder, TARGET), str(folder / TARGET))
    streams = read_streams(files, folder)
    contents = read_tables(files, str(folder))
    chip = target.sized(len(streams))
    limit = target.chip.tiles
    if limit != "auto" and len(streams) > limit:
        found = f"{len(streams)} instruction streams for {limit} tiles"
        raise error(f"Bundle '{folder}' contradicts itself: it has {found}.")
    program = Program(
        chip, contents.maps, contents.tables, contents.inputs, contents.outputs, streams
    )
    if found := contradictions(manifest, target, program):
        raise error(f"Bundle '{folder}' contradicts itself: {found}.")
    fragments = read_fragments(folder, manifest, program)
    return Bundle(manifest, target, program, folder=folder, fragments=fragments)


def read_fragments(folder: Path, manifest: Manifest, program: Program) -> dict[str, bytes]:
    """The fragments that the program names."""
    names = {t.fragment: fragment_file(t.fragment) for t in host_tables(program)}
    for name in names.values():
        if name not in manifest.files:
            raise error(f"File '{MANIFEST}' of bundle '{folder}' does not list '{name}'.")
    return {
        fragment: checked_file(folder, name, manifest.files[name])
        for fragment, name in names.items()
    }


def stated_manifest(folder: Path) -> dict[str, object]:
    """The JSON object in the manifest of a folder, whatever it says."""
    if not folder.is_dir():
        state = "is not a folder" if folder.exists() else "does not exist"
        raise error(f"Bundle '{folder}' {state}.")
    path = folder / MANIFEST
    if not path.is_file():
        raise error(f"'{folder}' is not a bundle: it has no {MANIFEST}.")
    try:
        with path.open("rb") as file:
            data = file.read(MAXIMUM_MANIFEST_BYTES + 1)
    except OSError as caught:
        raise cannot_read(folder, MANIFEST, caught) from None
    subject = f"File '{MANIFEST}' of bundle '{folder}'"
    if len(data) > MAXIMUM_MANIFEST_BYTES:
        raise error(f"{subject} is larger than {MAXIMUM_MANIFEST_BYTES} bytes.")
    try:
        stated = json.loads(data)
    except (ValueError, RecursionError) as caught:
        raise error(f"{subject} is not JSON.", notes=[str(caught)]) from None
    if not isinstance(stated, dict):
        raise error(f"{subject} is not a JSON object.")
    return stated


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a bundle, of this version of the format.

    Raises:
        OtherVersionError: The bundle is of another version of the format.
        EpimcError: There is none, or it is wrong.
    """
    stated = stated_manifest(folder)
    subject = f"File '{MANIFEST}' of bundle '{folder}'"
    version = stated.get("format")
    if version != FORMAT or isinstance(version, (bool, float)):
        raise other_version(f"Bundle '{folder}'", version, FORMAT)
    return read_document(json.dumps(stated).encode(), TypeAdapter(Manifest), subject)


def read_files(folder: Path, manifest: Manifest) -> dict[str, bytes]:
    """The files that a program needs, by name; all files that are listed are checked.

    Only what was checked is used: a needed file is read once.
    """
    for name in manifest.files:
        if not lies_inside(folder, name):
            raise error(f"File '{name}' of the manifest of bundle '{folder}' lies outside of it.")
    for name in REQUIRED:
        if name not in manifest.files:
            raise error(f"File '{MANIFEST}' of bundle '{folder}' does not list '{name}'.")
    for name, digest in manifest.files.items():
        if name not in REQUIRED:
            check_file(folder, name, digest)
    return {name: checked_file(folder, name, manifest.files[name]) for name in REQUIRED}


def check_file(folder: Path, name: str, digest: str) -> None:
    """Raise EpimcError if a file has not this checksum; some may be missing."""
    path = folder / name
    if name.startswith(DELETABLE_FOLDERS) and not path.exists():
        return
    if not path.is_file():
        raise missing_file(folder, name)
    try:
        found = sha256_of_file(path)
    except OSError as caught:
        raise cannot_read(folder, name, caught) from None
    if found != digest:
        raise changed_file(folder, name)


def checked_file(folder: Path, name: str, digest: str) -> bytes:
    """The contents of a file that must have this checksum."""
    path = folder / name
    if not path.is_file():
        raise missing_file(folder, name)
    try:
        data = path.read_bytes()
    except OSError as caught:
        raise cannot_read(folder, name, caught) from None
    if sha256(data) != digest:
        raise changed_file(folder, name)
    return data


def missing_file(folder: Path, name: str) -> EpimcError:
    """The error for a file that the manifest lists and that is not there."""
    return error(f"Bundle '{folder}' lacks the file '{name}'.")


def changed_file(folder: Path, name: str) -> EpimcError:
    """The error for a file that is not as it was written."""
    return error(
        f"File '{name}' of bundle '{folder}' does not match its checksum.",
        hint="Compile the model again.",
    )


def read_streams(files: Mapping[str, bytes], folder: Path) -> Streams:
    """The instruction streams, of which text and binary must agree."""
    streams = decode(files[BINARY], str(folder / BINARY))
    if len(streams) > MAXIMUM_TILES:
        raise error(f"Bundle '{folder}' has more than {MAXIMUM_TILES} instruction streams.")
    text = text_of(files[TEXT], folder, TEXT)
    # Most texts are canonical, and printing is faster than parsing.
    if text != format_program(streams) and parse_program(text, str(folder / TEXT)) != streams:
        raise error(f"Files '{TEXT}' and '{BINARY}' of bundle '{folder}' disagree.")
    return streams


def text_of(data: bytes, folder: Path, name: str) -> str:
    """The text of a file, which must be in UTF-8."""
    try:
        return data.decode()
    except UnicodeDecodeError as caught:
        raise error(
            f"File '{name}' of bundle '{folder}' is not UTF-8 text.",
            notes=[f"The byte at offset {caught.start} cannot be decoded."],
        ) from None


def cannot_read(folder: Path, name: str, caught: OSError) -> EpimcError:
    """The error for a file that the system does not let us read."""
    reason = caught.strerror or str(caught)
    return error(f"File '{name}' of bundle '{folder}' cannot be read: {reason}.")


def rechecksum(folder: Path) -> None:
    """Make the manifest of a bundle agree with files that were changed by hand.

    A tool for tests and experiments.  Files that the manifest lists and that are missing keep
    their checksums; no file is added.
    """
    manifest = read_manifest(folder)
    digests = {
        name: sha256_of_file(folder / name) if (folder / name).is_file() else digest
        for name, digest in manifest.files.items()
    }
    changed = manifest.model_copy(update={"files": digests})
    (folder / MANIFEST).write_text(lay_out(changed.model_dump()), encoding="utf-8")
