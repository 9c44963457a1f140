"""From what the driver knows to programs for crossbars."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from epimc.backends.crossbar.backend import CrossbarProgram
from epimc.backends.crossbar.core.program import Program
from epimc.backends.crossbar.lower.planning import CrossbarCounts
from epimc.backends.crossbar.target.schema import load_target
from epimc.backends.forms import Claim
from epimc.backends.onnx.reading import Exported
from epimc.backends.registry import load_backend
from epimc.bundle.bundle import Bundle
from epimc.compiler.passes import passes_of
from epimc.compiler.planning import PlanResult
from epimc.verification.integer_reference import mismatches_of


def program_in(bundle: Bundle) -> Program:
    """The program for crossbars that a bundle holds."""
    return compiled_in(bundle).program


def compiled_in(bundle: Bundle) -> CrossbarProgram:
    """The same with its target."""
    assert isinstance(bundle.program, CrossbarProgram)
    return bundle.program


def with_program(bundle: Bundle, program: Program) -> Bundle:
    """The bundle with another program for the same target."""
    return replace(bundle, program=CrossbarProgram(program, compiled_in(bundle).target))


def compiled_of(program: Program) -> CrossbarProgram:
    """The program with a target: for what does not depend on which one it is."""
    return CrossbarProgram(program, load_target("tiny"))


def counts_of(planned: PlanResult) -> CrossbarCounts:
    """What a plan counts on crossbars."""
    assert isinstance(planned.counts, CrossbarCounts)
    return planned.counts


def differences(
    exported: Exported,
    program: Program,
    fragments: Mapping[str, bytes],
    claimed: Iterable[Claim] | None = None,
) -> dict[str, int]:
    """How much of an integer reference is not what a program claims."""
    return mismatches_of(exported, compiled_of(program), fragments, claimed)


PASSES = passes_of(load_backend("crossbar"))
"""The common passes and those of the crossbar backend."""
