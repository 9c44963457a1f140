"""The options of a simulator, as commands take them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from epimc.support.options import Option, values_of


@dataclass(frozen=True, kw_only=True)
class ExecutionOptions:
    """How a program is executed; None: as the backend's simulator does by itself.

    Attributes:
        engine: What executes the program; of crossbars `ssa`, map by map, or `bytes`, instruction
            by instruction.
        path: How arrays compute; of crossbars `fused`, `bit-serial`, or `auto`.
    """

    engine: Annotated[
        str | None, Option("What executes the program: ssa (fast) or bytes.", metavar="NAME")
    ] = None
    path: Annotated[
        str | None, Option("How arrays compute: auto, fused or bit-serial.", metavar="NAME")
    ] = None

    @property
    def chosen(self) -> dict[str, str | int]:
        """Those that are set, for the backend."""
        values = values_of(type(self), self)
        return {name: value for name, value in values.items() if value is not None}


@dataclass(frozen=True, kw_only=True)
class SimulatorOptions(ExecutionOptions):
    """What of a program is simulated how; None: as the backend's simulator does by itself.

    Attributes:
        threads: How many may compute at the same time.
        adc_bits: Of the converters, in the place of the target's.
    """

    threads: Annotated[
        int | None, Option("How many threads to compute with; else 1.", minimum=1, metavar="N")
    ] = None

    adc_bits: Annotated[
        int | None, Option("Bits of the ADCs; else the target's.", minimum=1, metavar="N")
    ] = None
