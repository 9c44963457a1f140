"""Evaluation of models whose inputs and outputs are of any type and number."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import epimc
from epimc.evaluation.options import Integers
from epimc.samples.samples import write_samples
from epimc.support.diagnostics import EpimcError
from tests.end_to_end.host_models import compiled, random
from tests.end_to_end.test_host_values import several
from tests.end_to_end.test_ports import CASES

ALL = ("float", "epitomized", "integers", "program")

# Those that other processes evaluate too, which take a second to start.
SPREAD = ("image", "masked", "whole", "nothing")


@pytest.mark.parametrize("case", CASES)
def test_ports_of_every_type(case: str, tmp_path: Path) -> None:
    model, samples, _, _ = CASES[case]
    session = epimc.compile(model, tmp_path / "out", target="tiny", calibration=samples)
    expected = epimc.evaluate(session, samples, of=ALL)
    assert expected.samples == epimc.verify(session, samples).samples
    choices: tuple[Integers, ...] = ("simulator", "onnxruntime")
    for integers in choices:
        again = epimc.evaluate(session, samples, of=ALL, batch=1, integers=integers)
        assert again.to_json() == expected.to_json()
    for model_ in expected.models[1:]:
        assert [output.name for output in model_.outputs] == [
            argument.name for argument in session.get_outputs()
        ]
    if case == "text":
        with pytest.raises(EpimcError, match="which one process alone evaluates"):
            epimc.evaluate(session, samples, jobs=2)
        return
    state: dict[str, Any] = {"of": ALL, "state": tmp_path / "state"}
    for jobs in (2, 1) if case in SPREAD else (1, 1):
        again = epimc.evaluate(session, samples, batch=1, jobs=jobs, **state)
        assert again.to_json() == expected.to_json()


def test_several_outputs_of_the_host(tmp_path: Path) -> None:
    bundle = compiled(several(), tmp_path)
    samples = {"x": random(5, 3, 6, 5, seed=7)}
    expected = epimc.evaluate(epimc.Session(bundle), samples, of=ALL)
    assert [output.name for output in expected.models[-1].outputs] == ["y", "i", "v"]
    write_samples(tmp_path / "x.npz", samples)
    again = epimc.evaluate(epimc.Session(bundle), tmp_path / "x.npz", of=ALL, batch=2, jobs=2)
    assert again.to_json() == expected.to_json()


def test_several_inputs_in_an_iterable(tmp_path: Path) -> None:
    model, samples, _, _ = CASES["masked"]
    session = epimc.compile(model, tmp_path / "out", target="tiny", calibration=samples)
    parts = [{name: x[k : k + 1] for name, x in samples.items()} for k in range(4)]
    for jobs in (1, 2):
        streamed = epimc.evaluate(session, iter(parts), batch=3, jobs=jobs)
        assert streamed.to_json() == epimc.evaluate(session, samples).to_json()
