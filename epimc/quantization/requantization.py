"""The one rounding: a total, with real steps, to activations of a type."""

from __future__ import annotations

import numpy as np

from epimc.ir.core.module import Builder
from epimc.ir.core.op import Array, Op, Value
from epimc.ir.dialects import epi
from epimc.ir.semantics import requantization
from epimc.ir.text.printer import refused
from epimc.quantization.terms import Total

# A term that cannot move the result by this part of a step counts for nothing.
NEGLIGIBLE = 2.0**-16

# A result has no finer steps than this part of a term's: a difference of equal values is rounding
# alone, and its range tells nothing.
LARGEST_FACTOR = 2.0**16


def rescaled(
    builder: Builder, op: Op, total: Total, result: Value, bounds: tuple[float, float]
) -> Value:
    """Append the requantization of a total.

    Args:
        builder: Of the integer module.
        op: Of the old module, in errors.
        total: What is rounded.
        result: What it is rounded to, with its type.
        bounds: Real, of the result.

    Raises:
        EpimcError: A channel's steps are too far from those of the result.
    """
    kind, name, store = result.type, result.name, builder.store
    factors = np.stack([term.steps / kind.step for term in total.terms])
    limits = np.stack([term.bounds for term in total.terms])
    factors = np.where(np.abs(factors) * limits < NEGLIGIBLE, 0.0, factors)
    multipliers, shifts, offsets = of_channels(factors, limits, total.offset / kind.step, op)
    # An absent bound is infinite, which no integer holds; 2^31 steps lie far outside every type.
    steps = np.clip(np.array(bounds) / kind.step, -(2.0**31), 2.0**31)
    low, high = np.clip(np.rint(steps) + kind.zero_point, 0, 2**kind.bits - 1).astype(int)
    return builder.add(
        epi.Requantize,
        [term.value for term in total.terms],
        result,
        total.location,
        multipliers=store(f"{name}.multipliers", multipliers, "i64"),
        shifts=store(f"{name}.shifts", shifts, "i64"),
        offsets=store(f"{name}.offsets", offsets, "i64") if offsets.any() else None,
        low=int(low),
        high=int(high),
    )


def of_channels(
    factors: Array, bounds: Array, offsets: Array, op: Op
) -> tuple[Array, Array, Array]:
    """Multipliers int64 [terms, C], shifts int64 [C] and offsets int64 [C].

    Args:
        factors: Real steps of the terms in those of the result, [terms, C].
        bounds: The largest magnitudes of the terms, int64 [terms, C].
        offsets: Real, in steps of the result, [C].
        op: In errors.

    Raises:
        EpimcError: As `rescaled`.
    """
    # Channels of equal numbers, of which there are many, are computed once.
    computed: dict[tuple[bytes, ...], tuple[list[int], int, int]] = {}
    rows: list[tuple[list[int], int, int]] = []
    for channel in range(factors.shape[1]):
        scales, limits, offset = factors[:, channel], bounds[:, channel], offsets[channel]
        key = scales.tobytes(), limits.tobytes(), offset.tobytes()
        if key not in computed:
            numbers = scales.tolist(), limits.tolist(), float(offset)
            computed[key] = of_channel(*numbers, channel, op)
        rows.append(computed[key])
    multipliers, shifts, added = (np.array(k, np.int64) for k in zip(*rows, strict=True))
    return multipliers.T, shifts, added


def of_channel(
    scales: list[float], bounds: list[int], offset: float, channel: int, op: Op
) -> tuple[list[int], int, int]:
    """Multipliers, shift and offset of one channel."""
    try:
        return requantization.requantization(scales, bounds, offset)
    except requantization.PrecisionError as problem:
        raise refused(
            op,
            f"Output channel {channel} cannot be requantized: {problem}.",
            "The channel's range and its weights are too far apart: check the calibration data.",
        ) from None
