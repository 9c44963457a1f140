"""Rearrangements: what they move, merged, simplified, and row by row."""

from __future__ import annotations

import math
from itertools import permutations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from epimc.ir.types import as_map, map_move
from epimc.layouts import (
    Rearrangement,
    Shape,
    element_indices,
    merged,
    rows_read,
    simplified,
)

SIZES = (1, 2, 6, 8, 12, 36)


@st.composite
def shapes(draw: st.DrawFn, size: int) -> Shape:
    """A shape of 1 to 3 dims with so many elements."""
    dims = []
    for _ in range(draw(st.integers(0, 2))):
        dims.append(draw(st.sampled_from([d for d in range(1, size + 1) if size % d == 0])))
        size //= dims[-1]
    return tuple(draw(st.permutations([*dims, size])))


@st.composite
def chains(draw: st.DrawFn, length: int) -> list[Rearrangement]:
    """Rearrangements, each of what the one before gives."""
    size = draw(st.sampled_from(SIZES))
    shape = draw(shapes(size))
    found = []
    for _ in range(length):
        perm = tuple(draw(st.permutations(range(len(shape)))))
        found.append(Rearrangement(shape, perm, draw(shapes(size))))
        shape = found[-1].result
    return found


def numbered(shape: Shape) -> np.ndarray:
    """One sample with its elements numbered."""
    return np.arange(math.prod(shape)).reshape(1, *shape)


@given(chains(2))
def test_two_merge_to_one_that_does_the_same(chain: list[Rearrangement]) -> None:
    first, second = chain
    expected = second.apply(first.apply(numbered(first.source)))
    whole = merged(first, second)
    if whole is not None:
        assert np.array_equal(whole.apply(numbered(first.source)), expected)
        assert (whole.source, whole.result) == (first.source, second.result)
        return
    if first.only_permutes or second.keeps_order:
        raise AssertionError("these always merge")


@given(chains(1))
def test_an_inverse_cancels(chain: list[Rearrangement]) -> None:
    (move,) = chain
    inverse = tuple(move.perm.index(axis) for axis in range(len(move.perm)))
    permuting = Rearrangement(move.source, move.perm, move.permuted)
    whole = merged(permuting, Rearrangement(move.permuted, inverse, move.source))
    assert whole is not None
    assert whole.is_identity


@given(chains(1))
def test_simplified_is_the_first_permutation_that_does_it(chain: list[Rearrangement]) -> None:
    (move,) = chain
    expected = move.apply(numbered(move.source))
    simple = simplified(move)
    others = permutations(range(len(move.source)))
    first = next(
        perm
        for perm in others
        if np.array_equal(
            Rearrangement(move.source, perm, move.result).apply(numbered(move.source)), expected
        )
    )
    assert simple == Rearrangement(move.source, first, move.result)


@given(chains(1))
def test_as_maps_the_same_elements_move(chain: list[Rearrangement]) -> None:
    (move,) = chain
    whole = map_move(move)
    assert (whole.source, whole.result) == (as_map(move.source), as_map(move.result))
    flat = whole.apply(numbered(whole.source)).ravel()
    assert np.array_equal(flat, move.apply(numbered(move.source)).ravel())


@given(chains(1))
def test_rows_that_are_read_are_those_of_the_elements(chain: list[Rearrangement]) -> None:
    move = map_move(chain[0])
    _, height, width = move.source
    moved = element_indices(move)
    for y, rows in enumerate(rows_read(move)):
        assert list(rows) == sorted(set((moved[:, y] // width % height).ravel().tolist()))


def test_a_row_that_stays_reads_one_row() -> None:
    assert rows_read(Rearrangement((2, 3, 4), (2, 1, 0), (4, 3, 2))) == ((0,), (1,), (2,))
    assert rows_read(Rearrangement((2, 3, 4), (0, 1, 2), (24, 1, 1))) == ((0, 1, 2),)
    assert rows_read(Rearrangement((1, 4, 2), (0, 1, 2), (1, 2, 4))) == ((0, 1), (2, 3))
