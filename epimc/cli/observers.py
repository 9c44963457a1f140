"""What the commands have stages tell: the IR, times and progress, all on standard error."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from epimc.ir.observers import CompileObserver, Step
from epimc.ir.text.printer import print_module
from epimc.support.diagnostics import did_you_mean, error

ALL = "all"


@dataclass(frozen=True)
class PrintAfter(CompileObserver):
    """Prints the IR after a stage.

    Attributes:
        name: Of the stage; `all`: after each.
    """

    name: str

    def stage_finished(self, step: Step) -> None:
        """Print the IR, where the stage gives any."""
        if step.module is not None and self.name in (ALL, step.name):
            text = print_module(step.module)
            print(f"// IR after {step.number:02d}-{step.name}\n{text}", file=sys.stderr)


class Timing(CompileObserver):
    """Tells the seconds of each stage."""

    def stage_finished(self, step: Step) -> None:
        """Print the seconds and the name of the stage on standard error."""
        print(f"{step.seconds:8.3f} s  {step.name}", file=sys.stderr)


@dataclass(frozen=True)
class ProgressBar(CompileObserver):
    """Moves a bar.

    Attributes:
        advance: Takes what is being done, and how many stages have finished, with the part of the
            one that goes on.
    """

    advance: Callable[[str, float], None]

    def stage_started(self, name: str, number: int, count: int) -> None:
        """One more has finished."""
        self.advance(name, number)

    def stage_progressed(self, name: str, number: int, done: int, count: int) -> None:
        """Some of a stage's work is done."""
        self.advance(f"{name}, {done} of {count}", number + done / count)


def chosen_observers(
    print_ir_after: str | None, timing: bool, names: Iterable[str]
) -> list[CompileObserver]:
    """The observers that the options of a command ask for.

    Args:
        print_ir_after: A stage, or `all`.
        timing: Whether the times of stages are told.
        names: Of all stages of this run that give IR.

    Raises:
        EpimcError: There is no such stage in this run.
    """
    observers: list[CompileObserver] = []
    if print_ir_after is not None:
        known = [ALL, *names]
        if print_ir_after not in known:
            hint = did_you_mean(print_ir_after, known)
            raise error(f"There is no pass '{print_ir_after}' to print the IR after.", hint=hint)
        observers.append(PrintAfter(print_ir_after))
    return [*observers, Timing()] if timing else observers
