"""What the commands share: printing, warnings and progress."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import Any


def say(data: dict[str, Any], as_json: bool, table: Callable[[dict[str, Any]], str]) -> None:
    """Print data as JSON, or its table."""
    if as_json:
        import json

        print(json.dumps(data, indent=2, ensure_ascii=False))
    else:
        print(table(data))


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
