"""What the commands share: printing, warnings and progress."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from epimc.support.results import Result


def say(result: Result, as_json: bool) -> None:
    """Print a result as text, or as its JSON document."""
    if as_json:
        import json

        # Where the output is no UTF-8, JSON's own escapes say everything in ASCII.
        ascii_only = "utf" not in (sys.stdout.encoding or "utf-8").lower()
        document = result.to_json()
        text = json.dumps(document, indent=2, ensure_ascii=ascii_only, allow_nan=False)
        # A path may have bytes that are no text; what replaces them here is JSON's own escape.
        print(text.encode("utf-8", "backslashreplace").decode("utf-8"))
    else:
        print(result)


def warn(message: str) -> None:
    """A warning on standard error."""
    print(f"warning: {message}", file=sys.stderr)


@contextlib.contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[str, int], None]]:
    """A progress bar on a terminal; nothing when standard error is piped."""
    if not sys.stderr.isatty():
        yield lambda name, done: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total)

        def advance(name: str, done: int) -> None:
            bar.update(task, completed=done, description=f"{what}: {name}")

        yield advance
