from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from epimc.backends.crossbar.compiled.pools import max_pool, sum_pool
from epimc.ir.semantics import windows as semantics
from epimc.ir.semantics.arrays import Array
from epimc.ir.semantics.windows import Window
from tests.backends.crossbar.compiled.layers import nchw, windows


@st.composite
def maps(draw: st.DrawFn) -> tuple[Array, Window]:
    """Maps of any number of channels, and a window over them."""
    kind = np.dtype(draw(st.sampled_from(["u1", "u2"])))
    height, width = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    shape = (draw(st.integers(1, 2)), height, width, draw(st.sampled_from([1, 3, 16, 83, 150])))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    x = random.integers(
        0, draw(st.sampled_from([3, 2 ** (8 * kind.itemsize) - 1])), shape, endpoint=True
    )
    return x.astype(kind), draw(windows(height, width))


@given(drawn=maps())
def test_max_pool(drawn: tuple[Array, Window]) -> None:
    x, window = drawn
    expected = semantics.max_pool(nchw(x), window).transpose(0, 2, 3, 1)
    # A window of nothing but padding has no maximum; no program has one.
    expected = np.maximum(expected, 0)
    out = np.full(expected.shape, 7, x.dtype)
    max_pool(x, window, out)
    np.testing.assert_array_equal(out, expected)


@given(
    drawn=maps(),
    zero_point=st.integers(0, 255),
    kind=st.sampled_from([np.int32, np.int64]),
    counted=st.booleans(),
)
def test_sum_pool(
    drawn: tuple[Array, Window], zero_point: int, kind: type[np.generic], counted: bool
) -> None:
    x, window = drawn
    expected = semantics.sum_pool(nchw(x), window, zero_point).transpose(0, 2, 3, 1)
    out = np.full(expected.shape, 7, kind)
    if counted:
        shares = np.arange(out.shape[1] * out.shape[2]).reshape(out.shape[1:3]) + 1
        sum_pool(x, window, zero_point, out, shares)
        expected = expected * shares[:, :, None]
    else:
        sum_pool(x, window, zero_point, out)
    np.testing.assert_array_equal(out, expected)
