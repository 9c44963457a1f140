"""`quantize`: floats to integers, as `epimc.ir.semantics.integers` defines them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from epimc.ir.core.levels import CALIBRATED, QUANTIZED
from epimc.ir.core.module import Module
from epimc.ir.pipeline import Pass
from epimc.quantization import rules, sums  # noqa: F401  (they register what is done to each op)
from epimc.quantization.rewriter import Rewriter


@dataclass(frozen=True)
class Quantize(Pass):
    """Weights symmetric, with a scale per epitome column; activations affine, per tensor.

    Attributes:
        weight_bits: Bits of a weight, 2 to 8.
        activation_bits: Bits of an activation, 4 to 8.
    """

    weight_bits: int = 8
    activation_bits: int = 8

    name: ClassVar[str] = "quantize"
    requires: ClassVar[str] = CALIBRATED
    ensures: ClassVar[str] = QUANTIZED

    def __post_init__(self) -> None:
        if not 2 <= self.weight_bits <= 8:
            raise ValueError(f"weight_bits = {self.weight_bits} is not in 2..8")
        if not 4 <= self.activation_bits <= 8:
            raise ValueError(f"activation_bits = {self.activation_bits} is not in 4..8")

    def run(self, module: Module) -> Module:
        """Rewrite the whole module to integers, with the border at its inputs and outputs."""
        return Rewriter(module, self.weight_bits, self.activation_bits).run()
