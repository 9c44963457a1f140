"""What the host knows while a program runs: what the engines have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from epimc.backends.crossbar.core.program import Program
from epimc.backends.crossbar.sim.engine import HostRunner
from epimc.support.diagnostics import error


class HostValues:
    """The half of an `instructions.host.HostState` that needs no maps.

    Attributes:
        program: That runs.
        batch: Its samples.
        runner: Runs host calls; None where there are none.
        known: By the host's tokens, for each of the values one a sample.
    """

    program: Program
    batch: int
    runner: HostRunner | None
    known: dict[int, Sequence[Sequence[Any]]]

    def values(self, token: int, result: int) -> Sequence[Any]:
        """A value of the host for each sample.

        Raises:
            EpimcError: The call has no such result.
        """
        known = self.known[token]
        if result >= len(known):
            name = self.program.maps[token].name
            raise error(f"The host gives {len(known)} results for '{name}', and no {result}.")
        return known[result]

    def call(self, token: int, fragment: str, operands: list[Any]) -> None:
        """Have the host run a fragment, and keep its results under a token."""
        assert self.runner is not None
        self.known[token] = self.runner(fragment, operands, self.batch)
