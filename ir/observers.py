"""Who is told of a compile as it goes on: dumps, printing, times, progress, and what users add."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from epimc.ir.core.module import Module

_report: ContextVar[Callable[[int, int], None] | None] = ContextVar("report", default=None)


def report(done: int, count: int) -> None:
    """Tell the observers of the stage that runs, if there is one, how much of it is done.

    Args:
        done: Parts of its work, such as layers or batches.
        count: Parts in all.
    """
    tell = _report.get()
    if tell is not None:
        tell(done, count)


@dataclass
class Step:
    """A stage of a compile.

    Attributes:
        number: Its place among all stages: the import is 0, the first pass 1.
        name: Its name; a pass's own where it is one.
        module: The IR that it gave; None for one that gives none, such as a check.
        program: The backend's program, from the stage that makes it.
        seconds: How long it took, observers not counted; 0 until it is finished.
    """

    number: int
    name: str
    module: Module | None = None
    program: object | None = None
    seconds: float = 0.0


class CompileObserver:
    """Told of every stage; a subclass says what it does about it.

    Where a pass finds nodes that the chip cannot have, all begins anew, with these on the host: the
    stage of number 0 starts once more.

    An exception that an observer raises ends the compile.
    """

    def stage_started(self, name: str, number: int, count: int) -> None:
        """A stage begins.

        Args:
            name: Of the stage.
            number: Its place, from 0 on.
            count: How many stages there are, with those that have run before.
        """

    def stage_progressed(self, name: str, number: int, done: int, count: int) -> None:
        """A stage that may take long goes on.

        Args:
            name: Of the stage.
            number: Its place, from 0 on.
            done: Parts of its work that are done.
            count: Parts in all.
        """

    def stage_finished(self, step: Step) -> None:
        """A stage has given what the step says; not called for one that fails."""


@dataclass
class StageClock:
    """Times stages, numbers them, and tells all observers.

    Attributes:
        count: How many stages there are, with those that ran before the first one.
        observers: Told in this order.
        number: That of the next stage.
    """

    count: int
    observers: Sequence[CompileObserver] = ()
    number: int = 0

    @contextmanager
    def stage(self, name: str) -> Iterator[Step]:
        """One stage, which puts what it gives into the step."""
        step = Step(self.number, name)
        for observer in self.observers:
            observer.stage_started(name, step.number, self.count)

        def tell(done: int, count: int) -> None:
            for observer in self.observers:
                observer.stage_progressed(name, step.number, done, count)

        started, token = time.perf_counter(), _report.set(tell)
        try:
            yield step
        finally:
            _report.reset(token)
        step.seconds = time.perf_counter() - started
        self.number += 1
        for observer in self.observers:
            observer.stage_finished(step)
