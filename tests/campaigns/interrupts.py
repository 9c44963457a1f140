"""Compiles that are stopped on the way: by signals at any moment, or by a disk that is full.

Afterwards the old bundle or the new one is there and loads, and nothing else is left when the next
compile is done.
"""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from types import FrameType
from typing import Any

from epimc.bundle.bundle import read_bundle
from epimc.cli.main import main
from epimc.support.diagnostics import EpimcError
from epimc.support.interrupts import end_at_signals, ignore_signals
from tests.campaigns.sandbox import Bench

MODEL = "hosted"
OLD = ("--target", "tiny", "--weight-bits", "4", "--activation-bits", "6")
NEW = ("--target", "tiny", "--weight-bits", "3", "--activation-bits", "5")
# A compile of the model takes less, so that some signals come too late.
LONGEST = 1.5
# Of the whole program, from its first instruction on, which is most of the time.
STARTING = 2.0

# Where files are written.
WRITERS = ("support/writing.py", "support/workshops.py", "support/exchange.py", "bundle/bundle.py")


def words(seeds: Path, options: tuple[str, ...]) -> list[str]:
    """A compile of the model into the folder `out`."""
    samples = ["--calibration", str(seeds / f"{MODEL}.npz")]
    return ["compile", str(seeds / f"{MODEL}.onnx"), "-o", "out", *samples, *options]


def identity(folder: Path) -> bytes | None:
    """What tells a bundle from another; None where it is none that loads."""
    try:
        read_bundle(folder)
        return (folder / "manifest.json").read_bytes()
    except EpimcError:
        return None


def place_old(random: Random, seeds: Path) -> set[bytes]:
    """Perhaps put an old bundle into the place; what of manifests may be there afterwards."""
    if random.random() < 0.8:
        shutil.copytree(seeds / MODEL, "out")
        return {(seeds / MODEL / "manifest.json").read_bytes()}
    return set()


def judge(bench: Bench, seeds: Path, before: set[bytes]) -> None:
    """The old or the new bundle is there, and the next compile leaves nothing but the new one."""
    there = Path("out").exists()
    seen = identity(Path("out")) if there else None
    if bench.run(*words(seeds, NEW)).code != 0:
        bench.complain("the next compile fails")
        return
    new = identity(Path("out"))
    if (there and seen not in {*before, new}) or (before and not there):
        bench.complain("neither the old nor the new bundle is there")
    left = sorted(set(os.listdir()) - {"out", "streams.txt", "report.json"})
    if left:
        bench.complain(f"left behind: {', '.join(left)}")


def _signalled(random: Random, seeds: Path, bench: Bench, number: signal.Signals) -> None:
    before = place_old(random, seeds)
    code = (
        _of_program(random, seeds, number)
        if random.random() < 0.3
        else _of_fork(random, seeds, number)
    )
    allowed = {0, -number, 128 + number}
    if code not in allowed:
        bench.complain(f"the exit code is {code} after {number.name}")
    said = Path("said.txt").read_text("utf-8", "replace")
    Path("said.txt").unlink()
    if "Traceback" in said or "Error" in said:
        bench.complain(f"after {number.name}: {said[-1500:]}")
    judge(bench, seeds, before)


def _of_fork(random: Random, seeds: Path, number: signal.Signals) -> int:
    """Send a signal to a compile whose imports are done."""
    child = os.fork()
    if child == 0:
        handle = os.open("said.txt", os.O_WRONLY | os.O_CREAT)
        os.dup2(handle, 1)
        os.dup2(handle, 2)
        heed()
        end_at_signals()
        code = main(words(seeds, NEW))
        ignore_signals()
        sys.stderr.flush()
        os._exit(code)
    time.sleep(random.uniform(0, LONGEST))
    return _sent(random, child, number)


def _of_program(random: Random, seeds: Path, number: signal.Signals) -> int:
    """Send a signal to a compile that has just been started, as users do."""
    with open("said.txt", "wb") as said:
        command = [sys.executable, "-m", "epimc", *words(seeds, NEW)]
        child = subprocess.Popen(command, stdout=said, stderr=said, preexec_fn=heed)
    # Python itself, before it comes to the program, says what it likes.
    time.sleep(0.1 + random.uniform(0, STARTING) ** 2 / STARTING)
    code = _sent(random, child.pid, number)
    child.returncode = code
    return code


