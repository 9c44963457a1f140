"""Workshops: hidden folders beside what is to be written, and what killed processes left of them.

    .NAME.epimc-0123456789abcdef/    beside NAME; locked by the process that works in it
        new/NAME                     what is to come to the place NAME
        old/NAME                     what was there, where the two cannot be exchanged in one step

A lock ends with its process, however that ends.  A workshop without one is abandoned, and the next
process that writes something beside it clears it.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import weakref
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import TracebackType

from epimc.support.exchange import exchange
from epimc.support.interrupts import at_interrupt, no_longer
from epimc.support.locks import Lock

WORKSHOP = re.compile(r"\.(.*)\.epimc-[0-9a-f]{16}", re.DOTALL)

# File systems allow 255 bytes at least; the ending takes 23.
LONGEST_START = 200


class Workshop:
    """A workshop for what is to be written to places in one folder.

    A context: whatever happens, it is gone at the end, also at an interrupt of the process.
    """

    def __init__(self, place: Path) -> None:
        """Make it beside a place, after which it is named.

        Raises:
            OSError: The system refuses.
        """
        self.path = place.parent / f".{start_of(place.name)}.epimc-{os.urandom(8).hex()}"
        lock = Lock()
        # Before it is made: there is no moment at which it would be left.
        self._tidy = partial(finish, self.path, lock)
        at_interrupt(self._tidy)
        # An exception may come out of any line, also between this one and the block of `with`.
        self._finish = weakref.finalize(self, self._tidy)
        try:
            lock.make(self.path)
            os.mkdir(self.path / "new")
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Workshop:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Remove it with all that is in it."""
        try:
            self._tidy()
        # By an interrupt: at most one more comes before the user waits.
        except BaseException:
            self._tidy()
            raise
        self._finish.detach()
        no_longer(self._tidy)

    def new(self, place: Path) -> Path:
        """Where to make what is to come to a place."""
        return self.path / "new" / place.name

    def put_file(self, place: Path) -> None:
        """Put a file that was made here in its place.

        Raises:
            OSError: The system refuses; what was there is there.
        """
        os.replace(self.new(place), place)

    def put_folder(self, place: Path) -> None:
        """Put a folder that was made here in its place, and what was there into the workshop.

        Raises:
            OSError: The system refuses; what was there is there.
        """
        new = self.new(place)
        while True:
            # Where another process is as far at the same moment, the place is not empty any more.
            with suppress(FileNotFoundError):
                if not exchange(new, place):
                    self._put_in_two_steps(place)
                return
            try:
                os.rename(new, place)
            except OSError as caught:
                if caught.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                    raise
            else:
                return

    def _put_in_two_steps(self, place: Path) -> None:
        """As `put_folder`; killed between the two, it is for `complete` to end what was begun."""
        aside = self.path / "old" / place.name
        if os.path.lexists(place):
            os.makedirs(aside.parent, exist_ok=True)
            os.rename(place, aside)
        try:
            os.rename(self.new(place), place)
        except OSError:
            if aside.exists():
                os.rename(aside, place)
            raise


def finish(folder: Path, lock: Lock) -> None:
    """End what was begun in a workshop, and remove it; any number of times."""
    try:
        # Else it has all that there is.
        if complete(folder):
            remove(folder)
    finally:
        lock.release()


def remove(folder: Path) -> None:
    """Remove a folder with all that is in it, also from folders that are closed."""
    shutil.rmtree(folder, ignore_errors=True)
    if folder.exists():
        # From above: what is in a folder is seen when that is open.
        for parent, folders, _ in os.walk(folder):
            for name in folders:
                path = os.path.join(parent, name)
                with suppress(OSError):
                    if not os.path.islink(path):
                        os.chmod(path, 0o700)
        shutil.rmtree(folder, ignore_errors=True)


def complete(folder: Path) -> bool:
    """Where a place is empty from which the old has gone, put the new there, or the old again.

    Returns:
        Whether no such place is empty now.
    """
    try:
        names = own_folders(folder)
    except OSError:
        return False
    for name in names:
        place = folder.parent / name
        for source in (folder / "new" / name, folder / "old" / name):
            if not os.path.lexists(place) and is_real_folder(source.parent):
                with suppress(OSError):
                    os.rename(source, place)
    return all(os.path.lexists(folder.parent / name) for name in names)


def own_folders(folder: Path) -> list[str]:
    """The names of folders whose old contents a workshop has: those after which it is named.

    Nothing else is moved, and nothing through a link: a workshop may be a stranger's, out of an
    archive, and name anything.

    Raises:
        OSError: What it has cannot be seen.
    """
    old, named = folder / "old", WORKSHOP.fullmatch(folder.name)
    if named is None or not is_real_folder(old):
        return []
    names = [name for name in os.listdir(old) if start_of(name) == named[1]]
    return [name for name in names if is_real_folder(old / name)]


def is_real_folder(path: Path) -> bool:
    """Whether a folder is there, and no link to one."""
    return path.is_dir() and not path.is_symlink()


def start_of(name: str) -> str:
    """What the name of a workshop says of the place after which it is named."""
    return os.fsdecode(os.fsencode(name)[:LONGEST_START])


def clear(folder: Path, name: str | None = None) -> None:
    """Clear abandoned workshops in a folder; what the system refuses stays.

    Args:
        folder: Where they lie.
        name: Those after which place; None: all.
    """
    for workshop in workshops(folder):
        named = WORKSHOP.fullmatch(workshop.name)
        if name is not None and (named is None or named[1] != start_of(name)):
            continue
        lock = Lock()
        if lock.take(workshop):
            finish(workshop, lock)


def recover(place: Path) -> None:
    """Put a folder in its place again that a killed process has taken from there."""
    if not os.path.lexists(place):
        real = Path(os.path.realpath(place))
        clear(real.parent, real.name)


def workshops(folder: Path) -> list[Path]:
    """The workshops in a folder, in use or abandoned."""
    try:
        with os.scandir(folder) as entries:
            return [folder / entry.name for entry in entries if is_workshop(entry)]
    except OSError:
        return []


def is_workshop(entry: os.DirEntry[str]) -> bool:
    """Whether an entry of a folder is a workshop, by its name."""
    return bool(WORKSHOP.fullmatch(entry.name)) and entry.is_dir(follow_symlinks=False)
