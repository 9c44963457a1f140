"""Stored tensors: random ones are the same values however drawn; files are the library's."""

from __future__ import annotations

import math

import numpy as np
import pytest
from safetensors.numpy import save

from epimc.ir.core.tensors import Normal, Tensor, tensor_bytes
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


@pytest.mark.parametrize("element", ["f32", "s8", "u4", "s12", "u16", "i64"])
@pytest.mark.parametrize("shape", [(), (7,), (2, 3), (1000, 12, 3)])
def test_files_are_those_of_the_library(element: str, shape: tuple[int, ...]) -> None:
    tensor = Tensor.of(np.arange(math.prod(shape)).reshape(shape) % 8, element)
    assert tensor_bytes(tensor) == save({"data": tensor.array})
