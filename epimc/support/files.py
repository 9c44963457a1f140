"""Files and folders of a bundle: checksums, safe names, and replacing a whole folder at once."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath

from epimc.support.diagnostics import EpimcError, error

File = bytes | Callable[[], bytes]
"""The contents of a file, or what makes them when they are written: large ones are not kept."""


def made(file: File) -> bytes:
    """The contents of a file."""
    return file if isinstance(file, bytes) else file()


def sha256(data: bytes) -> str:
    """The SHA-256 of some bytes, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def sha256_of_file(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal, read piece by piece."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_plain_name(name: str) -> bool:
    """Whether a path is relative, with `/` between its parts, and leads only downwards."""
    parts = PurePosixPath(name).parts
    plain = all(part not in ("..", "/") and "\\" not in part and "\0" not in part for part in parts)
    return bool(parts) and plain and "/".join(parts) == name


def lies_inside(folder: Path, name: str) -> bool:
    """Whether a file of a folder is in it, also after links have been followed."""
    if not is_plain_name(name):
        return False
    try:
        return (folder / name).resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError):  # Links that lead in a circle.
        return False


def replace_folder(folder: Path, files: Iterable[tuple[str, bytes]]) -> None:
    """Write a folder in one step: at any moment there is the old one or the new one, whole.

    The files are first written beside it.  If that is interrupted, the old folder stays, and
    nothing else.

    Args:
        folder: Where; what is there is replaced.  Its parent must exist.
        files: Plain names and contents; each is asked for when the one before is written.

    Raises:
        EpimcError: The system refuses.
    """
    # A link to a folder stays; what it points to is replaced.
    place = folder.resolve()
    try:
        workshop = Path(tempfile.mkdtemp(prefix=f".{place.name}.", dir=place.parent))
    except OSError as caught:
        raise cannot_write(folder, caught) from None
    try:
        # A folder in the workshop, unlike the workshop, has the permissions that the user wants.
        write_files(workshop / "new", files)
        swap(place, workshop)
    except OSError as caught:
        raise cannot_write(folder, caught) from None
    finally:
        remove(workshop)


def write_files(folder: Path, files: Iterable[tuple[str, bytes]]) -> None:
    """Write files into a new folder."""
    folder.mkdir()
    for name, data in files:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        # Before the next one is made.
        del data


def swap(place: Path, workshop: Path) -> None:
    """Put `new` of the workshop in its place, and what was there into the workshop."""
    try:
        if place.exists():
            os.rename(place, workshop / "old")
        os.rename(workshop / "new", place)
    except BaseException:
        if not place.exists() and (workshop / "old").exists():
            os.rename(workshop / "old", place)
        raise


def remove(folder: Path) -> None:
    """Remove a folder with all that is in it, also when the user interrupts that."""
    try:
        shutil.rmtree(folder, ignore_errors=True)
    except KeyboardInterrupt:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def cannot_write(folder: Path, caught: OSError) -> EpimcError:
    """The error for an output folder that the system does not let us write."""
    return error(f"Output folder '{folder}' cannot be written: {caught.strerror or caught}.")
