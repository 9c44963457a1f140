"""How weights become integers: the options, apart from the pass, which needs numpy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from epimc.quantization.calibration.options import Observer
from epimc.support.options import Option

Rounding = Literal["nearest", "compensated", "learned"]
"""To the nearest integer each; so that the layer's result loses least; and on by gradient, so that
the results of blocks do, for which biases change as well."""

WeightRange = Literal["max", "percentile", "mse"]
"""What the largest integer stands for: a column's largest weight, the magnitude below which 99 % of
its weights lie, or what loses least of the layer's result."""

WeightGranularity = Literal["column", "tensor"]
"""What has a scale of its own: each column of an epitome, or all weights of a layer together."""

Effort = Literal["auto", "fast", "good", "best"]
"""How much is done to choose the numbers well; auto: good with calibration data, fast without."""


@dataclass(frozen=True, kw_only=True)
class GranularityOptions:
    """Which weights share a scale.

    Attributes:
        weight_granularity: What has a scale of its own: a `column` of an epitome, or a `tensor`.
    """

    weight_granularity: Annotated[
        WeightGranularity, Option("What has a scale of its own: columns, or whole layers.")
    ] = "column"


@dataclass(frozen=True, kw_only=True)
class RoundingOptions:
    """How weights become integers.

    Attributes:
        rounding: How each is rounded.
        weight_range: How far the integers of a column reach.
        correct_bias: Whether biases make up for what the means of channels lose.
    """

    rounding: Annotated[Rounding, Option("How weights are rounded.")] = "nearest"
    weight_range: Annotated[WeightRange, Option("How far a column's integers reach.")] = "max"
    correct_bias: Annotated[bool, Option("Keep the means of channels by their biases.")] = False

    @property
    def needs_samples(self) -> bool:
        """Whether layers are looked at with the calibration samples."""
        return self.rounding != "nearest" or self.weight_range != "max" or self.correct_bias


EFFORTS: dict[Effort, RoundingOptions] = {
    "fast": RoundingOptions(),
    "good": RoundingOptions(rounding="compensated", weight_range="mse", correct_bias=True),
    "best": RoundingOptions(rounding="learned", weight_range="mse", correct_bias=True),
}
"""What each effort does."""

WIDE_ACTIVATIONS = 8
"""From so many bits on steps are fine: to clip what is seen costs more than smaller ones bring."""


def observer_of(effort: Effort, activation_bits: int) -> Observer:
    """What makes the ranges of activations."""
    return "minmax" if effort == "fast" or activation_bits >= WIDE_ACTIVATIONS else "mse"
