"""`quantize`: floats to integers, as `epimc.ir.semantics` defines them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from epimc.ir.core.levels import CALIBRATED, QUANTIZED
from epimc.ir.core.module import Module
from epimc.ir.pipeline import Pass
from epimc.quantization import hosted, rules, summands  # noqa: F401  (they register what is done)
from epimc.quantization.calibrate import calibration_samples
from epimc.quantization.lookup import refuse_large_tables
from epimc.quantization.options import QuantizeOptions
from epimc.quantization.rewriter import IntegerRewriter, joining_of
from epimc.quantization.rounding.options import RoundingOptions
from epimc.quantization.rounding.rounding import rounded_module


@dataclass(frozen=True)
class Quantize(RoundingOptions, QuantizeOptions, Pass):
    """Weights symmetric, with a scale per epitome column, or per layer; activations per tensor."""

    name: ClassVar[str] = "quantize"
    requires: ClassVar[str] = CALIBRATED
    ensures: ClassVar[str] = QUANTIZED

    def run(self, module: Module) -> Module:
        """Rewrite the whole module to integers, with the border at its inputs and outputs."""
        if self.needs_samples:
            module = self.rounded(module)
        return self.rewriter(module).run()

    def refuse_impossible(self, module: Module) -> None:
        """Raise RefusedNodesError for what activations of so many bits cannot have.

        Args:
            module: At level `epi` or `calibrated`.
        """
        refuse_large_tables(module, joining_of(module), self.activation_bits)

    def rewriter(self, module: Module) -> IntegerRewriter:
        """What makes integers of a module."""
        return IntegerRewriter(module, self)

    def rounded(self, module: Module) -> Module:
        """The module with weights that are integers of steps already.

        Raises:
            EpimcError: There are no samples, or they do not fit.
        """
        first = self.rewriter(module)
        # Which values are kept as activations, and with which types, nearest rounding tells too.
        first.run()
        kept = first.builder.mapped.items()
        kinds = {old: new.type for old, new in kept if new.type.is_activation}
        samples = calibration_samples(module)
        weights = self.weight_bits, self.weight_granularity
        return rounded_module(module, kinds, samples, self, *weights)
