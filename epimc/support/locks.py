"""Locks on folders.

The system opens a lock when its process ends, however that ends: none is ever left behind.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

if sys.platform != "win32":
    import fcntl


@dataclass
class Lock:
    """The lock on a folder.

    Attributes:
        handle: Of the open folder; -1: there is none.
    """

    handle: int = -1

    def make(self, folder: Path) -> None:
        """Make a folder and lock it.

        Raises:
            OSError: It cannot be made.
        """
        while True:
            os.mkdir(folder, 0o700)
            if sys.platform == "win32":
                return
            self.handle = os.open(folder, os.O_RDONLY)
            # Not every file system has locks: what is left there, nobody clears.
            with suppress(OSError):
                fcntl.flock(self.handle, fcntl.LOCK_EX)
            # Until it was locked, it was as one that is abandoned.
            if folder.exists():
                return
            self.release()

    def take(self, folder: Path) -> bool:
        """Lock a folder of this user that nobody has locked; whether that is so."""
        if sys.platform == "win32":
            return False
        try:
            self.handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            fcntl.flock(self.handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            own = os.fstat(self.handle).st_uid == os.geteuid()
        except OSError:
            own = False
        if not own:
            self.release()
        return own

    def is_refused(self, folder: Path) -> bool:
        """Lock a folder; whether somebody else has locked it.

        Where system or disk have no locks, nobody has.
        """
        if sys.platform == "win32":
            return False
        try:
            self.handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            fcntl.flock(self.handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as caught:
            self.release()
            return isinstance(caught, BlockingIOError)
        return False

    def release(self) -> None:
        """Open the lock."""
        handle, self.handle = self.handle, -1
        if handle >= 0:
            os.close(handle)
