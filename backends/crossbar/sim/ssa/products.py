"""What the crossbars of a layer compute, by either path, for maps [samples, H, W, C]."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from epimc.backends.crossbar.compiled.convolution import Convolution
from epimc.backends.crossbar.compiled.requantize import Rescaling
from epimc.backends.crossbar.compiled.serial import SerialProduct
from epimc.backends.crossbar.core.counts import SerialCounts
from epimc.backends.crossbar.core.program import Program
from epimc.backends.crossbar.instructions.mvm import Mvm
from epimc.backends.crossbar.kernels.converters import lossless
from epimc.backends.crossbar.kernels.fused import layer_weights
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


class ForcedProduct:
    """The bit-serial path: every input slice through every array and its ADC."""

    def __init__(self, program: Program, parts: Sequence[Mvm]) -> None:
        self.bias = np.stack([part.bias for part in parts]).sum(axis=0)
        self.serial = serial_products(program, parts, forced=True)
        self.counts = SerialCounts()
        bound = int(np.abs(self.bias).max()) + sum(part.bound for part in self.serial)
        self.dtype = sum_type(bound)

    def accumulate(self, sources: Sequence[Array], out: Array) -> None:
        """Accumulators, of the map that the crossbars read."""
        out[...] = self.bias
        for part in self.serial:
            part.add(sources[0], out, self.counts)

    def activations(self, rescaling: Rescaling, sources: Sequence[Array], out: Array) -> None:
        """The same, requantized with the terms that come behind the map."""
        requantize_sums(self, rescaling, sources, out)


class LossyProduct:
    """The fused product, and what the ADCs lose: the same numbers as the bit-serial path."""

    def __init__(self, program: Program, parts: Sequence[Mvm]) -> None:
        self.exact = ExactProduct(program, parts)
        self.serial = serial_products(program, parts, forced=False)
        self.counts = SerialCounts(complete=False)
        self.dtype = np.dtype(np.int64)

    def accumulate(self, sources: Sequence[Array], out: Array) -> None:
        """Accumulators, of the map that the crossbars read."""
        if out.dtype == self.exact.dtype:
            self.exact.accumulate(sources, out)
        else:
            own = np.empty(out.shape, self.exact.dtype)
            self.exact.accumulate(sources, own)
            out[...] = own
        for part in self.serial:
            part.add(sources[0], out, self.counts)

    def activations(self, rescaling: Rescaling, sources: Sequence[Array], out: Array) -> None:
        """The same, requantized with the terms that come behind the map."""
        requantize_sums(self, rescaling, sources, out)


def requantize_sums(
    product: ForcedProduct | LossyProduct,
    rescaling: Rescaling,
    sources: Sequence[Array],
    out: Array,
) -> None:
    """A product's accumulators, requantized with the terms that come behind the map."""
    total = np.empty(out.shape, product.dtype)
    product.accumulate(sources, total)
    terms = list(sources[1:])
    terms.insert(rescaling.place, total)
    rescaling(terms, out)


def sum_type(bound: int) -> np.dtype[Any]:
    """The type of sums of at most a magnitude."""
    return np.dtype(np.int32 if bound < 2**31 else np.int64)


def serial_products(program: Program, parts: Sequence[Mvm], *, forced: bool) -> list[SerialProduct]:
    """What the arrays of each part deliver; or what their ADCs lose, of parts that can."""
    source = program.maps[parts[0].source]
    products = [
        SerialProduct(
            part, source.dims, source.bits, source.zero_point, program.chip, forced=forced
        )
        for part in parts
    ]
    return [each for each in products if forced or not each.idle]


AnyProduct = ExactProduct | ForcedProduct | LossyProduct


def product_of_layer(program: Program, layer: Layer, path: str) -> AnyProduct:
    """What computes a layer by a path, one of `paths.PATHS`."""
    exact = path == "fused" or (
        path == "auto" and all(lossless(part, program.chip) for part in layer.parts)
    )
    if exact:
        return ExactProduct(program, layer.parts)
    kind = ForcedProduct if path == "bit-serial" else LossyProduct
    return kind(program, layer.parts)
