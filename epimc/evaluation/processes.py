"""Batches spread over processes: this one works too, and one thread waits for each other one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from queue import Empty, SimpleQueue
from typing import Any, BinaryIO, TypeAlias

from epimc.evaluation.frames import receive, send
from epimc.evaluation.messages import batch_message, error_in
from epimc.evaluation.records import Record
from epimc.evaluation.work import Batch, Worker
from epimc.samples.sources import Source
from epimc.support.diagnostics import error
from epimc.support.interrupts import at_interrupt, no_longer

# As this process has it: what it can import, the other one can.
START = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from epimc.evaluation.helper import main
main()
"""

ONE_THREAD = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
"""What has a process compute on one thread; the user's own settings stay."""

Done: TypeAlias = "tuple[Batch, Record]"


class Helper:
    """Another process that does the same work.

    It is started anew, not forked: threads and locks of this process are none of its own.
    """

    def __init__(self) -> None:
        """Start it.

        Raises:
            EpimcError: The system refuses, or it is not known which Python runs here.
        """
        if not sys.executable:
            raise error(
                "No other process can be started: Python does not say where it lies.",
                hint="Evaluate with one job.",
            )
        environment = {**dict.fromkeys(ONE_THREAD, "1"), **os.environ}
        command = [sys.executable, "-c", START, json.dumps([*map(str, sys.path)])]
        try:
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
            )
        except OSError as caught:
            raise error(
                f"Another process cannot be started: {caught.strerror}.",
                hint="Evaluate with fewer jobs.",
            ) from None
        at_interrupt(self.kill)

    @property
    def streams(self) -> tuple[BinaryIO, BinaryIO]:
        """What it reads, and what it writes."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        return self.process.stdin, self.process.stdout  # type: ignore[return-value]

    def begin(self, job: dict[str, Any]) -> None:
        """Tell it what is to be done.

        Raises:
            EpimcError: It has ended.
        """
        self.ask(job, {})

    def record(self, batch: Batch, source: Source | None, inputs: list[str]) -> Record:
        """What a batch comes to.

        Raises:
            EpimcError: As `Worker.record`, or it has ended.
        """
        self.ask(*batch_message(batch, source, inputs))
        try:
            header, record = receive(self.streams[1])
        except (EOFError, OSError):
            raise self.ended() from None
        if (problem := error_in(header)) is not None:
            raise problem
        return record

    def ask(self, header: dict[str, Any], arrays: Record) -> None:
        """Send it a message."""
        try:
            send(self.streams[0], header, arrays)
        except OSError:
            raise self.ended() from None

    def ended(self) -> Exception:
        """The error for a process that has ended before its time."""
        code = self.process.wait()
        return error(
            f"A process of the evaluation has ended, with the exit code {code}.",
            hint="Where memory was short, use fewer --jobs, or a smaller --batch.",
        )

    def kill(self) -> None:
        """End it now."""
        with suppress(OSError):
            self.process.kill()

    def close(self) -> None:
        """End it, and wait for that."""
        self.kill()
        self.process.wait()
        for stream in self.streams:
            with suppress(OSError):
                stream.close()
        no_longer(self.kill)


class Helpers:
    """Other processes, which end with a stack."""

    def __init__(self, stack: ExitStack) -> None:
        """Start none yet."""
        self.stack, self.started = stack, list[Helper]()

    def start(self, count: int) -> list[Helper]:
        """So many of them, those first that are there already.

        Raises:
            EpimcError: As of `Helper`.
        """
        while len(self.started) < count:
            self.started.append(self.stack.enter_context(closing(Helper())))
        return self.started[:count]


class Queue:
    """Batches that are taken by several threads, each once."""

    def __init__(self, batches: Iterator[Batch]) -> None:
        """Take an iterator, which is asked by one thread at a time."""
        self.batches, self.lock, self.closed = batches, threading.Lock(), False

    def take(self) -> Batch | None:
        """The next one; None where there are no more."""
        with self.lock:
            return None if self.closed else next(self.batches, None)

    def close(self) -> None:
        """Give nothing more."""
        self.closed = True


def worked_off(
    batches: Iterator[Batch], worker: Worker, helpers: list[Helper], inputs: list[str]
) -> Iterator[Done]:
    """All batches with what they come to, in the order in which they are done.

    Args:
        batches: They may be made as they are asked for.
        worker: Works in this process.
        helpers: The other processes, which know what is to be done.
        inputs: The names of the inputs.

    Raises:
        EpimcError: One of them fails; the others are not waited for.
    """
    queue = Queue(batches)
    answers: SimpleQueue[Done | Exception | None] = SimpleQueue()

    def wait_for(helper: Helper) -> None:
        try:
            while (batch := queue.take()) is not None:
                answers.put((batch, helper.record(batch, worker.source, inputs)))
            answers.put(None)
        # It is raised again where all of them come together.
        except Exception as problem:
            answers.put(problem)

    threads = [threading.Thread(target=wait_for, args=(each,), daemon=True) for each in helpers]
    for thread in threads:
        thread.start()
    try:
        while (batch := queue.take()) is not None:
            yield batch, worker.record(batch)
            yield from ready(answers)
        for thread in threads:
            thread.join()
        yield from ready(answers)
    finally:
        queue.close()
        for helper in helpers:
            helper.kill()
        for thread in threads:
            thread.join()


def ready(answers: SimpleQueue[Done | Exception | None]) -> Iterator[Done]:
    """What the other processes have done by now.

    Raises:
        Exception: What one of them has failed by.
    """
    with suppress(Empty):
        while True:
            answer = answers.get_nowait()
            if isinstance(answer, Exception):
                raise answer
            if answer is not None:
                yield answer
