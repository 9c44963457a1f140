"""The process that helps with an evaluation: told what to do by its standard input.

It is started by `processes.py`, as `python -c` with this module's `main`.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any, BinaryIO

from epimc.support.interrupts import ignore_signals


def main() -> None:
    """Do what comes in, until there is no more."""
    # Ctrl-C reaches all processes of a terminal; this one ends with the one that started it.
    ignore_signals()
    # What libraries print must not come between the answers.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    try:
        serve(sys.stdin.buffer, answers)
    # The other process has ended, or wants nothing more.
    except (EOFError, BrokenPipeError):
        os._exit(0)


def serve(orders: BinaryIO, answers: BinaryIO) -> None:
    """Take what is to be done, then batches, and answer each with its record or an error.

    Raises:
        EOFError: There are no more.
        OSError: Nobody reads the answers.
    """
    from epimc.evaluation.frames import receive, send
    from epimc.evaluation.messages import batch_of, stated_error
    from epimc.support.diagnostics import EpimcError, error

    job, _ = receive(orders)
    worker = None
    while True:
        header, arrays = receive(orders)
        try:
            if worker is None:
                worker = begun(job)
            record = worker.record(batch_of(header, arrays, job["inputs"]))
        except EpimcError as problem:
            send(answers, stated_error(problem), {})
        except MemoryError:
            send(answers, stated_error(error("There is not enough memory.")), {})
        else:
            send(answers, {}, record)


def begun(job: dict[str, Any]) -> Any:
    """The worker for a job.

    Raises:
        EpimcError: The bundle or the data cannot be read any more, or have changed.
    """
    from epimc.bundle.bundle import read_bundle
    from epimc.evaluation.messages import digest_of
    from epimc.evaluation.options import Model
    from epimc.evaluation.work import Work
    from epimc.samples.opening import reopened
    from epimc.samples.samples import inputs_of
    from epimc.support.diagnostics import error

    bundle = read_bundle(Path(job["bundle"]), job["limit_bytes"])
    if digest_of(bundle) != job["digest"]:
        raise error(f"Bundle '{job['bundle']}' has changed while it was evaluated.")
    source = None
    if job["source"] is not None:
        source = reopened(job["source"], inputs_of(bundle.program), job["limit_bytes"])
        if source.identity() != job["identity"]:
            raise error(f"The {source.subject} has changed while it was evaluated.")
    work = Work(tuple(map(Model.of, job["models"])), job["integers"], job["simulator"])
    return work.begun(bundle, source)
