"""`quantize`: floats to integers, as `epimc.ir.semantics` defines them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from epimc.ir.core.levels import CALIBRATED, QUANTIZED
from epimc.ir.core.module import Module
from epimc.ir.pipeline import Pass
from epimc.quantization import hosted, rules, summands  # noqa: F401  (they register what is done)
from epimc.quantization.options import QuantizeOptions
from epimc.quantization.rewriter import IntegerRewriter


@dataclass(frozen=True)
class Quantize(QuantizeOptions, Pass):
    """Weights symmetric, with a scale per epitome column; activations affine, per tensor."""

    name: ClassVar[str] = "quantize"
    requires: ClassVar[str] = CALIBRATED
    ensures: ClassVar[str] = QUANTIZED

    def run(self, module: Module) -> Module:
        """Rewrite the whole module to integers, with the border at its inputs and outputs."""
        return IntegerRewriter(module, self.weight_bits, self.activation_bits).run()