def heed() -> None:
    """Ctrl-C is ignored in the background of a script, and so it is in what that starts."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _sent(random: Random, child: int, number: signal.Signals) -> int:
    """Send a signal, perhaps twice; the exit code."""
    for _ in range(random.choice((1, 1, 2))):
        try:
            os.kill(child, number)
        except ProcessLookupError:
            break
        time.sleep(random.uniform(0, 0.05))
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def killed(random: Random, seeds: Path, bench: Bench) -> None:
    """kill -9."""
    _signalled(random, seeds, bench, signal.SIGKILL)


def interrupted(random: Random, seeds: Path, bench: Bench) -> None:
    """Ctrl-C."""
    _signalled(random, seeds, bench, signal.SIGINT)


def terminated(random: Random, seeds: Path, bench: Bench) -> None:
    """What ends a process that runs on a cluster."""
    _signalled(random, seeds, bench, signal.SIGTERM)


class Interrupter:
    """Raises KeyboardInterrupt at a line of the modules that write files.

    Attributes:
        countdown: Lines until then.
    """

    def __init__(self, countdown: int) -> None:
        self.countdown = countdown

    def __call__(self, frame: FrameType, event: str, argument: Any) -> Any:
        """Watch the frames of those modules."""
        del event, argument
        return self.line if frame.f_code.co_filename.endswith(WRITERS) else None

    def line(self, frame: FrameType, event: str, argument: Any) -> Any:
        """Count a line."""
        del frame, argument
        if event == "line":
            self.countdown -= 1
            if self.countdown == 0:
                raise KeyboardInterrupt
        return self.line


def traced(interrupter: Interrupter, action: Callable[[], object]) -> None:
    """Do something with an interrupter at work."""
    sys.settrace(interrupter)
    try:
        action()
    finally:
        sys.settrace(None)


def injected(random: Random, seeds: Path, bench: Bench) -> None:
    """A KeyboardInterrupt at any line that writes a bundle, as Ctrl-C raises it."""
    from epimc.bundle.bundle import write_bundle

    before = place_old(random, seeds)
    bundle = read_bundle(seeds / MODEL)
    counted = Interrupter(-1)
    traced(counted, lambda: write_bundle(Path("counted"), bundle))
    shutil.rmtree("counted")
    lines = -1 - counted.countdown
    chosen = Interrupter(random.randrange(1, lines + 1))
    try:
        traced(chosen, lambda: write_bundle(Path("out"), bundle))
    except KeyboardInterrupt:
        pass
    except EpimcError as problem:
        bench.complain(f"an interrupt becomes an error: {problem}")
    if Path("out").exists():
        if identity(Path("out")) is None:
            bench.complain("what is there does not load")
    elif before:
        bench.complain("the old bundle is gone")
    write_bundle(Path("out"), bundle)
    left = sorted(set(os.listdir()) - {"out", "streams.txt"})
    if left:
        bench.complain(f"left behind after line {chosen.countdown} of {lines}: {', '.join(left)}")
    bench.run("inspect", "out")


def full_disk(random: Random, seeds: Path, bench: Bench) -> None:
    """No file may be larger than some bytes, as on a full disk."""
    before = place_old(random, seeds)
    allowed = int(10 ** random.uniform(0, 5.5))
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (allowed, usual[1]))
    bench.run(*words(seeds, NEW))
    samples = str(seeds / f"{MODEL}.npz")
    bench.run("run", str(seeds / MODEL), "--input", samples, "--output", "y.npz")
    bench.run("opt", str(next(iter(sorted(seeds.glob("*-ir/*.epi"))))), "-o", "y.epi")
    bench.run("disasm", str(seeds / MODEL / "program.bin"), "-o", "y.asm")
    codes = {done.words[0]: done.code for done in bench.commands}
    resource.setrlimit(resource.RLIMIT_FSIZE, usual)
    for name, command in (("y.npz", "run"), ("y.epi", "opt"), ("y.asm", "disasm")):
        if Path(name).exists() and codes[command] != 0:
            bench.complain(f"'{command}' has failed and left '{name}'")
        Path(name).unlink(missing_ok=True)
    shutil.rmtree("tensors", ignore_errors=True)
    judge(bench, seeds, before)
