"""How ranges are chosen: the options, apart from the pass, which needs numpy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final, Literal

from epimc.support.options import Option

Observer = Literal["minmax", "percentile", "mse", "entropy"]
"""What makes ranges of what values are on the calibration samples.

`minmax`: nothing is clipped; `percentile`: what lies beyond a percentile of the elements, at each
end; `mse`: the least squared error as activations; `entropy`: the least divergence, as TensorRT has
it.
"""

ChosenObserver = Literal["auto", "minmax", "percentile", "mse", "entropy"]
"""The same; auto: what the effort says."""

MINMAX: Final = "minmax"

PERCENTILE: Final = "percentile"

DEFAULT_PERCENTILE = 99.99
"""What is kept of the elements at each end, in percent."""


@dataclass(frozen=True, kw_only=True)
class ObserverOptions:
    """What a compile says of ranges.

    Attributes:
        observer: What makes them of the values seen.
        percentile: For the observer of that name, and no other; None: DEFAULT_PERCENTILE.
    """

    observer: Annotated[
        ChosenObserver, Option("What makes ranges of the values seen on calibration samples.")
    ] = "auto"
    percentile: Annotated[
        float | None,
        Option(
            "What --observer percentile keeps at each end; else 99.99.", minimum=50, maximum=100
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class CalibrateOptions:
    """The options of `calibrate`.

    Attributes:
        observer: What makes ranges of the values seen on the samples.
        percentile: For the observer of that name.
        activation_bits: Bits of an activation, which the best range depends on; a compile has them
            from `quantize`.
    """

    observer: Annotated[Observer, Option("What makes ranges of the values seen.")] = MINMAX
    percentile: Annotated[
        float, Option("What --observer percentile keeps at each end.", minimum=50, maximum=100)
    ] = DEFAULT_PERCENTILE
    activation_bits: Annotated[int, Option("Bits of an activation.", minimum=2, maximum=16)] = 8
