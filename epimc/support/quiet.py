"""Libraries that print what nobody asked for."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

STANDARD_OUTPUT = 1


@contextmanager
def without_prints() -> Iterator[None]:
    """Drop what C code prints meanwhile to the standard output of this process.

    It would stand in the middle of a command's JSON.  Other threads that print meanwhile lose it.
    """
    # What waits in the buffers belongs before, and what is in them behind is to be dropped.
    flush_all()
    try:
        kept = os.dup(STANDARD_OUTPUT)
    except OSError:
        # It is closed: nothing can be printed.
        yield
        return
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), STANDARD_OUTPUT)
        yield
        flush_all()
    finally:
        os.dup2(kept, STANDARD_OUTPUT)
        os.close(kept)


def flush_all() -> None:
    """Write out what Python and C have in their buffers."""
    if sys.stdout is not None:
        sys.stdout.flush()
    if sys.platform != "win32":
        ctypes.CDLL(None).fflush(None)
