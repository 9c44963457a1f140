"""Rearrangements and selections: what they move, merged, simplified, and row by row."""

from __future__ import annotations

import math
from itertools import permutations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from epimc.ir.core.types import as_map, map_move
from epimc.ir.semantics.layouts import (
    Rearrangement,
    Selection,
    Shape,
    element_indices,
    indices,
    merged,
    rows_read,
    runs_of,
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
    actual = []
    for _ in range(length):
        perm = tuple(draw(st.permutations(range(len(shape)))))
        actual.append(Rearrangement(shape, perm, draw(shapes(size))))
        shape = actual[-1].result
    return actual


def numbered(shape: Shape) -> np.ndarray:
    """One sample with its elements numbered."""
    return np.arange(math.prod(shape)).reshape(1, *shape)


@given(chains(2))
def test_two_merge_to_one_that_does_the_same(chain: list[Rearrangement]) -> None:
    first, second = chain
    expected = second.apply(first.apply(numbered(first.source)))
    combined = merged(first, second)
    if combined is not None:
        assert np.array_equal(combined.apply(numbered(first.source)), expected)
        assert (combined.source, combined.result) == (first.source, second.result)
        return
    if first.only_permutes or second.keeps_order:
        raise AssertionError("these always merge")


@given(chains(1))
def test_an_inverse_cancels(chain: list[Rearrangement]) -> None:
    (move,) = chain
    inverse = tuple(move.perm.index(axis) for axis in range(len(move.perm)))
    permuting = Rearrangement(move.source, move.perm, move.permuted)
    combined = merged(permuting, Rearrangement(move.permuted, inverse, move.source))
    assert combined is not None
    assert combined.is_identity


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
    combined = map_move(move)
    assert (combined.source, combined.result) == (as_map(move.source), as_map(move.result))
    flat = combined.apply(numbered(combined.source)).ravel()
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


@given(st.lists(st.integers(0, 5), min_size=1))
def test_runs_hold_the_indices(numbers: list[int]) -> None:
    assert indices(runs_of(numbers)).tolist() == numbers


def test_runs_are_long() -> None:
    assert runs_of([4, 4, 4, 0, 2, 4, 3]) == ((4, 3, 0), (0, 3, 2), (3, 1, 0))
    assert runs_of(range(7, -1, -1)) == ((7, 8, -1),)


@given(st.lists(st.lists(st.integers(0, 3), max_size=5), min_size=3, max_size=3))
def test_a_selection_takes_by_index(lists: list[list[int]]) -> None:
    x, source = numbered((4, 4, 4)), (4, 4, 4)
    selection = Selection(*map(runs_of, lists))
    channels, rows, columns = (numbers or [*range(4)] for numbers in lists)
    assert selection.fits(source)
    actual = selection.apply(x)
    assert np.array_equal(actual[0], x[0][np.ix_(channels, rows, columns)])
    assert actual.shape[1:] == selection.shape(source)
    assert [selection.row(y) for y in range(len(rows))] == rows


def test_selections_that_do_not_fit() -> None:
    for runs in ((0, 5, 1), (4, 1, 0), (-1, 1, 0), (1, 3, -1), (0, 0, 1), (0, 1, 1)):
        assert not Selection(rows=(runs,)).fits((9, 4, 9))
        assert not Selection(columns=((0, 1, 0), runs)).fits((9, 9, 4))
