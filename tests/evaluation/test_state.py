"""Records that are kept on disk, in as few files as there are gaps between them."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from epimc.evaluation.state import Piece, State, runs


def piece(first: int, end: int) -> Piece:
    """Samples whose record says their numbers."""
    return first, end, {"program.class": np.arange(first, end)}


@given(st.lists(st.integers(1, 5), min_size=1, max_size=12), st.data())
def test_what_follows_each_other_is_one(sizes: list[int], data: st.DataObject) -> None:
    borders = np.cumsum([0, *sizes]).tolist()
    pieces = [piece(a, b) for a, b in itertools.pairwise(borders)]
    kept = data.draw(st.lists(st.sampled_from(pieces), unique_by=lambda p: p[0]))
    joined = [*runs(kept)]
    covered = {k for first, end, _ in joined for k in range(first, end)}
    assert covered == {k for first, end, _ in kept for k in range(first, end)}
    for first, end, record in joined:
        np.testing.assert_array_equal(record["program.class"], np.arange(first, end))
    # No two of them could be one.
    assert all(a[1] < b[0] for a, b in itertools.pairwise(joined))


def test_what_waits_is_written_once(tmp_path: Path) -> None:
    state = State(tmp_path / "state", {"program.class": "int64"}, 2**20)
    assert state.open({"data": "x"}, 20) == []
    for first in (4, 0, 12):
        state.add(piece(first, first + 4))
    state.write()
    state.write()
    state.add(piece(8, 12))
    state.write()
    names = sorted(path.name for path in (tmp_path / "state").glob("*.npz"))
    assert names == [f"{a:010}-{b:010}.npz" for a, b in ((0, 8), (8, 12), (12, 16))]
    state.close()
    again = State(tmp_path / "state", {"program.class": "int64"}, 2**20).open({"data": "x"}, 20)
    assert [(first, end) for first, end, _ in again] == [(0, 8), (8, 12), (12, 16)]
    for first, end, record in again:
        np.testing.assert_array_equal(record["program.class"], np.arange(first, end))
