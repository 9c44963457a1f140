"""What tests learn of a compile."""

from __future__ import annotations

from dataclasses import dataclass, field

from epimc.ir.core.module import Module
from epimc.ir.observers import CompileObserver, Step


@dataclass
class Observed(CompileObserver):
    """Keeps all that it is told.

    Attributes:
        started: Name, number and count of each stage that began.
        steps: Those that finished.
    """

    started: list[tuple[str, int, int]] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)

    def stage_started(self, name: str, number: int, count: int) -> None:
        """Keep it."""
        self.started.append((name, number, count))

    def stage_finished(self, step: Step) -> None:
        """Keep it."""
        self.steps.append(step)

    @property
    def modules(self) -> dict[str, Module]:
        """The IR after each stage that gives any, by the stage's name."""
        return {step.name: step.module for step in self.steps if step.module is not None}
