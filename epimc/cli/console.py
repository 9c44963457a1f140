"""What the commands share: printing, warnings, progress, and files read and written whole."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from epimc.support.diagnostics import error

if TYPE_CHECKING:
    from epimc.ir.core.module import Module
    from epimc.support.results import Result


def say(result: Result, as_json: bool) -> None:
    """Print a result as text, or as its JSON document."""
    if as_json:
        import json

        text = json.dumps(result.to_json(), indent=2, ensure_ascii=False, allow_nan=False)
        # A path may have bytes that are no text; what replaces them here is JSON's own escape.
        print(text.encode("utf-8", "backslashreplace").decode("utf-8"))
    else:
        print(result)


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


def read_bytes(path: Path) -> bytes:
    """A file's contents, or a clear error."""
    try:
        return path.read_bytes()
    except OSError as problem:
        raise error(f"'{path}' cannot be read: {problem.strerror}.") from None


def read_text(path: Path) -> str:
    """A text file's contents, or a clear error."""
    try:
        return read_bytes(path).decode("utf-8")
    except UnicodeDecodeError:
        raise error(f"'{path}' is not a text file (UTF-8).") from None


def write_file(path: Path, data: bytes) -> None:
    """Write a whole file or nothing; what is no regular file, such as a pipe, is written into.

    A link stays: the file that it leads to is replaced.
    """
    import os
    import tempfile

    shown, path = path, path.resolve()
    if path.exists() and not path.is_file():
        write_into(path, data)
        return
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as problem:
        raise error(f"'{shown}' cannot be written: {problem.strerror}.") from None
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.chmod(temporary, 0o666 & ~current_umask())
        os.replace(temporary, path)
    except BaseException as problem:
        os.unlink(temporary)
        if isinstance(problem, OSError):
            raise error(f"'{shown}' cannot be written: {problem.strerror}.") from None
        raise


def write_into(path: Path, data: bytes) -> None:
    """Write into a device or a pipe."""
    try:
        with path.open("wb") as file:
            file.write(data)
    except OSError as problem:
        raise error(f"'{path}' cannot be written: {problem.strerror}.") from None


def current_umask() -> int:
    """The process's umask, which can only be read by setting it."""
    import os

    mask = os.umask(0)
    os.umask(mask)
    return mask
