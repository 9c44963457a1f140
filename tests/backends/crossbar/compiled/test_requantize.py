from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from epimc.backends.crossbar.compiled.requantize import Rescaling
from tests.backends.crossbar.compiled.rescalings import Drawn, drawn_terms, rescalings

# Of the terms; each takes a kernel of its own.
KINDS = (["i4"], ["i8"], ["u1", "u1"], ["u2", "i4", "u1"])


@settings(max_examples=60)
@given(data=st.data())
def test_terms_of_any_types(data: st.DataObject) -> None:
    channels = data.draw(st.integers(1, 35))
    shape = (data.draw(st.integers(1, 2)), data.draw(st.integers(1, 4)), 3, channels)
    kinds = data.draw(st.sampled_from(KINDS))
    terms, bounds = drawn_terms(kinds, shape)
    place = data.draw(st.integers(0, len(terms) - 1))
    drawn: Drawn = data.draw(rescalings(bounds, channels, place))
    out = np.full(shape, 77, drawn.rescaling.dtype)
    drawn.rescaling(terms, out)
    np.testing.assert_array_equal(out, drawn.expected(terms))


def test_rounding_of_the_largest_shift_and_of_halves() -> None:
    """Halves go up, and negative sums down, as floor has it."""
    sums = np.array([-(2**31), -3, -2, -1, 0, 1, 2, 3, 2**31 - 1]).reshape(1, 1, 9, 1)
    for shift, multiplier in ((1, 1), (62, 2**30)):
        rescaling = Rescaling(
            np.array([[multiplier]]), np.array([shift]), np.array([0]), [0], 5, 0, 255,
            np.dtype(np.uint8),
        )  # fmt: skip
        out = np.empty(sums.shape, np.uint8)
        rescaling([sums.astype(np.int32)], out)
        exact = [
            (value * multiplier + 2 ** (shift - 1)) >> shift for value in sums.ravel().tolist()
        ]
        assert out.ravel().tolist() == [min(max(value + 5, 0), 255) for value in exact]
