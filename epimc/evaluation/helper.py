"""The process that helps with an evaluation: told what to do by its standard input.

It is started by `processes.py`, as `python -c` with this module's `main`.
"""

from __future__ import annotations

import os
import sys
from typing import BinaryIO

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
    # Before the job is known: the other process reads and checks meanwhile.
    from epimc.evaluation.frames import receive, send
    from epimc.evaluation.messages import batch_of, begun, stated_error
    from epimc.support.diagnostics import EpimcError, error

    job, _ = receive(orders)
    # Now, and told when there is something to answer.
    worker, refusal = None, error("There is not enough memory.")
    try:
        worker = begun(job)
    except EpimcError as problem:
        refusal = problem
    except MemoryError:
        pass
    while True:
        header, arrays = receive(orders)
        try:
            if worker is None:
                raise refusal
            record = worker.record(batch_of(header, arrays, job["inputs"]))
        except EpimcError as problem:
            send(answers, stated_error(problem), {})
        except MemoryError:
            send(answers, stated_error(error("There is not enough memory.")), {})
        else:
            send(answers, {}, record)
