from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from epimc.backends.crossbar.compiled import elementwise
from epimc.ir.semantics import elementwise as definition

TYPES = st.sampled_from([np.uint8, np.uint16])
SHAPES = st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 4), st.integers(1, 5))


def activations(random: np.random.Generator, shape: tuple[int, ...], kind: Any) -> Any:
    """Of all values that the type has."""
    return random.integers(0, np.iinfo(kind).max, shape, kind, endpoint=True)


@given(SHAPES, TYPES, TYPES, st.booleans(), st.integers(0, 99))
def test_products(
    shape: tuple[int, int, int, int], first: Any, second: Any, by_channel: bool, seed: int
) -> None:
    random = np.random.default_rng(seed)
    a = activations(random, shape, first)
    b = activations(random, (shape[0], 1, 1, shape[3]) if by_channel else shape, second)
    zero_points = int(a.flat[0]), int(b.flat[-1])
    out = np.zeros(shape, np.int64)
    elementwise.multiply(a, b, zero_points, out)
    expected = definition.multiply(a.astype(np.int64), b.astype(np.int64), zero_points)
    assert np.array_equal(out, expected)
    if first == second == np.uint8:
        narrow = np.zeros(shape, np.int32)
        elementwise.multiply(a, b, zero_points, narrow)
        assert np.array_equal(narrow, expected)


@given(SHAPES, TYPES, st.booleans(), st.integers(1, 8), st.integers(0, 99))
def test_look_ups(
    shape: tuple[int, int, int, int], kind: Any, by_channel: bool, bits: int, seed: int
) -> None:
    random = np.random.default_rng(seed)
    x = random.integers(0, 2**bits, shape).astype(np.uint8)
    table = activations(random, (shape[3] if by_channel else 1, 2**bits), kind)
    out = np.zeros(shape, kind)
    elementwise.lookup(x, table, out)
    expected = definition.lookup(x.transpose(0, 3, 1, 2).astype(np.int64), table.astype(np.int64))
    assert np.array_equal(out.transpose(0, 3, 1, 2), expected)
