"""The one reader of files, within a limit; names, checksums, and what the system refuses.

That is reported with the path, the reason and, where it is known, the remedy.  What is written, is
written by `writing.py`.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable, Collection, Iterable
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from epimc.support.diagnostics import EpimcError, error
from epimc.support.limits import DEFAULT_BYTES

PIECE_BYTES = 2**20

REMEDIES = {
    errno.EACCES: "Change the permissions, or choose another place.",
    errno.EDQUOT: "Make room there, or choose another place.",
    errno.EFBIG: "Raise the limit on the size of files (ulimit -f), or choose another place.",
    errno.EISDIR: "Give the path of a file.",
    errno.ELOOP: "Check the path: its links lead in a circle.",
    errno.ENOENT: "Check the path: each of its folders must exist.",
    errno.ENOTDIR: "Check the path: only folders hold files.",
    errno.ENOSPC: "Make room there, or choose another place.",
    errno.EROFS: "Choose another place.",
}
"""What a user can do about a reason for which the system refuses."""

Piece = bytes | memoryview
"""Some of the bytes of a file."""

File = bytes | Callable[[], bytes | Iterable[Piece]]
"""The contents of a file, or what makes them when they are written: large ones are not kept, and
the largest are never there in one piece."""


def pieces_of(file: File) -> Iterable[Piece]:
    """The contents of a file, piece by piece."""
    made = file if isinstance(file, bytes) else file()
    return (made,) if isinstance(made, bytes) else made


def sha256(data: bytes) -> str:
    """The SHA-256 of some bytes, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def sha256_of_file(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal, read piece by piece."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def has_contents(path: Path, pieces: Collection[Piece]) -> bool:
    """Whether a file is there and has these contents and no others."""
    try:
        if not path.is_file() or path.stat().st_size != sum(map(len, pieces)):
            return False
        hashed = hashlib.sha256()
        for piece in pieces:
            hashed.update(piece)
        return sha256_of_file(path) == hashed.hexdigest()
    # Writing it will tell why.
    except OSError:
        return False


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


def as_text(name: str) -> str:
    """The name of a file as a text: bytes of it that are no UTF-8 become replacement characters."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def as_path(value: object, what: str) -> Path:
    """A path that a Python user passes.

    Args:
        value: A text, or what `os.fspath` makes one of.
        what: Names the argument in errors.

    Raises:
        EpimcError: It is neither, or the system knows no such paths.
    """
    text = spelled(value)
    if not isinstance(text, str):
        kind = type(value).__name__
        raise error(f"Argument '{what}' cannot be of the type {kind}.", hint="Pass a path as text.")
    path = Path(text)
    try:
        path.exists()
        os.fsencode(text)
    # It is too long, or has characters that no path has, or a folder above is closed.
    except (OSError, ValueError) as problem:
        reason = getattr(problem, "strerror", None) or str(problem)
        message = f"Argument '{what}' is no path that can be used: {reason}."
        raise error(message, notes=[f"It is '{text}'."]) from None
    if "\0" in text:
        raise error(f"Argument '{what}' is no path that can be used: it has a null character.")
    return path


def spelled(value: object) -> Any:
    """The text of a path that a Python user passes; anything else as it is, to be refused."""
    try:
        return os.fspath(value) if isinstance(value, os.PathLike) else value
    # It says that it is a path, and gives none.
    except TypeError:
        return value


def read_bytes(path: Path, kind: str = "", limit: int = DEFAULT_BYTES, subject: str = "") -> bytes:
    """The contents of a file.

    Args:
        path: A file, a pipe or a device.
        kind: What messages call the file: `Plan` makes it `Plan file 'x.toml'`.
        limit: The most bytes that it may have; no more than one is read beyond them.
        subject: What messages call it where that is more than a kind and the path.

    Raises:
        EpimcError: The file cannot be read, or is larger.
    """
    subject = subject or subject_of(path, kind)
    try:
        with path.open("rb") as file:
            data = read_pieces(file, limit + 1)
    except OSError as caught:
        raise refused(subject, "read", caught) from None
    # A null character in the path.
    except ValueError as caught:
        raise error(f"{subject} cannot be read: {caught}.") from None
    if len(data) > limit:
        raise error(f"{subject} is larger than {limit} bytes.")
    return data


def read_text(path: Path, kind: str = "", limit: int = DEFAULT_BYTES) -> str:
    """The text of a file in UTF-8, without a mark of the byte order; arguments as `read_bytes`.

    Raises:
        EpimcError: The file cannot be read, is larger, or is not UTF-8.
    """
    return decoded(read_bytes(path, kind, limit), path, kind)


def decoded(data: bytes, path: Path, kind: str = "") -> str:
    """The text in the bytes of a file, as `read_text` gives it.

    Raises:
        EpimcError: They are not UTF-8.
    """
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as caught:
        raise error(
            f"{subject_of(path, kind)} is not UTF-8 text.",
            notes=[f"The byte at offset {caught.start} cannot be decoded."],
            hint="Save the file in UTF-8.",
        ) from None


def read_pieces(file: BinaryIO, most: int) -> bytes:
    """At most so many bytes; `read(most)` alone would ask for the memory of all of them."""
    # A file is one piece, which is not copied; a pipe or a device has no size.
    size = max(os.fstat(file.fileno()).st_size, PIECE_BYTES)
    pieces: list[bytes] = []
    while most and (piece := file.read(min(most, size))):
        pieces.append(piece)
        most -= len(piece)
        size = PIECE_BYTES
    return b"".join(pieces)


def subject_of(path: Path, kind: str) -> str:
    """What messages call a file."""
    return f"{kind} file '{path}'" if kind else f"'{path}'"


def refused(subject: str, verb: str, caught: OSError) -> EpimcError:
    """The error for a file or a folder that the system does not let us read or write."""
    reason = caught.strerror or str(caught)
    hint = REMEDIES.get(caught.errno or 0, "")
    return error(f"{subject} cannot be {verb}: {reason}.", hint=hint)


def refused_by_system(caught: OSError) -> EpimcError:
    """The error for what the system refuses, where no more is known of it than the system tells."""
    name = caught.filename
    known = isinstance(name, str | bytes | os.PathLike)
    return refused(f"'{os.fsdecode(name)}'" if known else "A file", "used", caught)
