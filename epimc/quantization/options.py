"""The options of `quantize`, apart from the pass: the command line reads them without numpy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, TypeAlias

from epimc.support.options import Option

LEAST_WEIGHT_BITS, MOST_WEIGHT_BITS = 1, 16
"""What a weight may have."""


ActivationBits: TypeAlias = Annotated[int, Option("Bits of an activation.", minimum=2, maximum=16)]
"""What `QuantizeOptions.activation_bits` is."""


@dataclass(frozen=True, kw_only=True)
class QuantizeOptions:
    """How many bits numbers have on the chip.

    Attributes:
        weight_bits: Bits of a weight, 1 to 16; of one bit it is -1 or 1.  Of a layer that does not
            state its own.
        activation_bits: Bits of an activation, 2 to 16.
    """

    weight_bits: Annotated[
        int, Option("Bits of a weight.", minimum=LEAST_WEIGHT_BITS, maximum=MOST_WEIGHT_BITS)
    ] = 8
    activation_bits: ActivationBits = 8
