"""A bundle's folder as a closed world: read is what the manifest lists, and as it lists it.

Nothing in a folder that comes from a stranger is trusted: no link is followed, nothing but regular
files is opened, and the bytes that are used are those whose checksum was right.
"""

from __future__ import annotations

import hashlib
import io
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from epimc.support.diagnostics import EpimcError, error
from epimc.support.files import is_plain_name, read_pieces, refused, sha256
from epimc.support.limits import Budget

DELETABLE_FOLDERS = ("ir/", "reference/")

# Files of a bundle: far more than a compile makes, whose dumps have a file for every tensor.
MOST_FILES = 2**16

# Of a file that is checked and not kept, one byte in so many counts in the limit.
CHECKED_SHARE = 16

# What most systems allow for a path.
LONGEST_PATH = 1024

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# A pipe that takes the place of a file after it was looked at must not keep us waiting.
FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def subject_in(folder: Path, name: str) -> str:
    """What messages call a file of a bundle."""
    return f"File '{name}' of bundle '{folder}'"


def missing_file(folder: Path, name: str) -> EpimcError:
    """The error for a file that the manifest lists and that is not there."""
    return error(f"Bundle '{folder}' lacks the file '{name}'.")


def changed_file(folder: Path, name: str) -> EpimcError:
    """The error for a file that is not as it was written."""
    return error(
        f"{subject_in(folder, name)} does not match its checksum.",
        hint="Compile the model again.",
    )


def check_names(folder: Path, names: Mapping[str, str]) -> None:
    """Raise EpimcError unless a manifest lists plain names, and not too many."""
    if len(names) > MOST_FILES:
        raise error(f"Bundle '{folder}' lists {len(names)} files, more than {MOST_FILES}.")
    for name in names:
        if len(name) > LONGEST_PATH:
            raise error(f"Bundle '{folder}' lists a file whose name has {len(name)} characters.")
        if not is_plain_name(name):
            raise error(f"File '{name}' of the manifest of bundle '{folder}' lies outside of it.")


@contextmanager
def opened(folder: Path, name: str) -> Iterator[io.BufferedReader]:
    """Open a file of a folder, part by part of its name, through no link.

    Raises:
        FileNotFoundError: There is no such file, or something else than a folder on the way.
        EpimcError: It is a link or lies behind one, is no regular file, or cannot be read.
    """
    *above, last = PurePosixPath(name).parts
    subject = subject_in(folder, name)
    # The bundle itself may be named by a link.
    at = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in above:
            if not stat.S_ISDIR(kind_of(part, at, subject)):
                raise FileNotFoundError(name)
            inner = os.open(part, FOLDER, dir_fd=at)
            os.close(at)
            at = inner
        if not stat.S_ISREG(kind_of(last, at, subject)):
            raise error(f"{subject} is no regular file.")
        handle = os.open(last, FILE, dir_fd=at)
    finally:
        os.close(at)
    with os.fdopen(handle, "rb") as file:
        # It may have been replaced since it was looked at.
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise error(f"{subject} is no regular file.")
        yield file


def kind_of(part: str, at: int, subject: str) -> int:
    """The mode of an entry of an open folder.

    Raises:
        FileNotFoundError: There is none.
        EpimcError: It is a link.
    """
    mode = os.stat(part, dir_fd=at, follow_symlinks=False).st_mode
    if stat.S_ISLNK(mode):
        raise error(
            f"{subject} is a link, or lies behind one.",
            hint="A bundle has no links: put what they lead to in their places.",
        )
    return mode


def contents(folder: Path, name: str, limit: int) -> bytes:
    """The contents of a file of a folder, whatever they are.

    Raises:
        FileNotFoundError: There is none.
        EpimcError: It is no regular file, is larger than `limit`, or cannot be read.
    """
    subject = subject_in(folder, name)
    try:
        with opened(folder, name) as file:
            data = read_pieces(file, limit + 1)
    except FileNotFoundError:
        raise
    except OSError as caught:
        raise refused(subject, "read", caught) from None
    if len(data) > limit:
        raise error(f"{subject} is larger than {limit} bytes.")
    return data


def checked_contents(folder: Path, name: str, digest: str, budget: Budget) -> bytes:
    """The contents of a file that must have this checksum: these bytes, not another reading.

    Raises:
        FileNotFoundError: There is none.
        EpimcError: It has another checksum, is too large, no regular file, or cannot be read.
    """
    with listed(folder, name, budget) as (file, size):
        # One more tells a file that has grown since: its checksum is another one.
        data = read_pieces(file, size + 1)
    if sha256(data) != digest:
        raise changed_file(folder, name)
    return data


def check_digest(folder: Path, name: str, digest: str, budget: Budget) -> None:
    """Raise as `checked_contents` does, and keep nothing of a file that may be large.

    So it takes time, no memory: it counts for a share of its bytes.
    """
    with listed(folder, name, budget, CHECKED_SHARE) as (file, _):
        actual = hashlib.file_digest(file, "sha256").hexdigest()
    if actual != digest:
        raise changed_file(folder, name)


@contextmanager
def listed(
    folder: Path, name: str, budget: Budget, share: int = 1
) -> Iterator[tuple[io.BufferedReader, int]]:
    """Open a file that is paid for, or a share of it; with its size."""
    try:
        with opened(folder, name) as file:
            size = os.fstat(file.fileno()).st_size
            budget.read(size // share, f"file '{name}'")
            yield file, size
    except FileNotFoundError:
        raise
    except OSError as caught:
        raise refused(subject_in(folder, name), "read", caught) from None


def budget_of(folder: Path, limit_bytes: int) -> Budget:
    """What the files of a bundle may take together."""
    hint = "Raise the limit (--limit-bytes), if the bundle is to be so large."
    return Budget(limit_bytes, f"Bundle '{folder}'", hint)
