from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from epimc.backends.crossbar.compiled.border import quantize
from epimc.ir.semantics import quantization


@given(
    arrays.arrays(np.float32, (2, 3, 2, 5), elements=st.floats(width=32)),
    st.floats(2.0**-20, 2.0**20, width=32),
    st.integers(0, 255),
    st.integers(1, 16),
)
def test_integers_are_those_of_the_definition(
    x: np.ndarray[tuple[int, ...], np.dtype[np.float32]], scale: float, zero: int, bits: int
) -> None:
    out = np.zeros((2, 2, 5, 3), np.uint8 if bits <= 8 else np.uint16)
    quantize(x, scale, zero, bits, out)
    expected = quantization.quantize_input(x, scale, zero, bits)
    assert np.array_equal(out.transpose(0, 3, 1, 2), expected)


@pytest.mark.parametrize("scale", [0.1, 1.0, 1 / 3])
def test_ties_go_to_the_even_integer(scale: float) -> None:
    x = ((np.arange(-40, 600) + 0.5) * np.float32(scale)).astype(np.float32).reshape(1, 1, 1, -1)
    out = np.zeros((1, 1, x.shape[3], 1), np.uint8)
    quantize(x, scale, 7, 8, out)
    expected = quantization.quantize_input(x, scale, 7, 8)
    assert np.array_equal(out.transpose(0, 3, 1, 2), expected)
