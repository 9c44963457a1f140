"""Tests in processes of their own: a crash, or a test without an end, costs that test alone."""

from __future__ import annotations

import json
import os
import queue
import select
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.conformance.records import BARRED, CRASHED, Record, from_json

ROOT = Path(__file__).parent.parent.parent

# Seconds that a process may take to load the suite, and then for each test.
MOST_LOADING, MOST_SECONDS = 300.0, 300.0

SERVER = (sys.executable, "-m", "tests.conformance.workers")

READY, BEGUN = "ready", "begun"


class EndedError(Exception):
    """The process crashed, or took too long; its text says which."""


class Worker:
    """A process that runs one test after the other, started when it is needed.

    Attributes:
        command: Starts it.
        seconds: That a test may take.
    """

    def __init__(self, command: Sequence[str] = SERVER, seconds: float = MOST_SECONDS) -> None:
        """Nothing is started."""
        self.command, self.seconds = command, seconds
        self.process: subprocess.Popen[bytes] | None = None
        self.pending = b""

    def start(self) -> subprocess.Popen[bytes]:
        """The process, ready.

        Raises:
            RuntimeError: It does not start, as no test could have been the cause.
        """
        if self.process is None:
            environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
            self.pending = b""
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                cwd=ROOT,
                env=environment,
            )
            try:
                self.line(time.monotonic() + MOST_LOADING)
            except EndedError as problem:
                self.stop()
                raise RuntimeError(f"{' '.join(self.command)} does not start: {problem}") from None
        return self.process

    def run(self, test: str) -> Record:
        """One test."""
        status = BARRED
        try:
            process = self.start()
            assert process.stdin
            process.stdin.write(f"{test}\n".encode())
            process.stdin.flush()
            end = time.monotonic() + self.seconds
            message = self.line(end)
            if message == BEGUN:
                # From here on it is epimc's: onnxruntime has passed the test.
                status = CRASHED
                message = self.line(end)
        except (EndedError, BrokenPipeError) as problem:
            self.stop()
            return Record(test, status, said=str(problem) or "the process crashed")
        assert isinstance(message, dict)
        return from_json(message)

    def line(self, end: float) -> Any:
        """What the process says next.

        Raises:
            EndedError: It says nothing until the end, or nothing more.
        """
        assert self.process
        assert self.process.stdout
        while b"\n" not in self.pending:
            left = end - time.monotonic()
            ready, _, _ = select.select([self.process.stdout], [], [], max(left, 0))
            if not ready:
                raise EndedError("it took too long")
            data = os.read(self.process.stdout.fileno(), 2**16)
            if not data:
                raise EndedError(f"the process ended with {self.process.wait()}")
            self.pending += data
        first, _, self.pending = self.pending.partition(b"\n")
        return json.loads(first)

    def stop(self) -> None:
        """End the process; the next test starts another."""
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
            self.process = None


def run_all(tests: Iterable[str], jobs: int, took: Callable[[Record], None]) -> None:
    """Run tests in so many processes; `took` is called in the caller's thread.

    Raises:
        RuntimeError: A process does not start.
    """
    waiting: queue.SimpleQueue[str] = queue.SimpleQueue()
    done: queue.SimpleQueue[Record | RuntimeError | None] = queue.SimpleQueue()
    for test in tests:
        waiting.put(test)
    stopped = threading.Event()

    def work() -> None:
        worker = Worker()
        try:
            while not stopped.is_set():
                done.put(worker.run(waiting.get_nowait()))
        except queue.Empty:
            pass
        except RuntimeError as problem:
            done.put(problem)
        finally:
            worker.stop()
            done.put(None)

    threads = [threading.Thread(target=work) for _ in range(jobs)]
    for thread in threads:
        thread.start()
    try:
        running = jobs
        while running:
            record = done.get()
            if isinstance(record, RuntimeError):
                raise record
            if record is None:
                running -= 1
            else:
                took(record)
    finally:
        stopped.set()
        for thread in threads:
            thread.join()


def serve() -> None:
    """Run the tests that standard input names, a line each."""
    # Standard output has the records: what libraries print there goes nowhere.
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    warnings.simplefilter("ignore")
    from tests.conformance.running import run
    from tests.conformance.suite import trials

    def tell(message: object) -> None:
        print(json.dumps(message), file=channel, flush=True)

    known = trials()
    tell(READY)
    for line in sys.stdin:
        tell(asdict(run(known[line.strip()](), lambda: tell(BEGUN))))


if __name__ == "__main__":
    serve()
