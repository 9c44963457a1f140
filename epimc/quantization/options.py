"""The options of `quantize`, apart from the pass: the command line reads them without numpy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from epimc.quantization.rounding.options import GranularityOptions
from epimc.support.options import Option

ActivationKind = Literal["affine", "signed"]
"""Which integer stands for 0: one that fits the range of the values, or, for values of both signs,
the middle one, the range being symmetric, and 0 for all others."""

LEAST_WEIGHT_BITS, MOST_WEIGHT_BITS = 1, 16
"""What a weight may have."""


@dataclass(frozen=True, kw_only=True)
class NumberOptions(GranularityOptions):
    """What numbers are on the chip, but for the bits of weights.

    Attributes:
        activation_bits: Bits of an activation, 2 to 16.
        activations: Whether the zero points of activations fit their ranges, `affine`, or values of
            both signs have the middle one, and all others 0: `signed`.
    """

    activation_bits: Annotated[int, Option("Bits of an activation.", minimum=2, maximum=16)] = 8
    activations: Annotated[
        ActivationKind, Option("Zero points: fitted, or in the middle of both signs.")
    ] = "affine"


@dataclass(frozen=True, kw_only=True)
class QuantizeOptions(NumberOptions):
    """What numbers are on the chip.

    Attributes:
        weight_bits: Bits of a weight, 1 to 16; of one bit it is -1 or 1.  Of a layer that does not
            state its own.
    """

    weight_bits: Annotated[
        int, Option("Bits of a weight.", minimum=LEAST_WEIGHT_BITS, maximum=MOST_WEIGHT_BITS)
    ] = 8
