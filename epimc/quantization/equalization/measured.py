"""Which pairs of layers are worth equalizing, by what the second layer's result loses.

The result is computed at drawn positions from what the layer will get: its operand as activations
of their bits, in the range that they will have, and its weights as the nearest integers.  It is
compared with that on reals; no labels are needed.  Epitomes, which are made later, are not looked
at, and neither is what compensated rounding makes better.

Where columns have scales of their own, factors of a layer's outputs change nothing but these
scales: the weights of the first layer count only where all of them share one.  What they lose then
is carried on by the second layer's weights, as if errors of different channels had nothing in
common, and as if what is between the layers passed all of them on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from epimc.ir.core.module import Module
from epimc.ir.core.op import Array
from epimc.ir.core.traits import Weighted
from epimc.ir.epitome.epitomized import Epitomized
from epimc.ir.passes.epitomize import Epitomize
from epimc.quantization.equalization.inputs import Inputs, inputs_of
from epimc.quantization.equalization.losses import lost_by_layer, lost_by_weights
from epimc.quantization.equalization.options import EqualizeOptions
from epimc.quantization.equalization.scaling import Pair, Scaled, factors_between, pairs

Doubles = NDArray[np.float64]

# Exponents of the factors that are tried beside 0, which is no equalization.
STRENGTHS = (0.5, 1.0)

# What may be lost at most with equalization, of what is lost without: rounding makes a difference
# of some percent by chance.
WORTH = 0.9


@dataclass
class Measured:
    """Chooses factors, pair after pair in the order of the net.

    Attributes:
        options: What the numbers will have.
        inputs: What layers read, by their results' names, with the factors chosen so far.
    """

    options: EqualizeOptions
    inputs: dict[str, Inputs] = field(default_factory=dict)

    @staticmethod
    def of(module: Module, samples: Mapping[str, Any], options: EqualizeOptions) -> Measured:
        """Run samples through a module of level `nn`.

        Raises:
            EpimcError: As `inputs_of`.
        """
        result = Measured(options)
        layers = {op.output.name for pair in pairs(module) for op in result.looked_at(pair)}
        if layers:
            # All layers as one kind of op, with the weights that they have.
            epi = Epitomize().run(module)
            kept = [op for op in epi.ops if isinstance(op, Epitomized)]
            wanted = [op for op in kept if op.output.name in layers]
            result.inputs = inputs_of(epi, wanted, samples)
        return result

    def looked_at(self, pair: Pair) -> tuple[Weighted, ...]:
        """The layers of a pair whose inputs are asked for."""
        return pair if self.options.weight_granularity == "tensor" else pair[1:]

    def factors(self, pair: Pair, first: Scaled, second: Scaled) -> Array | None:
        """What to divide the first layer's outputs by, float32 [Cout]; None: nothing is worth it.

        The strength with which least is lost on half of the samples must be worth it on both.
        """
        full = factors_between(first, second)
        tried = [full ** np.float32(strength) for strength in STRENGTHS]
        # Products of several threads may differ in their last bits from those of one.
        with threadpool_limits(1, "blas"):
            none = self.losses(pair, first, second, np.ones_like(full))
            losses = [self.losses(pair, first, second, factors) for factors in tried]
        best = min(range(len(tried)), key=lambda k: losses[k][0])
        # What is not finite is never less.
        if not (losses[best] < WORTH * none).all():
            return None
        name = pair[1].output.name
        self.inputs[name] = self.inputs[name].divided(tried[best])
        return tried[best]

    def losses(self, pair: Pair, first: Scaled, second: Scaled, factors: Array) -> Doubles:
        """What the second layer loses on both halves of the samples, mean squares, [2]."""
        inputs = self.inputs[pair[1].output.name]
        divided, weights = inputs.divided(factors), second.matrices(factors)
        lost = lost_by_layer(divided, weights, self.options)
        result = halves(lost, inputs.is_apart)
        if self.options.weight_granularity == "tensor":
            before = self.inputs[pair[0].output.name]
            lost = lost_by_weights(before, first.matrices(), factors, self.options)
            result += halves(lost @ second.gains(len(factors)), before.is_apart)
        return result


def halves(losses: Doubles, is_apart: NDArray[np.bool_]) -> Doubles:
    """The means of both halves, [2]; NaN for nothing."""
    parts = losses[~is_apart], losses[is_apart]
    return np.array([part.mean() if part.size else np.nan for part in parts])
