"""Steps of a plan: what computes one map from others, for a block of samples."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from epimc.backends.crossbar.core.counts import Conversions
from epimc.backends.crossbar.core.program import Program
from epimc.backends.crossbar.instructions.computing import Computing, KernelSetting
from epimc.backends.crossbar.instructions.host import HostStep
from epimc.backends.crossbar.sim.paths import product_of
from epimc.backends.crossbar.sim.ssa.products import (
    AnyProduct,
    ExactProduct,
    product_of_layer,
)
from epimc.backends.crossbar.sim.ssa.units import Layer, Unit

Array = NDArray[Any]


@dataclass(frozen=True)
class Step:
    """One map of a plan.

    Attributes:
        destination: The map that it computes, by number.
        sources: Those that it reads.
        dtype: Of what it computes.
        compute: How, from its sources, arrays [samples, H, W, C] all of them, into the last.
    """

    destination: int
    sources: tuple[int, ...]
    dtype: np.dtype[Any]
    compute: Callable[[Sequence[Array], Array], None]


AnyStep = Step | HostStep


class Workshop:
    """Makes the steps of a program; what its plans have in common is made once."""

    def __init__(self, program: Program, path: str) -> None:
        """Take a program, and how crossbars compute, one of `paths.PATHS`."""
        self.program, self.path = program, path
        self.setting = KernelSetting(program, product_of(program.chip, path))
        self.products: dict[tuple[int, ...], AnyProduct] = {}

    def step(self, unit: Unit) -> AnyStep:
        """The step of a unit."""
        if isinstance(unit, HostStep):
            return unit
        if isinstance(unit, Layer):
            return self.layer(unit)
        assert isinstance(unit, Computing)
        kernel = unit.map_kernel(self.setting)
        return Step(unit.destination, tuple(unit.sources), kernel.dtype, kernel.compute)

    def conversions(self) -> Iterator[tuple[int, Conversions]]:
        """What the ADCs of each layer did since this was asked the last time, by its result."""
        for parts, product in self.products.items():
            if not isinstance(product, ExactProduct):
                yield self.program.layer_of[parts[0]], product.counts.take()

    def layer(self, layer: Layer) -> Step:
        """The step of a layer."""
        # Plans share the products: they hold the weights.
        key = tuple(part.destination for part in layer.parts)
        if key not in self.products:
            self.products[key] = product_of_layer(self.program, layer, self.path)
        product = self.products[key]
        if layer.after is None:
            return Step(layer.sum, layer.sources, product.dtype, product.accumulate)
        rescaling = layer.after.rescaling(self.program.maps, layer.after.sources.index(layer.sum))
        compute = partial(product.activations, rescaling)
        return Step(layer.destination, layer.sources, rescaling.dtype, compute)
