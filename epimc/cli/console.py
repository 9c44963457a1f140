"""What the commands share: printing, warnings and progress."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from epimc.cli.streams import put, tell
from epimc.support.interrupts import at_interrupt, no_longer

if TYPE_CHECKING:
    from epimc.support.results import Result


SHOW_CURSOR = b"\r\x1b[2K\x1b[?25h"


def say(result: Result, as_json: bool, *, aside: bool = False) -> None:
    """Print a result as text, or as its JSON document.

    Args:
        result: What the command comes to.
        as_json: Whether it is printed as JSON.
        aside: Whether standard output has something else, and the result goes to standard error.

    Raises:
        EpimcError: Standard output cannot be written.
    """
    text = json_of(result) if as_json else str(result)
    if aside:
        tell(text)
    else:
        put(f"{text}\n")


def json_of(result: Result) -> str:
    """The JSON document of a result, as standard output can have it."""
    import json

    # Where the output is no UTF-8, JSON's own escapes say everything in ASCII.
    ascii_only = "utf" not in (sys.stdout.encoding or "utf-8").lower()
    text = json.dumps(result.to_json(), indent=2, ensure_ascii=ascii_only, allow_nan=False)
    # A path may have bytes that are no text; what replaces them here is JSON's own escape.
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def warn(message: str) -> None:
    """A warning on standard error."""
    tell(f"warning: {message}")


def tell_of_notices() -> None:
    """Have what the library logs for people, such as what takes long once, told on a terminal."""
    if not sys.stderr.isatty():
        return
    import logging

    class Notices(logging.Handler):
        """Tells each as a note."""

        def emit(self, record: logging.LogRecord) -> None:
            """A line of its own."""
            tell(f"note: {record.getMessage()}")

    logger = logging.getLogger("epimc")
    logger.addHandler(Notices())
    logger.setLevel(logging.INFO)


@contextlib.contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[str, float], None]]:
    """A progress bar on a terminal; nothing when standard error is piped."""
    if not sys.stderr.isatty():
        yield lambda name, done: None
        return
    from rich.console import Console
    from rich.progress import Progress

    at_interrupt(show_cursor)
    try:
        with Progress(console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(what, total=total)

            def advance(name: str, done: float) -> None:
                bar.update(task, completed=done, description=f"{what}: {name}")

            yield advance
    finally:
        no_longer(show_cursor)


def show_cursor() -> None:
    """Remove a bar's line from the terminal, and show the cursor that the bar hides."""
    os.write(2, SHOW_CURSOR)
