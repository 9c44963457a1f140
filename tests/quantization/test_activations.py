"""Scales of activations at the ends of float32."""

from __future__ import annotations

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


def test_the_least_step_counts() -> None:
    value = Value("x", TensorType((1,)), (0.0, 1.0))
    assert activation_type(value, 8, 2.0).scale == 2.0
    assert activation_type(value, 8).scale == pytest.approx(1 / 255)
