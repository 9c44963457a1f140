"""A bundle: the folder that holds a compiled program with all that is needed to run it.

    manifest.json         what it is, made how, and a checksum of every other file
    …                     the program, in files of its backend
    host/                 ONNX models that the host runs, one a host call
    ir/                   the IR after every stage, for people
    reference/            models and samples to verify against

Equal contents give equal bytes.  A program runs without `ir/` and `reference/`, which may be
deleted.
"""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path, PurePosixPath

from epimc.backends.base import Backend, CompiledProgram, Target
from epimc.backends.registry import load_backend
from epimc.bundle.folder import (
    DELETABLE_FOLDERS,
    MOST_FILES,
    budget_of,
    check_digest,
    check_names,
    checked_contents,
    missing_file,
    subject_in,
)
from epimc.bundle.manifest import (
    MANIFEST,
    Manifest,
    contradictions,
    read_manifest,
    sealed,
)
from epimc.bundle.outputs import check_output
from epimc.support.bit_choice import BitChoice
from epimc.support.diagnostics import EpimcError, OtherVersionError, error
from epimc.support.equalized_pairs import EqualizedPairs
from epimc.support.files import File, Piece, is_plain_name, pieces_of, sha256
from epimc.support.limits import DEFAULT_BYTES, Budget
from epimc.support.placement import PlacedNode
from epimc.support.workshops import recover
from epimc.support.writing import replace_folder

HOST = "host/"
FREE_FOLDERS = (HOST, "ir/", "reference/")

# Most file systems allow 255 bytes; a digest and an ending stand behind these.
LONGEST_NAME = 150


@dataclass(frozen=True, eq=False)
class Bundle:
    """A bundle in memory.

    Attributes:
        manifest: What it is; `new_manifest` makes one, and writing fills in the checksums.
        program: It knows its target.
        extra_files: To write: contents of files below `host/`, `ir/` and `reference/` by path.
            Empty after reading; such files are then to be found in `folder`.
        folder: Where it was read.
        fragments: The ONNX models that the host runs, by name.
        limit_bytes: The most that its files may take together.
        remarks: What the user should know of the model, where it was compiled just now.
        placed: Where the nodes of the model run, likewise.
        choice: Of the bits of weights, likewise, where they were chosen layer by layer.
        equalized: How many pairs of layers were equalized, likewise, where that was measured.
    """

    manifest: Manifest
    program: CompiledProgram
    extra_files: Mapping[str, File] = field(default_factory=dict)
    folder: Path | None = None
    fragments: Mapping[str, bytes] = field(default_factory=dict)
    limit_bytes: int = DEFAULT_BYTES
    remarks: Sequence[str] = ()
    placed: Sequence[PlacedNode] = ()
    choice: BitChoice | None = None
    equalized: EqualizedPairs | None = None

    @property
    def target(self) -> Target:
        """The chip that its program is for; the program alone knows it."""
        return self.program.target

    def deletable_file(self, name: str, remedy: str) -> bytes:
        """The contents of a file below `ir/` or `reference/`, whose checksum is right now.

        Args:
            name: Its path in the bundle.
            remedy: What cannot be done without it, as in `it cannot be verified`.

        Raises:
            EpimcError: The manifest does not list it, or it was deleted or changed.
        """
        assert self.folder is not None
        digest = self.manifest.files.get(name)
        if digest is not None:
            try:
                budget = budget_of(self.folder, self.limit_bytes)
                return checked_contents(self.folder, name, digest, budget)
            except FileNotFoundError:
                pass
        raise error(
            f"Bundle '{self.folder}' has no '{name}': {remedy}.", hint="Compile the model again."
        )


# --- writing ------------------------------------------------------------------------------------


def write_bundle(folder: Path, contents: Bundle) -> None:
    """Write a bundle in one step, in the place of an older one.

    Raises:
        EpimcError: Something else is there, the system refuses, or the program contradicts what it
            is to be kept with: a defect of its backend, which may be another package's.
    """
    check_output(folder)
    replace_folder(folder, with_manifest(contents.manifest, files_of(contents)))


def with_manifest(manifest: Manifest, files: Mapping[str, File]) -> Iterator[tuple[str, File]]:
    """Names and contents of files, one made after the other, and of the manifest of them all."""
    digests: dict[str, str] = {}
    for name, file in files.items():
        hashed = hashlib.sha256()
        yield name, partial(read_along, file, hashed)
        # All of it has been written.
        digests[name] = hashed.hexdigest()
    listed = manifest.model_copy(update={"files": dict(sorted(digests.items()))})
    yield MANIFEST, sealed(listed.model_dump())


def read_along(file: File, hashed: hashlib._Hash) -> Iterator[Piece]:
    """The contents of a file, which are added to a digest as they are taken."""
    for piece in pieces_of(file):
        hashed.update(piece)
        yield piece


