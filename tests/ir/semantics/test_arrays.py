"""Large arrays are gone through piece by piece, without a gap."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from epimc.ir.semantics.arrays import pieces


@given(st.integers(0, 50), st.integers(0, 9), st.integers(1, 30))
def test_pieces_are_all_rows_in_order(count: int, size: int, limit: int) -> None:
    actual = list(pieces(count, size, limit))
    assert [row for part in actual for row in range(count)[part]] == list(range(count))
    assert all((part.stop - part.start) * size <= max(limit, size) for part in actual)
