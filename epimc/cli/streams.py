"""The standard streams, which may be closed, full, of another encoding, or read by no one.

What a command is asked for goes to standard output, and is an error where it cannot be written.
Warnings and errors go to standard error, where there is one.
"""

from __future__ import annotations

import io
import os
import signal
import sys
from typing import TextIO

from epimc.support.diagnostics import EpimcError, error
from epimc.support.files import refused

SUBJECT = "Standard output"


def fill_closed_streams() -> None:
    """Give a process all three standard streams, before the first file that it opens becomes one.

    Nothing can be read from a closed input, nothing be written to a closed output; what is written
    to a closed standard error is lost.
    """
    # The system gives the least number that is free.
    for number, access in enumerate((os.O_RDONLY, os.O_RDONLY, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, access)
    sys.stdin = sys.stdin or os.fdopen(0, closefd=False)
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)


def quiet_pipes() -> None:
    """End without a word when the reader of a pipe has gone, as Unix tools do."""
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)


def escape_characters() -> None:
    """Print escapes of the characters that a stream's encoding has not."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def put(text: str) -> None:
    """Write a text to standard output, to the end.

    Raises:
        EpimcError: The system refuses.
    """
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError as caught:
        discard(sys.stdout)
        raise refused(SUBJECT, "written", caught) from None
    # A stream that a Python user has closed.
    except ValueError as caught:
        raise error(f"{SUBJECT} cannot be written: {caught}.") from None


def unwritten() -> EpimcError | None:
    """The error for what another library has printed, and standard output has not taken."""
    try:
        put("")
    except EpimcError as problem:
        return problem
    return None


def tell(text: str) -> None:
    """Write a line to standard error, unless that cannot be written."""
    try:
        print(text, file=sys.stderr, flush=True)
    except (OSError, ValueError):
        discard(sys.stderr)


def discard(stream: TextIO) -> None:
    """Lead a stream that cannot be written, and what it still keeps, into nothing.

    Python would try once more at its end, fail, and say so.
    """
    try:
        number = stream.fileno()
    # No stream of the system's.
    except (OSError, ValueError):
        return
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, number)
    os.close(nothing)
