"""What the crossbars of a layer compute, by either path, for maps [samples, H, W, C]."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from epimc.backends.crossbar.compiled.convolution import Convolution
from epimc.backends.crossbar.compiled.requantize import Rescaling
from epimc.backends.crossbar.core.program import Program
from epimc.backends.crossbar.instructions.computing import KernelSetting
from epimc.backends.crossbar.instructions.mvm import Mvm
from epimc.backends.crossbar.kernels.converters import lossless
from epimc.backends.crossbar.kernels.fused import layer_weights
from epimc.backends.crossbar.sim.paths import product_of
from epimc.backends.crossbar.sim.ssa.units import Layer

Array = NDArray[Any]


class ExactProduct:
    """The fused path: one product of the weights that the cells amount to."""

    def __init__(self, program: Program, parts: Sequence[Mvm]) -> None:
        first, source = parts[0], program.maps[parts[0].source]
        inputs, window = source.channels // first.groups, first.window
        weights = layer_weights(parts, source.channels)
        bias = np.stack([part.bias for part in parts]).sum(axis=0)
        # The corrections: the checker has seen that they are those of the cells.
        constant = bias - source.zero_point * weights.sum(axis=1, dtype=np.int64)
        self.convolution = Convolution(
            weights.reshape(-1, inputs, *window.kernel),
            constant,
            window,
            first.groups,
            source.dims,
            source.zero_point,
            source.bits,
        )
        self.dtype = self.convolution.dtype

    def accumulate(self, sources: Sequence[Array], out: Array) -> None:
        """Accumulators, of the map that the crossbars read."""
        self.convolution.accumulate(sources[0], out)

    def activations(self, rescaling: Rescaling, sources: Sequence[Array], out: Array) -> None:
        """The same, requantized with the terms that come behind the map."""
        self.convolution.activations(sources[0], rescaling, sources[1:], out)


class SerialProduct:
    """The bit-serial path: every input slice through every array and its ADC."""

    dtype = np.dtype(np.int64)

    def __init__(self, program: Program, parts: Sequence[Mvm]) -> None:
        setting = KernelSetting(program, product_of(program.chip, "bit-serial"))
        self.parts = [part.map_kernel(setting).compute for part in parts]

    def accumulate(self, sources: Sequence[Array], out: Array) -> None:
        """Accumulators, of the map that the crossbars read."""
        self.parts[0](sources[:1], out)
        for part in self.parts[1:]:
            own = np.empty_like(out)
            part(sources[:1], own)
            out += own

    def activations(self, rescaling: Rescaling, sources: Sequence[Array], out: Array) -> None:
        """The same, requantized with the terms that come behind the map."""
        total = np.empty(out.shape, self.dtype)
        self.accumulate(sources, total)
        terms = list(sources[1:])
        terms.insert(rescaling.place, total)
        rescaling(terms, out)


AnyProduct = ExactProduct | SerialProduct


def product_of_layer(program: Program, layer: Layer, path: str) -> AnyProduct:
    """What computes a layer by a path, one of `paths.PATHS`."""
    exact = path == "fused" or (
        path == "auto" and all(lossless(part, program.chip) for part in layer.parts)
    )
    kind = ExactProduct if exact else SerialProduct
    return kind(program, layer.parts)
