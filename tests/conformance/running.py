"""One test: through onnxruntime, then compiled, run and verified."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from onnx.backend.test.runner import Runner

import epimc
from epimc.bundle.bundle import Bundle
from tests.conformance.baseline import Baseline
from tests.conformance.records import BARRED, CHIP, FAILED, HOST, MIXED, REFUSED, Record
from tests.conformance.rules import Verdict, different_kind, judged
from tests.conformance.suite import DataSet, Trial, Value

MOST_SAID = 200


@dataclass(frozen=True)
class Share:
    """Which operators of a model ran where; one may stand in both.

    Attributes:
        chip: Those that compute on the chip.
        host: Those that the host runs.
        on_host: Whether no node at all is on the chip, neither one that computes nothing.
    """

    chip: tuple[str, ...]
    host: tuple[str, ...]
    on_host: bool

    @property
    def status(self) -> str:
        """Of a test that passes."""
        if self.on_host:
            return HOST
        return MIXED if self.host else CHIP


def run(trial: Trial, begun: Callable[[], None] = lambda: None) -> Record:
    """Run a test.

    Args:
        trial: The test.
        begun: Called when onnxruntime has passed it, before epimc begins.
    """
    record = Record(trial.name, BARRED, operators=trial.operators)
    if said := barred(trial):
        return replace(record, said=said)
    begun()
    start = time.monotonic()
    try:
        record = compiled(trial, record)
    except Exception as problem:
        # A defect: told with its type, as no user should see it.
        said = f"{type(problem).__name__}: {first_line(problem)}"
        record = replace(record, status=FAILED, said=said)
    return replace(record, seconds=round(time.monotonic() - start, 3))


def barred(trial: Trial) -> str:
    """Why onnxruntime does not pass a test; empty where it does."""
    try:
        baseline = Baseline(trial.model)
    except Exception as problem:
        return f"onnxruntime refuses it: {first_line(problem)}"
    for data in trial.data:
        try:
            outputs = baseline.run(data.inputs)
        except Exception as problem:
            return f"onnxruntime does not run it: {first_line(problem)}"
        computed = [outputs[name] for name in data.outputs]
        try:
            Runner.assert_similar_outputs(
                [*data.outputs.values()], computed, trial.rtol, trial.atol
            )
        except (AssertionError, TypeError, AttributeError) as problem:
            return f"onnxruntime gives other results: {first_line(problem)}"
    return ""


def first_line(problem: Exception) -> str:
    """What an exception says first that is no empty line, shortened."""
    lines = (line.strip() for line in str(problem).splitlines())
    return next((line for line in lines if line), type(problem).__name__)[:MOST_SAID]


def compiled(trial: Trial, record: Record) -> Record:
    """Through epimc: compiled with the test's own inputs, verified, run and judged."""
    try:
        prepared = epimc.backend.prepare(trial.model, calibration=calibration(trial) or None)
        prepared.fit(trial.data[0].inputs)
    except epimc.EpimcError as problem:
        return replace(record, status=REFUSED, said=said_by(problem))
    share = share_of(prepared.session.bundle)
    fixed = tuple(sorted(prepared.constants))
    record = replace(record, chip=share.chip, host=share.host, fixed=fixed)
    try:
        exact, runs = True, []
        for data in trial.data:
            runs.append((data, prepared.run(data.inputs)))
            # Of the program that has run: parameters may differ from one to the other.
            exact = exact and epimc.verify(prepared.session).exact
    except epimc.EpimcError as problem:
        return replace(record, status=FAILED, said=said_by(problem))
    verdict = Verdict("" if exact else "not exact")
    names = [port.name for port in trial.model.graph.output]
    for data, outputs in runs:
        verdict = verdict.worse(verdict_of(trial, names, data, outputs, on_host=share.on_host))
    status = FAILED if verdict.problem else share.status
    return replace(
        record,
        status=status,
        said=verdict.problem,
        sqnr_db=verdict.sqnr_db,
        cosine=verdict.cosine,
    )


def verdict_of(
    trial: Trial, names: list[str], data: DataSet, outputs: tuple[Any, ...], *, on_host: bool
) -> Verdict:
    """What becomes of one run."""
    if len(outputs) != len(names):
        return Verdict(f"{len(outputs)} outputs instead of {len(names)}")
    by_name = dict(zip(names, outputs, strict=True))
    for name, value in by_name.items():
        if outputs[name] is not value:  # type: ignore[call-overload]  # It has names, too.
            return Verdict(f"there is no output '{name}'")
    if trial.weightless:
        pairs = [(by_name[name], value) for name, value in data.outputs.items()]
        return Verdict(next(filter(None, (different_kind(*pair) for pair in pairs)), ""))
    tolerance = (trial.rtol, trial.atol)
    return judged(by_name, data.outputs, data.inputs, tolerance, on_host=on_host)


def calibration(trial: Trial) -> list[Mapping[str, Value]]:
    """The test's own inputs as samples: a batch for each data set."""
    tensors = {port.name for port in trial.model.graph.input if port.type.HasField("tensor_type")}
    return [
        # Of what is no tensor, samples are a list.
        {name: value if name in tensors else [value] for name, value in data.inputs.items()}
        for data in trial.data
        # A model without inputs has nothing to calibrate with.
        if data.inputs
    ]


def said_by(problem: epimc.EpimcError) -> str:
    """The message of an error, with its first note."""
    diagnostic = problem.diagnostic
    where = f" ({diagnostic.where})" if diagnostic.where else ""
    notes = f" {diagnostic.notes[0]}" if diagnostic.notes else ""
    return f"{diagnostic.message}{where}{notes}".replace("\n", " ")[:MOST_SAID]


def share_of(bundle: Bundle) -> Share:
    """What the program computes, what it has the host run, and whether that is all."""
    program = bundle.program
    host = {node for call in program.host_calls for node in call.nodes}
    computed = {node for feature in program.computed_maps for node in feature.nodes}
    return Share(
        tuple(sorted({kind for kind, _ in computed - host})),
        tuple(sorted({kind for kind, _ in host})),
        on_host=bundle.manifest.on_chip.nodes_on_chip == 0,
    )
