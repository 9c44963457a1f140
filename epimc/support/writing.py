"""The one writer of files: all or nothing.

A file or a folder that is written is there as it was before, or as it is to be, at any moment; what
the system refuses is reported.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path

from epimc.support.files import File, pieces_of, refused, subject_of
from epimc.support.interrupts import at_interrupt, no_longer
from epimc.support.workshops import Workshop, clear

OPEN_FILE = re.compile("/dev/(stdout|stderr)|(?:/dev|/proc/self)/fd/([0-9]{1,9})")
STANDARD = {"stdout": 1, "stderr": 2}


def write_file(path: Path, data: bytes) -> None:
    """Write a file in one step; what is no regular file, such as a pipe, is written into.

    A link stays: the file that it leads to is replaced.

    Raises:
        EpimcError: The system refuses; what was there is as it was.
    """
    write_files([(path, data)])


def write_files(files: Iterable[tuple[Path, File]]) -> None:
    """Write files, none of them before all have been made beside their places.

    Each is replaced in one step, in this order.

    Args:
        files: Paths and contents; each is asked for when the one before is made.

    Raises:
        EpimcError: The system refuses; unless it does so in the very last steps, what was there is
            as it was.
    """
    last_steps: list[tuple[Path, Callable[[], None]]] = []
    with ExitStack() as stack:
        workshops: dict[Path, Workshop] = {}
        for path, file in files:
            with reported(subject_of(path, "")):
                if is_stream(path):
                    last_steps.append((path, partial(write_stream, path, file)))
                    continue
                place = place_of(path)
                if place.parent not in workshops:
                    clear(place.parent)
                    workshops[place.parent] = stack.enter_context(Workshop(place))
                workshop = workshops[place.parent]
                make_file(workshop.new(place), file, mode_of(place))
                last_steps.append((path, partial(workshop.put_file, place)))
        for path, step in last_steps:
            with reported(subject_of(path, "")):
                step()


@contextmanager
def reported(subject: str) -> Iterator[None]:
    """Report what the system refuses of what is to be written."""
    try:
        yield
    except OSError as caught:
        raise refused(subject, "written", caught) from None


def check_place(path: Path) -> None:
    """Raise EpimcError unless a file, a pipe or a device can be written there, as far as is known.

    To be called before the work whose result is to be written.
    """
    with reported(subject_of(path, "")):
        if is_stream(path):
            return
        parent = place_of(path).parent
        os.listdir(parent)
        if not os.access(parent, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def place_of(path: Path) -> Path:
    """Where a file lies or is to lie, behind links.

    Raises:
        OSError: A folder is there, or links lead in a circle.
    """
    place = Path(os.path.realpath(path))
    if place.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if place.is_symlink():
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
    return place


def is_stream(path: Path) -> bool:
    """Whether what is there is written into: a pipe, a device, a file that the process has open."""
    return number_of(path) is not None or (
        path.exists() and not path.is_file() and not path.is_dir()
    )


def number_of(path: Path) -> int | None:
    """The number of the open file for which a path stands, such as `/dev/stdout`."""
    matched = OPEN_FILE.fullmatch(os.path.abspath(path))
    if matched is None:
        return None
    return STANDARD[matched[1]] if matched[1] else int(matched[2])


def write_stream(path: Path, file: File) -> None:
    """Write into a pipe, a device or a file that is open.

    Raises:
        OSError: The system refuses; what it has taken is written.
    """
    number = number_of(path)
    with path.open("wb") if number is None else open(number, "wb", closefd=False) as stream:
        stream.writelines(pieces_of(file))


def mode_of(place: Path) -> int | None:
    """The permissions of a file; None where there is none."""
    return stat.S_IMODE(place.stat().st_mode) if place.exists() else None


def make_file(path: Path, contents: File, mode: int | None = None) -> None:
    """Write a new file.

    It is not forced onto the disk, which takes longer than many a compile: where the machine itself
    fails, checksums and digests tell what is damaged, and it can be made again.

    Args:
        path: Where nothing is.
        contents: Made here, where they are not yet.
        mode: Its permissions; None: those of any new file.

    Raises:
        OSError: The system refuses.
    """
    with path.open("xb") as file:
        file.writelines(pieces_of(contents))
    if mode is not None:
        path.chmod(mode)


def make_folder(folder: Path) -> None:
    """Make a folder, and those above it, unless it is there.

    Raises:
        EpimcError: The system refuses.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as caught:
        raise refused(f"Folder '{folder}'", "made", caught) from None


@contextmanager
def with_folder(folder: Path) -> Iterator[None]:
    """Make a folder, and those above it, for what is done in the block; if that fails, undo it.

    Raises:
        EpimcError: The system refuses.
    """
    missing = [each for each in (folder, *folder.absolute().parents) if not os.path.lexists(each)]
    undo = partial(remove_empty, missing)
    at_interrupt(undo)
    try:
        make_folder(folder)
        yield
    except BaseException:
        undo()
        raise
    finally:
        no_longer(undo)


def remove_empty(folders: Iterable[Path]) -> None:
    """Remove folders, each of which is empty once those before it are gone; others stay."""
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()


def replace_folder(folder: Path, files: Iterable[tuple[str, File]]) -> None:
    """Write a folder in one step: at any moment there is the old one or the new one, complete.

    The files are first written beside it.  If that is interrupted, the old folder stays, and
    nothing else; if the process is killed, what it leaves is cleared by the next one.

    Args:
        folder: Where; what is there is replaced.  Its parent must exist.
        files: Plain names and contents; each is asked for when the one before is written.

    Raises:
        EpimcError: The system refuses.
    """
    # A link to a folder stays; what it points to is replaced.
    place = Path(os.path.realpath(folder))
    with reported(f"Output folder '{folder}'"):
        clear(place.parent)
        with Workshop(place) as workshop:
            fill_folder(workshop.new(place), files)
            workshop.put_folder(place)


def fill_folder(folder: Path, files: Iterable[tuple[str, File]]) -> None:
    """Write files into a new folder."""
    folder.mkdir()
    for name, file in files:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        make_file(path, file)
