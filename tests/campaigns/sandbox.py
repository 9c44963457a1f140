"""A case in a process of its own: forked when all is imported, watched, and stopped in time."""

from __future__ import annotations

import contextlib
import faulthandler
import io
import json
import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from epimc.cli.main import main
from tests.campaigns.outcomes import CRASH, HANG, MEMORY, WRONG, Done, Record, worst

SECONDS = 10.0
MEMORY_BYTES = 2**31
# More than a case may take: what asks for that much is refused by the system, for all others' sake.
ADDRESS_BYTES = 2**33


class Bench:
    """Where a case runs: in its folder, with the commands that it has run so far."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.commands: list[Done] = []
        self.wrong = ""

    def run(self, *words: str) -> Done:
        """Run a command of epimc in this process."""
        said = io.StringIO()
        code: int | None
        try:
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(said):
                code = main([*words])
            text = said.getvalue()
        # Whatever comes through is what a case is after.
        except BaseException:
            code, text = None, traceback.format_exc()
        done = Done(words, code, text)
        self.commands.append(done)
        return done

    def complain(self, wrong: str) -> None:
        """Note what no exit code tells: the first is kept."""
        self.wrong = self.wrong or wrong


Case = Callable[[Bench], None]


def watched(kind: str, number: int, folder: Path, case: Case) -> Record:
    """Run a case in a forked process, and judge it."""
    start, report = time.monotonic(), folder / "report.json"
    child = os.fork()
    if child == 0:
        _in_child(folder, report, case)
    status, used, late = _wait(child, start + SECONDS)
    record = Record(kind, number, seconds=time.monotonic() - start, bytes=used)
    if late:
        record.outcome, record.said = HANG, f"more than {SECONDS:g} s"
    elif status != 0 or not report.exists():
        record.outcome, record.said = CRASH, f"exit status {status}"
        record.said += "\n" + (folder / "streams.txt").read_text("utf-8", "replace")[-2000:]
    else:
        _judge(record, json.loads(report.read_text("utf-8")))
    if used > MEMORY_BYTES and record.outcome != HANG:
        record.outcome, record.said = MEMORY, f"{used} bytes"
    return record


def _judge(record: Record, report: dict[str, object]) -> None:
    commands = [Done(tuple(words), code, said) for words, code, said in report["commands"]]  # type: ignore[attr-defined]
    judged = worst(commands)
    record.outcome, record.said = judged.outcome, judged.said[-4000:]
    record.words = [*judged.words]
    if report["wrong"]:
        record.outcome, record.said = WRONG, str(report["wrong"])


def _wait(child: int, end: float) -> tuple[int, int, bool]:
    """The child's exit status, its memory in bytes, and whether it had to be stopped."""
    pause, late = 0.001, False
    while True:
        done, status, usage = os.wait4(child, os.WNOHANG)
        if done:
            # Kilobytes on Linux, bytes on macOS.
            unit = 1 if sys.platform == "darwin" else 1024
            return os.waitstatus_to_exitcode(status), usage.ru_maxrss * unit, late
        if time.monotonic() > end and not late:
            os.killpg(child, signal.SIGKILL)
            late = True
        time.sleep(pause)
        pause = min(2 * pause, 0.02)


def _in_child(folder: Path, report: Path, case: Case) -> None:
    """Run the case; never returns."""
    os.setsid()
    os.chdir(folder)
    streams = os.open("streams.txt", os.O_WRONLY | os.O_CREAT)
    os.dup2(streams, 1)
    os.dup2(streams, 2)
    # Where a crash came from is told there too.
    faulthandler.enable(streams)
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_BYTES, ADDRESS_BYTES))
    bench = Bench(folder)
    try:
        case(bench)
        commands = [(done.words, done.code, done.said) for done in bench.commands]
        text = json.dumps({"commands": commands, "wrong": bench.wrong})
        report.write_text(text, encoding="utf-8", errors="backslashreplace")
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(3)
    # Without what Python does at the end: pytest and others have registered things to do then.
    os._exit(0)
