"""What an engine is: it is made of a program and these options, and runs batches of samples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from epimc.backends.crossbar.core.program import Program
from epimc.backends.crossbar.isa.execution import Observer, Strategy

HostRunner = Callable[[str, list[Any], int], list[Any]]
"""Runs a fragment: its name, its operands, how many samples; its results.

An operand is float32 [samples, C, H, W], or a sequence with a value for each sample; so is a
result.
"""

Arrays = dict[str, Any]
"""float32 [samples, *shape] for every input, or output, by name; of the host a value a sample."""


@dataclass(frozen=True)
class EngineOptions:
    """What an engine is made with.

    Attributes:
        path: How crossbars compute, a name in `paths.PATHS`.
        host: Runs the program's host calls; None where there are none.
        strategy: Which tile goes on next.
        threads: How many to use at most.
    """

    path: str
    host: HostRunner | None
    strategy: Strategy
    threads: int = 1


class Engine(Protocol):
    """A program, prepared for execution."""

    def __init__(self, program: Program, options: EngineOptions) -> None:
        """Prepare a program: all that does not depend on the samples is done here, once."""

    def sample_bytes(self, *, watched: bool) -> int:
        """The bytes of memory that a sample takes while the program is executed.

        Args:
            watched: Whether observers are told of rows.
        """

    def run(self, inputs: Arrays, observers: Sequence[Observer]) -> Arrays:
        """The outputs for all samples of the inputs, at once.

        Raises:
            EpimcError: The program is deadlocked.
        """
