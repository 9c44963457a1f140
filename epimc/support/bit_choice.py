"""Which widths the weights of layers got, as results have it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from epimc.support.diagnostics import counted


@dataclass(frozen=True)
class BitChoice:
    """A choice of widths, and what it comes to.

    Attributes:
        layers: How many layers have each number of bits, by the number.
        crossbars: Arrays of all layers.
        array_reads: Arrays read for one sample.
        error: What the outputs lose by the weights, in parts of their variance: the sum of what
            each layer alone loses.
        gap: How far the choice may be from the best one, relative to it; 0: it is the best.
    """

    layers: Mapping[str, int]
    crossbars: int
    array_reads: int
    error: float
    gap: float

    def __str__(self) -> str:
        widths = ", ".join(
            f"{counted(count, 'layer')} of {bits}" for bits, count in self.layers.items()
        )
        return (
            f"bits of weights: {widths}; {counted(self.crossbars, 'crossbar')}, "
            f"error {self.error:.4g}, gap {self.gap:g}"
        )
