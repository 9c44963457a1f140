"""What the commands share: printing, warnings and progress."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from epimc.support.diagnostics import error

if TYPE_CHECKING:
    from epimc.ir.core.module import Module


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


def printer_of(wanted: str | None, names: list[str]) -> Callable[[int, str, Module], None]:
    """What prints the IR after the wanted pass.

    Raises:
        EpimcError: There is no such pass in this run.
    """
    if wanted is not None and wanted not in ("all", *names):
        from epimc.support.diagnostics import did_you_mean

        hint = did_you_mean(wanted, ["all", *names])
        raise error(f"There is no pass '{wanted}' to print the IR after.", hint=hint)

    def show(number: int, name: str, module: Module) -> None:
        if wanted in ("all", name):
            from epimc.ir.text.printer import print_module

            print(f"// IR after {number:02d}-{name}\n{print_module(module)}", file=sys.stderr)

    return show


def timer(wanted: bool) -> Callable[[str, float], None]:
    """What tells the seconds of each pass, on standard error."""
    if not wanted:
        return lambda name, seconds: None
    return lambda name, seconds: print(f"{seconds:8.3f} s  {name}", file=sys.stderr)


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
