"""The static checker: refuses a bad program before anything executes it.

Three stages, each on the ground that the one before has made firm: maps, tables and layers by
themselves; every instruction by itself; then an execution of all streams with tags for data.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from epimc.backends.crossbar.check.abstract import AbstractExecution
from epimc.backends.crossbar.check.layers import check_converters, check_layers
from epimc.backends.crossbar.check.maps import check_dataflow, check_maps, check_ports
from epimc.backends.crossbar.check.streams import check_streams
from epimc.backends.crossbar.check.tables import check_reads, check_tables
from epimc.backends.crossbar.core.findings import EnoughError, Findings
from epimc.backends.crossbar.core.program import Program
from epimc.support.diagnostics import Diagnostic

Stage = tuple[Callable[[Findings], None], ...]

TABLES: tuple[Stage, ...] = (
    (check_maps, check_ports, check_tables),
    (check_dataflow,),
    (check_layers,),
    (check_reads,),
)
"""What can be said of maps and tables, whatever the streams are."""

STREAMS: tuple[Stage, ...] = (
    (check_streams,),
    (lambda findings: AbstractExecution(findings).check(),),
)
"""What can be said of the streams of good tables; it takes time in proportion to them."""


CONVERTERS: tuple[Stage, ...] = ((check_converters,),)
"""What depends on the converters of a program that was good before these changed."""


def check(program: Program, stages: Sequence[Stage] = (*TABLES, *STREAMS)) -> list[Diagnostic]:
    """What is wrong with a program, at most 20 diagnostics; empty when it is good.

    Args:
        program: The program.
        stages: All, unless only some are of interest; each takes for granted what those before it
            have checked.
    """
    findings = Findings(program)
    try:
        for stage in stages:
            for part in stage:
                part(findings)
            # On wrong maps a later stage would report nonsense, or fail.
            if findings.diagnostics:
                break
    except EnoughError:
        pass
    return findings.diagnostics
