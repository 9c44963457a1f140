"""Calibrated ADCs against the sums that the samples really make."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from epimc.backends.crossbar.core.limits import CALIBRATED_SAMPLES
from epimc.backends.crossbar.core.program import Program
from epimc.backends.crossbar.sim.calibration import calibrated_steps
from epimc.backends.crossbar.sim.simulator import Arrays
from epimc.ir.semantics.converters import smallest_step
from tests.backends.crossbar.layer_tallies import layer_tallies
from tests.backends.crossbar.programs import PROGRAMS, sum_and_mean


def samples_of(program: Program, count: int) -> Arrays:
    """Small random inputs, all different."""
    random = np.random.default_rng(3)
    ports = program.chip_inputs
    return {p.name: random.uniform(-3, 30, (count, *p.shape)).astype(np.float32) for p in ports}


@pytest.mark.parametrize("rows_per_read", [0, 3])
@pytest.mark.parametrize("name", ["split", "groups", "host"])
def test_the_step_is_the_smallest_that_clips_nothing(name: str, rows_per_read: int) -> None:
    program = PROGRAMS[name]()
    program = replace(program, chip=replace(program.chip, adc_bits=3, rows_per_read=rows_per_read))
    inputs = samples_of(program, 2)
    tallies = layer_tallies(program, inputs, "fused")
    expected = {number: smallest_step(3, tally.highest) for number, tally in tallies.items()}
    assert max(expected.values()) > 1
    assert calibrated_steps(program, inputs, sum_and_mean) == expected
    swapped = {key: values[::-1] for key, values in inputs.items()}
    assert calibrated_steps(program, swapped, sum_and_mean) == expected


def test_only_the_first_samples_count() -> None:
    program = PROGRAMS["split"]()
    program = replace(program, chip=replace(program.chip, adc_bits=3))
    inputs = {name: x * 0 for name, x in samples_of(program, CALIBRATED_SAMPLES).items()}
    quiet = calibrated_steps(program, inputs, None)
    loud = {key: np.concatenate([x, x + 1000]) for key, x in inputs.items()}
    assert calibrated_steps(program, loud, None) == quiet
    assert calibrated_steps(program, {k: x[::-1] for k, x in loud.items()}, None) != quiet
