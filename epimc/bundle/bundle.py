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

import shlex
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from epimc.backends.base import Backend, CompiledProgram, Target
from epimc.backends.registry import load_backend
from epimc.bundle.manifest import (
    MANIFEST,
    Manifest,
    contradictions,
    read_manifest,
    subject_in,
)
from epimc.bundle.outputs import check_output
from epimc.support.diagnostics import EpimcError, OtherVersionError, error
from epimc.support.documents import lay_out
from epimc.support.files import (
    File,
    is_plain_name,
    lies_inside,
    made,
    read_bytes,
    refused,
    sha256,
    sha256_of_file,
)
from epimc.support.workshops import recover
from epimc.support.writing import replace_folder

HOST = "host/"
FREE_FOLDERS = (HOST, "ir/", "reference/")
DELETABLE_FOLDERS = ("ir/", "reference/")

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
    """

    manifest: Manifest
    program: CompiledProgram
    extra_files: Mapping[str, File] = field(default_factory=dict)
    folder: Path | None = None
    fragments: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def target(self) -> Target:
        """The chip that its program is for; the program alone knows it."""
        return self.program.target


# --- writing ------------------------------------------------------------------------------------


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


def files_of(contents: Bundle) -> dict[str, File]:
    """All files but the manifest, by path."""
    program = contents.program
    if contradiction := contradictions(contents.manifest, program):
        raise ValueError(contradiction)
    if {call.fragment for call in program.host_calls} != set(contents.fragments):
        raise ValueError("the fragments are not those that the program names")
    for name in contents.extra_files:
        if not is_plain_name(name) or not name.startswith(FREE_FOLDERS):
            raise ValueError(f"'{name}' is no name for an extra file")
    own = program.files()
    check_own_names(own)
    if missing := set(load_backend(contents.manifest.backend).files) - own.keys():
        raise ValueError(f"the program has no file '{min(missing)}'")
    return {
        **own,
        **contents.extra_files,
        **{fragment_file(name): data for name, data in contents.fragments.items()},
    }


def check_own_names(own: Collection[str]) -> None:
    """Raise ValueError unless the files of a program can lie beside those of every bundle."""
    folders = {str(folder) for name in own for folder in PurePosixPath(name).parents}
    for name in own:
        reserved = f"{name}/".startswith(FREE_FOLDERS) or name == MANIFEST
        # Half of a surrogate pair: the manifest could not name it.
        written = name.encode(errors="replace").decode() == name
        if not is_plain_name(name) or reserved or not written or name in folders:
            raise ValueError(f"'{name}' is no name for a file of a program")


def fragment_file(name: str) -> str:
    """Where a bundle keeps a fragment; of a name too long for a file, the digest stands for it."""
    data = name.encode()
    if len(data) > LONGEST_NAME:
        name = f"{data[:LONGEST_NAME].decode(errors='ignore')}-{sha256(data)}"
    return f"{HOST}{name}.onnx"


# --- reading ------------------------------------------------------------------------------------


def read_bundle(folder: Path) -> Bundle:
    """Read a bundle; every file that its manifest lists must be as the manifest says.

    Only files below `ir/` and `reference/` may be missing.  Files that are not listed are ignored.

    Raises:
        OtherVersionError: The bundle or one of its files is of another version of its format.
        EpimcError: The folder is no bundle, or a file is missing, changed or wrong.
    """
    recover(folder)
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
    backend = backend_of(manifest, folder)
    program = backend.read(read_files(folder, manifest, backend.files), str(folder))
    if contradiction := contradictions(manifest, program):
        raise error(f"Bundle '{folder}' contradicts itself: {contradiction}.")
    fragments = read_fragments(folder, manifest, program)
    return Bundle(manifest, program, folder=folder, fragments=fragments)


def backend_of(manifest: Manifest, folder: Path) -> Backend:
    """The backend that made a bundle.

    Raises:
        EpimcError: It is not installed, or cannot be loaded.
    """
    try:
        return load_backend(manifest.backend)
    except EpimcError as problem:
        raise problem.with_notes(f"Bundle '{folder}' holds a program of this backend.") from None


def read_fragments(folder: Path, manifest: Manifest, program: CompiledProgram) -> dict[str, bytes]:
    """The fragments that the program names."""
    names = {call.fragment: fragment_file(call.fragment) for call in program.host_calls}
    for name in names.values():
        require_listed(folder, manifest, name)
    return {
        fragment: checked_file(folder, name, manifest.files[name])
        for fragment, name in names.items()
    }


def require_listed(folder: Path, manifest: Manifest, name: str) -> None:
    """Raise EpimcError unless the manifest lists a file."""
    if name not in manifest.files:
        raise error(f"{subject_in(folder, MANIFEST)} does not list '{name}'.")


def read_files(folder: Path, manifest: Manifest, required: Sequence[str]) -> dict[str, bytes]:
    """The files of the program by name; all files that are listed are checked.

    Only what was checked is used: a file of the program is read once.
    """
    for name in manifest.files:
        if not lies_inside(folder, name):
            raise error(f"File '{name}' of the manifest of bundle '{folder}' lies outside of it.")
    for name in required:
        require_listed(folder, manifest, name)
    own = [name for name in manifest.files if not name.startswith(FREE_FOLDERS)]
    for name, digest in manifest.files.items():
        if name.startswith(FREE_FOLDERS):
            check_file(folder, name, digest)
    return {name: checked_file(folder, name, manifest.files[name]) for name in own}


def check_file(folder: Path, name: str, digest: str) -> None:
    """Raise EpimcError if a file has not this checksum; some may be missing."""
    path = folder / name
    if name.startswith(DELETABLE_FOLDERS) and not path.exists():
        return
    if not path.is_file():
        raise missing_file(folder, name)
    try:
        actual = sha256_of_file(path)
    except OSError as caught:
        raise refused(subject_in(folder, name), "read", caught) from None
    if actual != digest:
        raise changed_file(folder, name)


def checked_file(folder: Path, name: str, digest: str) -> bytes:
    """The contents of a file that must have this checksum."""
    path = folder / name
    if not path.is_file():
        raise missing_file(folder, name)
    # However large it is: epimc wrote it, or the checksum tells.
    data = read_bytes(path, limit=path.stat().st_size, subject=subject_in(folder, name))
    if sha256(data) != digest:
        raise changed_file(folder, name)
    return data


def missing_file(folder: Path, name: str) -> EpimcError:
    """The error for a file that the manifest lists and that is not there."""
    return error(f"Bundle '{folder}' lacks the file '{name}'.")


def changed_file(folder: Path, name: str) -> EpimcError:
    """The error for a file that is not as it was written."""
    return error(
        f"{subject_in(folder, name)} does not match its checksum.",
        hint="Compile the model again.",
    )


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
