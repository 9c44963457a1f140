"""Scales of activations at the ends of float32."""

from __future__ import annotations

import numpy as np
import pytest

from epimc.ir.core.op import Value
from epimc.ir.core.types import TensorType
from epimc.quantization.activations import activation_type
from epimc.support.diagnostics import EpimcError

HINT = "\n  hint: Check the weights of the model and the samples."


@pytest.mark.parametrize(
    ("least", "high", "message"),
    [
        (1e39, 1.0, "What value %x is computed from is too large for a float32 scale."),
        (1e-9, 1e300, "The range [0.0, 1e+300] of value %x is too wide for a float32 scale."),
    ],
)
def test_a_scale_beyond_float32(least: float, high: float, message: str) -> None:
    with pytest.raises(EpimcError) as caught:
        activation_type(Value("x", TensorType((1,)), (0.0, high)), 8, least)
    assert str(caught.value) == f"error: {message}{HINT}"


def test_a_zero_point_that_takes_values_beyond_float32() -> None:
    """Half a step below the range, which float32 holds."""
    with pytest.raises(EpimcError) as caught:
        activation_type(Value("x", TensorType((1,)), (-3.39e38, 3.39e38)), 8)
    assert str(caught.value) == (
        f"error: The range [-3.39e+38, 3.39e+38] of value %x is too wide for a float32 scale.{HINT}"
    )
    kept = activation_type(Value("x", TensorType((1,)), (-3.4e38, 3.3e38)), 8)
    assert kept.zero_point == 129
    assert np.isfinite(np.float32(-129) * np.float32(kept.scale))


def test_the_least_step_counts() -> None:
    value = Value("x", TensorType((1,)), (0.0, 1.0))
    assert activation_type(value, 8, 2.0).scale == 2.0
    assert activation_type(value, 8).scale == pytest.approx(1 / 255)


@pytest.mark.parametrize(
    ("low", "high", "bits", "scale", "zero_point"),
    [
        # As far to either side as the farther end.
        (-1.0, 63.5, 8, 0.5, 128),
        (-127.0, 5.0, 8, 1.0, 128),
        (-2.0, -1.0, 2, 2.0, 2),
        (0.0, 51.0, 8, 0.2, 0),
        (3.0, 51.0, 8, 0.2, 0),
        (0.0, 0.0, 8, 1.0, 0),
        (-1e-40, 1e-40, 9, 1.0, 256),
    ],
)
def test_signed_values_have_the_middle_zero_point(
    low: float, high: float, bits: int, scale: float, zero_point: int
) -> None:
    value = Value("x", TensorType((1,)), (low, high))
    kind = activation_type(value, bits, kind="signed")
    assert kind.zero_point == zero_point
    assert kind.scale == float(np.float32(scale))
    assert kind.element == f"u{bits}"
