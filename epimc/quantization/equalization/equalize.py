"""`equalize`: channels between two layers get weights of like sizes on both sides of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from epimc.ir.core.levels import NN
from epimc.ir.core.module import Module
from epimc.ir.core.op import Array, Op
from epimc.ir.core.traits import Weighted
from epimc.ir.epitome.layer_plans import PLANS
from epimc.ir.passes.epitomize import module_plans
from epimc.ir.pipeline import Pass
from epimc.ir.rewriting import Pattern, Replacement, Rewriter, changed, rewritten
from epimc.quantization.calibrate import calibration_samples
from epimc.quantization.equalization.measured import Measured
from epimc.quantization.equalization.options import (
    COMMON_WEIGHT_BITS,
    MEASURED,
    NEVER,
    EqualizeOptions,
)
from epimc.quantization.equalization.scaling import Pair, Scaled, factors_between, pairs
from epimc.support.equalized_pairs import EqualizedPairs

EQUALIZED_PAIRS = "equalized_pairs"
"""The attribute of a module that says how many pairs of layers were equalized, of how many."""

Choose = Callable[[Pair, Scaled, Scaled], Array | None]
"""What the outputs of the first layer of a pair are divided by, float32 [Cout]; None: nothing."""


@dataclass(frozen=True)
class Equalize(EqualizeOptions, Pass):
    """Cross-layer equalization (Nagel et al., arXiv 1906.04721, section 4.1).

    Where a layer alone feeds another through ops that pass a positive factor on, output channel c
    of the first is divided by s[c] and input channel c of the second multiplied by it, with
    s[c] = sqrt(r1[c] / r2[c]), r1 and r2 being the largest weights of the channel in both layers.
    One scale for all channels of the activations between them then serves each of them better.
    A channel that is nothing but its bias, as batch norms leave some, would grow far beyond all
    others: s[c] stays so large that no bias becomes larger than the layer's largest one.
    The float function changes by the rounding of the weights to float32 alone.

    With `when=measured` s, sqrt(s) and no factors are compared, pair by pair, by what the second
    layer's result loses by integers on the calibration samples; epitomes are not looked at, which
    are made later.
    """

    name: ClassVar[str] = "equalize"
    requires: ClassVar[str] = NN
    ensures: ClassVar[str] = NN

    def run(self, module: Module) -> Module:
        """Scale the weights and biases of the pairs of layers.

        Raises:
            EpimcError: Losses are to be measured, and there are no samples, or they do not fit.
        """
        if self.when == NEVER:
            return module
        if self.when != MEASURED:
            scaled, _ = equalized(module, lambda _, *layers: factors_between(*layers))
            return rewritten(module, [ScaleLayer(scaled)], once=True)
        options = self
        if PLANS in module.attributes and module_plans(module).states_bits:
            # What single layers will have is the same whether a file or a choice tells them.
            options = replace(self, weight_bits=COMMON_WEIGHT_BITS)
        measured = Measured.of(module, calibration_samples(module), options)
        scaled, count = equalized(module, measured.factors)
        result = rewritten(module, [ScaleLayer(scaled)], once=True)
        result.attributes[EQUALIZED_PAIRS] = {"equalized": count, "pairs": len(pairs(module))}
        return result


@dataclass(frozen=True)
class ScaleLayer(Pattern[Weighted]):
    """A layer computes with other weights and biases.

    Attributes:
        scaled: What it computes with, by its result's name; layers that are not here stay.
    """

    scaled: Mapping[str, Scaled]

    name: ClassVar[str] = "scale-layer"
    ops: ClassVar[tuple[type[Op], ...]] = (Weighted,)

    def rewrite(self, op: Weighted, rewriter: Rewriter) -> Replacement | None:
        """The layer with new tensors."""
        layer = self.scaled.get(op.output.name)
        if layer is None:
            return None
        changes: dict[str, Any] = {
            "weight": rewriter.store(f"{op.weight.name}.equalized", layer.weight)
        }
        if op.bias is not None and layer.bias is not None:
            changes["bias"] = rewriter.store(f"{op.bias.name}.equalized", layer.bias)
        return Replacement(changed(op, **changes))


def equalized_pairs(module: Module) -> EqualizedPairs | None:
    """How many pairs of a module's layers were equalized; None where that was not measured."""
    stated: dict[str, int] | None = module.attributes.get(EQUALIZED_PAIRS)
    return None if stated is None else EqualizedPairs(**stated)


def equalized(module: Module, choose: Choose) -> tuple[dict[str, Scaled], int]:
    """The layers of all pairs that get factors, scaled, by their results' names; how many pairs."""
    scaled: dict[str, Scaled] = {}
    count = 0
    for pair in pairs(module):
        # A layer may be the second of one pair and the first of the next: it is scaled twice.
        known = [scaled.get(op.output.name) or Scaled.of(module, op) for op in pair]
        factors = choose(pair, known[0], known[1])
        if factors is None:
            continue
        first, second = (each.writable() for each in known)
        first.divide_outputs(factors)
        # What the first divides by, the second multiplies by: the product is that of before.
        second.multiply_inputs(factors)
        for op, layer in zip(pair, (first, second), strict=True):
            scaled[op.output.name] = layer
        count += 1
    return scaled, count
