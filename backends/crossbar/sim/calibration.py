"""The steps of ADCs from the sums that samples make: what a calibrated range is."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from epimc.backends.crossbar.compiled.serial import SerialProduct
from epimc.backends.crossbar.core.counts import SerialCounts
from epimc.backends.crossbar.core.limits import CALIBRATED_SAMPLES
from epimc.backends.crossbar.core.program import ELEMENTS, FeatureMap, Program
from epimc.backends.crossbar.instructions.layers import mvm_layers
from epimc.backends.crossbar.instructions.mvm import Mvm
from epimc.backends.crossbar.kernels.converters import fitting_step
from epimc.backends.crossbar.sim.engine import Arrays, HostRunner
from epimc.backends.crossbar.sim.simulator import Simulator
from epimc.ir.semantics.quantization import quantize_input


def calibrated_steps(program: Program, inputs: Arrays, host: HostRunner | None) -> dict[int, int]:
    """For each layer the smallest step with which its ADCs clip none of the samples' sums.

    The activations are those of a chip that loses nothing, so that no layer depends on another's
    step; nor does the result depend on the order of the samples.

    Args:
        program: A good program, of any steps.
        inputs: Samples of every input, of which the first CALIBRATED_SAMPLES count.
        host: Runs the program's host calls.

    Returns:
        The steps by the map that holds a layer's result.
    """
    layers = mvm_layers(program)
    searches = {number: Search(program, parts) for number, parts in layers.items()}
    simulator = Simulator(program, path="fused", host=host)
    count = min(len(next(iter(inputs.values()), [None])), CALIBRATED_SAMPLES)
    for k in range(count):
        sample = {name: values[k : k + 1] for name, values in inputs.items()}
        for port in program.chip_inputs:
            sample[port.name] = np.asarray(sample[port.name], np.float32)
        maps: dict[str, NDArray[Any]] = simulator.run_collect(sample)[1]
        for port in program.chip_inputs:
            feature = program.maps[port.map]
            real = sample[port.name].reshape(1, *feature.dims)
            maps[feature.name] = quantize_input(real, port.scale, feature.zero_point, feature.bits)
        for search in searches.values():
            search.see(maps)
    return {number: search.step for number, search in searches.items()}


class Search:
    """The search for a layer's step.

    Attributes:
        step: The smallest that clips nothing of what was seen.
    """

    def __init__(self, program: Program, parts: Sequence[Mvm]) -> None:
        self.parts, self.chip = parts, program.chip
        self.source: FeatureMap = program.maps[parts[0].source]
        self.step = 1
        # With this one no input is clipped, whatever it is.
        self.most = fitting_step(parts, program.chip)
        self._products: dict[int, list[SerialProduct]] = {}

    def see(self, maps: Mapping[str, NDArray[Any]]) -> None:
        """Raise the step as far as a sample's maps, [1, C, H, W], make it necessary."""
        kind = ELEMENTS[self.source.element].dtype
        x = maps[self.source.name].reshape(1, *self.source.dims).transpose(0, 2, 3, 1)
        activations = np.ascontiguousarray(x, kind)
        if not self.clips(activations, self.step):
            return
        larger = range(self.step + 1, self.most + 1)
        # The larger the step, the less is clipped.
        place = bisect_left(larger, True, key=lambda step: not self.clips(activations, step))
        self.step = larger[place]

    def clips(self, x: NDArray[Any], step: int) -> bool:
        """Whether ADCs of a step clip a sum of these activations."""
        if step == self.most:
            return False
        if step not in self._products:
            self._products[step] = [
                SerialProduct(
                    replace(part, adc_step=step),
                    self.source.dims,
                    self.source.bits,
                    self.source.zero_point,
                    self.chip,
                    forced=False,
                )
                for part in self.parts
            ]
        counts = SerialCounts()
        for product in self._products[step]:
            window, outputs = product.window, product.setting.outputs
            size = (window.output_size(x.shape[1 + axis], axis) for axis in (0, 1))
            product.add(x, np.zeros((1, *size, outputs), np.int64), counts)
        return counts.take().clipped > 0
