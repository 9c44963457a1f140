"""Random tensors: the same values however they are drawn."""

from __future__ import annotations

import numpy as np
import pytest

from epimc.ir.core.tensors import Normal
from epimc.ir.core.types import TensorType


@pytest.mark.parametrize(
    ("element", "scale", "low", "high"),
    [
        ("f32", 0.5, -np.inf, np.inf),
        ("u4", 9.0, 0, 15),
        ("s8", 90.0, -127, 127),
        ("i64", 1e19, -(2**62), 2**62),
    ],
)
def test_what_is_drawn_piece_by_piece_is_what_is_drawn_at_once(
    element: str, scale: float, low: float, high: float
) -> None:
    kind = TensorType((3, 2**20 // 2 + 1), element)
    at_once = np.random.Generator(np.random.Philox(5)).standard_normal(kind.shape) * scale
    if element != "f32":
        at_once = np.clip(np.rint(at_once), low, high)
    drawn = Normal(5, scale).draw(kind)
    assert drawn.dtype == kind.dtype
    assert np.array_equal(drawn, at_once.astype(kind.dtype))