def files_of(contents: Bundle) -> dict[str, File]:
    """All files but the manifest, by path."""
    program = contents.program
    if contradiction := contradictions(contents.manifest, program):
        raise defect(program, contradiction)
    if {call.fragment for call in program.host_calls} != set(contents.fragments):
        raise defect(program, "the fragments are not those that the program names")
    for name in contents.extra_files:
        if not is_plain_name(name) or not name.startswith(FREE_FOLDERS):
            raise ValueError(f"'{name}' is no name for an extra file")
    own = program.files()
    check_own_names(program, own)
    if missing := set(load_backend(contents.manifest.backend).files) - own.keys():
        raise defect(program, f"the program has no file '{min(missing)}'")
    files = {
        **own,
        **contents.extra_files,
        **{fragment_file(name): data for name, data in contents.fragments.items()},
    }
    if len(files) > MOST_FILES:
        raise error(f"The bundle would have {len(files)} files, more than {MOST_FILES}.")
    return files


def defect(program: CompiledProgram, what: str) -> EpimcError:
    """The error for a program that no bundle can hold."""
    return error(
        f"Backend '{program.backend}' made a program that cannot be kept: {what}.",
        hint="Report it to the authors of the backend.",
    )


def check_own_names(program: CompiledProgram, own: Collection[str]) -> None:
    """Raise EpimcError unless the files of a program can lie beside those of every bundle."""
    folders = {str(folder) for name in own for folder in PurePosixPath(name).parents}
    for name in own:
        reserved = f"{name}/".startswith(FREE_FOLDERS) or name == MANIFEST
        # Half of a surrogate pair: the manifest could not name it.
        written = name.encode(errors="replace").decode() == name
        if not is_plain_name(name) or reserved or not written or name in folders:
            raise defect(program, f"'{name}' is no name for a file of a program")


def fragment_file(name: str) -> str:
    """Where a bundle keeps a fragment; of a name too long for a file, the digest stands for it."""
    data = name.encode()
    if len(data) > LONGEST_NAME:
        name = f"{data[:LONGEST_NAME].decode(errors='ignore')}-{sha256(data)}"
    return f"{HOST}{name}.onnx"


# --- reading ------------------------------------------------------------------------------------


def read_bundle(folder: Path, limit_bytes: int = DEFAULT_BYTES) -> Bundle:
    """Read a bundle; every file that its manifest lists must be as the manifest says.

    Only files below `ir/` and `reference/` may be missing.  Files that are not listed are ignored.

    Args:
        folder: The bundle; it may be named by a link, and has none in it.
        limit_bytes: The most that the files that are listed may take together.

    Raises:
        OtherVersionError: The bundle or one of its files is of another version of its format.
        EpimcError: The folder is no bundle, or a file is missing, changed or wrong.
    """
    recover(folder)
    try:
        return read_parts(folder, limit_bytes)
    except OtherVersionError as problem:
        raise to_compile_again(problem, folder) from None


def to_compile_again(problem: OtherVersionError, folder: Path) -> OtherVersionError:
    """The error for a file of another version in a bundle, with how to make the bundle again."""
    command = f"epimc compile MODEL -o {shlex.quote(str(folder))}"
    hint = f"Compile the model again with this version of epimc: {command}"
    return OtherVersionError(replace(problem.diagnostic, hint=hint))


def read_parts(folder: Path, limit_bytes: int) -> Bundle:
    """Read a bundle file by file, the manifest first."""
    manifest = read_manifest(folder)
    backend = backend_of(manifest, folder)
    for name in backend.files:
        require_listed(folder, manifest, name)
    files = read_files(folder, manifest, budget_of(folder, limit_bytes))
    own = {name: data for name, data in files.items() if not name.startswith(HOST)}
    program = backend.read(own, str(folder))
    if contradiction := contradictions(manifest, program):
        raise error(f"Bundle '{folder}' contradicts itself: {contradiction}.")
    names = {call.fragment: fragment_file(call.fragment) for call in program.host_calls}
    for name in names.values():
        require_listed(folder, manifest, name)
    fragments = {fragment: files[name] for fragment, name in names.items()}
    return Bundle(manifest, program, folder=folder, fragments=fragments, limit_bytes=limit_bytes)


def backend_of(manifest: Manifest, folder: Path) -> Backend:
    """The backend that made a bundle.

    Raises:
        EpimcError: It is not installed, or cannot be loaded.
    """
    try:
        return load_backend(manifest.backend)
    except EpimcError as problem:
        raise problem.with_notes(f"Bundle '{folder}' holds a program of this backend.") from None


def require_listed(folder: Path, manifest: Manifest, name: str) -> None:
    """Raise EpimcError unless the manifest lists a file."""
    if name not in manifest.files:
        raise error(f"{subject_in(folder, MANIFEST)} does not list '{name}'.")


def read_files(folder: Path, manifest: Manifest, budget: Budget) -> dict[str, bytes]:
    """The files that a program runs with, by name; all files that are listed are checked.

    Only what was checked is used: each of these is read once, and the others, which may be large,
    again by whoever needs them, with the same check.
    """
    check_names(folder, manifest.files)
    files: dict[str, bytes] = {}
    for name, digest in manifest.files.items():
        try:
            if name.startswith(DELETABLE_FOLDERS):
                check_digest(folder, name, digest, budget)
            else:
                files[name] = checked_contents(folder, name, digest, budget)
        except FileNotFoundError:
            if not name.startswith(DELETABLE_FOLDERS):
                raise missing_file(folder, name) from None
    return files
