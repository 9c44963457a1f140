"""What is left where a process that writes is struck at its first, second, … line.

    python -m tests.support.strikes HOW WHAT FOLDER

Each line that `epimc.support` runs to write something is struck in a process of its own: nothing
else of epimc, and no thread, is there when that is forked.  Prints how many lines there were.
"""

from __future__ import annotations

import gc
import itertools
import os
import signal
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from types import FrameType

from epimc.support import exchange, writing
from epimc.support.interrupts import end_at_signals
from epimc.support.workshops import recover
from epimc.support.writing import replace_folder, write_files

SOURCES = Path(writing.__file__).parent
RAISED = 3

Contents = dict[str, bytes]
OLD: Contents = {"a": b"old", "b": b"old"}
NEW: Contents = {"a": b"new", "c/d": b"new"}
NEXT: Contents = {"e": b"next"}


def write_folder(folder: Path, files: Contents) -> None:
    """A folder `out`."""
    replace_folder(folder / "out", files.items())


def write_one(folder: Path, files: Contents) -> None:
    """A file `out`."""
    write_files([(folder / "out", b"".join(files.values()))])


WRITERS: dict[str, Callable[[Path, Contents], None]] = {
    "folder": write_folder,
    "steps": write_folder,
    "file": write_one,
}


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder by its path."""
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def strike(how: str) -> None:
    """Strike this process."""
    if how == "raise":
        raise KeyboardInterrupt
    os.kill(os.getpid(), getattr(signal, how))


def run_until(line: int, how: str, action: Callable[[], None]) -> None:
    """Do something and end, struck at the n-th line that is run for it."""
    lines = 0

    def trace(frame: FrameType, event: str, _argument: object) -> object:
        nonlocal lines
        if Path(frame.f_code.co_filename).parent != SOURCES:
            return None
        if event == "line":
            lines += 1
            if lines == line:
                strike(how)
        return trace

    code = 0
    try:
        sys.settrace(trace)  # type: ignore[arg-type]
        action()
    except KeyboardInterrupt:
        code = RAISED
    sys.settrace(None)
    # Behind the block the exception is gone, and with it what it has kept, save what is in circles.
    gc.collect()
    os._exit(code)


def exit_code_of(child: int) -> int:
    """What a process ended with: its exit code, or the signal as a negative number."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def require(fact: bool, line: int, what: object) -> None:
    """End with what is wrong."""
    if not fact:
        sys.exit(f"struck at line {line}: {what}")


def struck_at(line: int, how: str, what: str, folder: Path) -> bool:
    """Strike once, look at what is left, and write once more; whether the line was reached.

    Args:
        line: Which line, from 1.
        how: A signal, or `raise`: an exception.
        what: A key of WRITERS.
        folder: Has nothing but `out` before and after.
    """
    write = WRITERS[what]
    states: list[object] = []
    for files in (NEW, OLD):
        write(folder, files)
        states.append(contents(folder))
    child = os.fork()
    if child == 0:
        end_at_signals()
        run_until(line, how, lambda: write(folder, NEW))
    code = exit_code_of(child)
    if how == "SIGKILL":
        recover(folder / "out")
        left = {name: data for name, data in contents(folder).items() if name[0] != "."}
    else:
        left = contents(folder)
        require(os.listdir(folder) == ["out"], line, os.listdir(folder))
    require(left in states, line, left)
    write(folder, NEXT)
    require(os.listdir(folder) == ["out"], line, os.listdir(folder))
    ends = {"raise": RAISED, "SIGKILL": -signal.SIGKILL}
    require(code in (0, ends.get(how, 128 + getattr(signal, how, 0))), line, code)
    return code != 0


def main(arguments: Iterable[str]) -> None:
    """Strike at each line."""
    how, what, folder = arguments
    # In the background of a script, or under nohup, they are ignored, and so in what that starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    if what == "steps":
        exchange.system_call = lambda: None
    for line in itertools.count(1):
        if not struck_at(line, how, what, Path(folder)):
            print(line)
            return


if __name__ == "__main__":
    main(sys.argv[1:])
