"""Random graphs of what the chip computes and what the host runs: any types, ranks and orders.

Each case is compiled, checked, run and compared with onnxruntime, as those of all other suites;
and what the user's model gives, the program gives under the same names, in the same types and
shapes.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, seed, settings

import epimc
from epimc.backends.registry import load_backend
from epimc.runtime.guard import GuardedSession
from epimc.runtime.session import Session
from epimc.support.limits import DEFAULT_BYTES
from epimc.support.port_types import apart, joined
from tests.end_to_end.running import Done, assert_all, compiled, same
from tests.helpers.strategies.cases import Case, cases
from tests.helpers.strategies.mixed import mixed

SEED, FEW, MANY = 1, 40, 300
TOYCHIP = Path(__file__).parents[1] / "data" / "toychip"


def assert_outputs_of_users(case: Case, done: Done) -> None:
    """Names, types and shapes are those of the model; the numbers too, where the host has all."""
    session, program = Session(done.bundle), done.program
    assert [port.name for port in session.get_outputs()] == [
        output.name for output in case.model.graph.output
    ]
    results = session.run(None, case.samples)
    data = case.model.SerializeToString()
    reference = GuardedSession(data, "the model", limit_bytes=DEFAULT_BYTES)
    feeds = {port.name: apart(port.port_type, case.samples[port.name]) for port in program.inputs}
    names = [port.name for port in program.outputs]
    # Of a model that takes several samples at once they are the same.
    sizes = {name: shape[0] for name, shape in reference.inputs.items()}
    first = all(port.port_type.samples_first for port in program.inputs)
    times = size if first and isinstance(size := sizes[program.inputs[0].name], int) else 1
    rows = []
    for k in range(len(next(iter(case.samples.values())))):
        sample = {name: np.repeat(values[k], times, axis=0) for name, values in feeds.items()}
        values = reference.run(names, sample)
        rows.append([value[: len(value) // times] for value in values] if times > 1 else values)
    share = done.bundle.manifest.on_chip
    assert share is not None
    for port, ours, theirs in zip(program.outputs, results, zip(*rows, strict=True), strict=True):
        expected = joined(port.port_type, theirs)
        if share.nodes_on_chip == 0:
            assert same(ours, expected), port.name
        assert alike(ours, expected, fixed=port.port_type.shape is not None), port.name


def alike(ours: Any, theirs: Any, *, fixed: bool) -> bool:
    """Whether two values are of one type, and of one shape where that does not depend on data."""
    if isinstance(ours, np.ndarray) and isinstance(theirs, np.ndarray):
        return ours.dtype == theirs.dtype and (not fixed or ours.shape == theirs.shape)
    if not isinstance(ours, (list, np.ndarray)):
        return type(ours) is type(theirs)
    # Where shapes differ from sample to sample there is a list of samples.
    pairs = zip(ours, theirs, strict=True)
    return all(alike(one, other, fixed=fixed) for one, other in pairs)


def hold_for_all(count: int, chosen: int) -> Counter[str]:
    """Try so many cases; what occurred in them."""
    seen: Counter[str] = Counter()

    @seed(chosen)
    @settings(
        max_examples=count, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(cases(mixed()))
    def check(case: Case) -> None:
        with compiled(case) as done:
            assert_all(case, done)
            assert_outputs_of_users(case, done)
            seen.update(["cases", *occurring(done)])

    check()
    return seen


OCCURRING = (
    "chip alone",
    "host alone",
    "chip before host",
    "host before chip",
    "several calls",
    "several operands",
    "several results",
    "values between calls",
    "inputs of other types",
    "outputs of other types",
    "one sample is all",
    "data choose shapes",
)
"""All that must occur again and again."""


def occurring(done: Done) -> set[str]:
    """Those of OCCURRING that a case has."""
    program = done.program
    quantized = done.modules["quantize"]
    kinds = [op.name for op in quantized.ops]
    calls = [op for op in quantized.ops if op.name == "host.call"]
    results = [op for op in quantized.ops if op.name == "host.result"]
    of_calls = Counter(op.operands[0].name for op in results)
    read = {operand for op in calls for operand in op.operands}
    types = [[port.port_type for port in ports] for ports in (program.inputs, program.outputs)]
    holds = {
        "chip alone": not calls,
        "host alone": all(feature.is_token for feature in program.maps),
        "chip before host": any(not value.type.is_host for value in read),
        "host before chip": "host.real" in kinds,
        "several calls": len(calls) > 1,
        "several operands": any(len(op.operands) > 1 for op in calls),
        "several results": any(count > 1 for count in of_calls.values()),
        "values between calls": any(op.output in read for op in results),
        "inputs of other types": any(kind.kind != "tensor(float)" for kind in types[0]),
        "outputs of other types": any(kind.kind != "tensor(float)" for kind in types[1]),
        "one sample is all": not all(kind.samples_first for kind in types[0]),
        "data choose shapes": any(kind.is_tensor and kind.shape is None for kind in types[1]),
    }
    return {name for name, is_present in holds.items() if is_present}


@pytest.mark.usefixtures("new_cases")
@pytest.mark.parametrize(
    ("count", "chosen"), [(FEW, SEED), pytest.param(MANY, SEED + 1, marks=pytest.mark.slow)]
)
def test_every_mixed_graph_is_exact(count: int, chosen: int) -> None:
    seen = hold_for_all(count, chosen)
    assert seen["cases"] >= count
    assert not {name: seen[name] for name in OCCURRING if seen[name] < 2}, seen


@pytest.mark.usefixtures("new_cases")
def test_a_backend_of_another_package_gives_the_same(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    monkeypatch.syspath_prepend(str(TOYCHIP))
    load_backend.cache_clear()

    @seed(SEED)
    @settings(
        max_examples=15, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(cases(mixed()))
    def check(case: Case) -> None:
        sessions = [
            epimc.compile(
                case.model,
                tmp_path_factory.mktemp(name) / "out",
                calibration=case.samples,
                backend=name,
            )
            for name in ("crossbar", "toychip")
        ]
        assert epimc.verify(sessions[1]).exact
        results = [session.run(None, case.samples) for session in sessions]
        assert all(map(same, *results))

    try:
        check()
    finally:
        load_backend.cache_clear()
