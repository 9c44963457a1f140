"""Two paths exchanged in one step, where the system can: Linux and macOS."""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from collections.abc import Callable
from pathlib import Path

AT_FDCWD = -100
RENAME_EXCHANGE = 2
RENAME_SWAP = 2

# What systems and file systems say that know no exchange.
UNABLE = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EXDEV}


def exchange(one: Path, other: Path) -> bool:
    """Exchange two paths of one file system, so that neither is ever absent.

    Returns:
        False where the system or the file system cannot; nothing has happened then.

    Raises:
        OSError: The system can, and refuses.
    """
    call = system_call()
    if call is None:
        return False
    if call(os.fsencode(one), os.fsencode(other)) == 0:
        return True
    number = ctypes.get_errno()
    if number in UNABLE:
        return False
    raise OSError(number, os.strerror(number), str(one), None, str(other))


def system_call() -> Callable[[bytes, bytes], int] | None:
    """The call of the C library that exchanges two paths; None where it has none."""
    if sys.platform == "win32":
        return None
    library = ctypes.CDLL(None, use_errno=True)
    if sys.platform == "darwin":
        swap = getattr(library, "renamex_np", None)
        return swap and (lambda one, other: swap(one, other, RENAME_SWAP))
    rename = getattr(library, "renameat2", None)
    return rename and (lambda one, other: rename(AT_FDCWD, one, AT_FDCWD, other, RENAME_EXCHANGE))
