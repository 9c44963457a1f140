"""The border of the integers against onnxruntime."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from epimc.ir.semantics import quantization
from epimc.ir.semantics.quantization import dequantize_output, quantize_input
from tests.ir.semantics.nodes import one_node

Array = NDArray[Any]
SCALES = st.floats(2.0**-100, 2.0**100, width=32)


def quantize_linear(x: Array, scale: float, zero_point: int) -> Array:
    """onnxruntime's QuantizeLinear to 8 bits."""
    constants: dict[str, Array] = {
        "s": np.array(scale, np.float32),
        "z": np.array(zero_point, np.uint8),
    }
    result: Array = one_node("QuantizeLinear", {"x": x}, constants)
    return result


@given(
    hnp.arrays(np.float32, 40, elements=st.floats(allow_nan=False, width=32)),
    SCALES,
    st.integers(0, 255),
    st.integers(4, 8),
)
def test_inputs_are_quantized_as_onnxruntime_does(
    x: Array, scale: float, zero_point: int, bits: int
) -> None:
    top = 2**bits - 1
    expected = np.minimum(quantize_linear(x, scale, min(zero_point, top)), top)
    got = quantize_input(x, scale, min(zero_point, top), bits)
    assert got.dtype == np.int64
    assert np.array_equal(got, expected)


@pytest.mark.parametrize("scale", [2.0**-8, 1 / 255, 0.1, 3.0, 2.0**-100])
@pytest.mark.parametrize("zero_point", [0, 1, 127, 128, 255])
def test_ties_round_to_even_as_in_onnxruntime(scale: float, zero_point: int) -> None:
    steps = np.arange(-300, 300, dtype=np.float32) / 2
    # On the ties, and next to them.
    exact = steps * np.float32(scale)
    infinite = np.float32(np.inf)
    x = np.concatenate([exact, np.nextafter(exact, infinite), np.nextafter(exact, -infinite)])
    got = quantize_input(x, scale, zero_point, 8)
    assert np.array_equal(got, quantize_linear(x, scale, zero_point))


def test_what_is_too_large_for_float32_is_clipped_or_infinite() -> None:
    x = np.array([3e38, -3e38], np.float32)
    assert quantize_input(x, 2.0**-100, 7, 8).tolist() == [255, 0]
    real = dequantize_output(np.array([255, 0]), 2.0**127, 128)
    assert real.tolist() == [np.inf, -np.inf]


def test_a_tie_goes_to_the_even_neighbour() -> None:
    x = np.array([-1.5, -0.5, 0.5, 1.5, 2.5], np.float32)
    assert quantize_input(x, 1.0, 3, 4).tolist() == [1, 3, 3, 5, 5]


@given(hnp.arrays(np.uint8, 30), SCALES, st.integers(0, 255))
def test_outputs_are_dequantized_as_onnxruntime_does(
    q: Array, scale: float, zero_point: int
) -> None:
    constants: dict[str, Array] = {
        "s": np.array(scale, np.float32),
        "z": np.array(zero_point, np.uint8),
    }
    expected = one_node("DequantizeLinear", {"q": q}, constants)
    got = dequantize_output(q.astype(np.int64), scale, zero_point)
    assert got.dtype == np.float32
    assert np.array_equal(got, expected)


@pytest.mark.parametrize(
    ("bits", "nearest"), [(1, [-1, -1, 1, 1]), (2, [-1, 0, 0, 1]), (3, [-2, 0, 0, 3])]
)
def test_the_nearest_weights(bits: int, nearest: list[int]) -> None:
    steps = quantization.nearest_weights(np.array([-1.5, -0.25, 0.0, 7.0]), bits)
    assert steps.tolist() == nearest
    assert quantization.are_weights(steps, bits)


@pytest.mark.parametrize(
    ("numbers", "bits", "right"),
    [([-1, 1], 1, True), ([0, 1], 1, False), ([2, 1], 1, False), ([0, -1], 2, True),
     ([-2, 1], 2, False), ([-32767, 32767], 16, True)],
)  # fmt: skip
def test_which_numbers_are_weights(numbers: list[int], bits: int, right: bool) -> None:
    assert quantization.are_weights(np.array(numbers), bits) == right


def test_only_one_bit_makes_room_for_a_zero() -> None:
    taken = [
        quantization.bits_with_zero(bits, zero) for bits in (1, 2, 8) for zero in (False, True)
    ]
    assert taken == [1, 2, 2, 2, 8, 8]
