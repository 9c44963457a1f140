"""Calibrated ADCs against the sums that the samples really make."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from epimc.backends.crossbar.core.limits import CALIBRATED_SAMPLES
from epimc.backends.crossbar.core.program import Program
from epimc.backends.crossbar.instructions.layers import mvm_layers
from epimc.backends.crossbar.sim.calibration import calibrated_steps
from epimc.backends.crossbar.sim.simulator import Arrays, Simulator
from epimc.ir.semantics.converters import smallest_step
from epimc.ir.semantics.quantization import quantize_input
from epimc.ir.semantics.windows import gather
from tests.backends.crossbar.programs import PROGRAMS, sum_and_mean
from tests.backends.crossbar.slow_arrays import SlowArrays


def samples_of(program: Program, count: int) -> Arrays:
    """Small random inputs, all different."""
    random = np.random.default_rng(3)
    ports = program.chip_inputs
    return {p.name: random.uniform(-3, 30, (count, *p.shape)).astype(np.float32) for p in ports}


def highest_sums(program: Program, inputs: Arrays) -> dict[int, int]:
    """The highest sum of each layer on these samples, one cell at a time."""
    simulator = Simulator(program, path="fused", host=sum_and_mean)
    maps = simulator.run_collect(inputs)[1]
    for port in program.chip_inputs:
        kept = program.maps[port.map]
        real = inputs[port.name].reshape(-1, *kept.dims)
        maps[kept.name] = quantize_input(real, port.scale, kept.zero_point, kept.bits)
    result = {}
    for number, parts in mvm_layers(program).items():
        highest = 0
        for part in parts:
            source = program.maps[part.source]
            x = maps[source.name].reshape(-1, *source.dims)
            height = part.window.output_size(source.height, 0)
            windows = gather(x, part.window, source.zero_point, 0, height)
            flat = windows.transpose(0, 4, 5, 1, 2, 3).reshape(-1, windows[0, ..., 0, 0].size)
            slow = SlowArrays(part, source.bits, source.zero_point, program.chip)
            for window in flat.tolist():
                slow.outputs(window)
            highest = max(highest, slow.tally.highest)
        result[number] = highest
    return result


@pytest.mark.parametrize("rows_per_read", [0, 3])
@pytest.mark.parametrize("name", ["split", "groups", "host"])
def test_the_step_is_the_smallest_that_clips_nothing(name: str, rows_per_read: int) -> None:
    program = PROGRAMS[name]()
    program = replace(program, chip=replace(program.chip, adc_bits=3, rows_per_read=rows_per_read))
    inputs = samples_of(program, 2)
    expected = {
        n: smallest_step(3, highest) for n, highest in highest_sums(program, inputs).items()
    }
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
