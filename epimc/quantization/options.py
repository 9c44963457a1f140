"""The options of `quantize`, apart from the pass: the command line reads them without numpy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from epimc.support.options import Option


@dataclass(frozen=True, kw_only=True)
class QuantizeOptions:
    """How many bits numbers have on the chip.

    Attributes:
        weight_bits: Bits of a weight, 1 to 16; of one bit it is -1 or 1.
        activation_bits: Bits of an activation, 2 to 16.
    """

    weight_bits: Annotated[int, Option("Bits of a weight.", minimum=1, maximum=16)] = 8
    activation_bits: Annotated[int, Option("Bits of an activation.", minimum=2, maximum=16)] = 8
