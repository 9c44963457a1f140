"""Which layers are equalized: the options, apart from the pass, which needs numpy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final, Literal

from epimc.quantization.calibration.options import CalibrateOptions
from epimc.quantization.options import QuantizeOptions
from epimc.quantization.rounding.options import Effort
from epimc.support.options import Option

Equalization = Literal["always", "measured", "never"]
"""All pairs of layers; those of which less is lost so on the calibration samples; none."""

ChosenEqualization = Literal["auto", "always", "measured", "never"]
"""The same; auto: what the effort says."""

ALWAYS: Final = "always"
MEASURED: Final = "measured"
NEVER: Final = "never"

COMMON_WEIGHT_BITS = 8
"""What weights are taken to have where layers get bits of their own, which are chosen later."""


@dataclass(frozen=True, kw_only=True)
class EqualizationOptions:
    """What a compile says of equalization.

    Attributes:
        equalize: Which pairs of layers are equalized.
    """

    equalize: Annotated[
        ChosenEqualization,
        Option("Which pairs of layers are equalized; auto: all with effort fast, else measured."),
    ] = "auto"


@dataclass(frozen=True, kw_only=True)
class EqualizeOptions(QuantizeOptions, CalibrateOptions):
    """The options of `equalize`; all but `when` count only where losses are measured.

    A compile has them from `quantize` and `calibrate`.

    Attributes:
        when: Which pairs of layers are equalized.
    """

    when: Annotated[Equalization, Option("Which pairs of layers are equalized.")] = ALWAYS


def equalization_of(chosen: ChosenEqualization, effort: Effort) -> Equalization:
    """Which pairs are equalized; effort `fast` looks at no samples."""
    if chosen != "auto":
        return chosen
    return ALWAYS if effort == "fast" else MEASURED
