"""Long even stretches: what is left out of them changes nothing, and need not be looked at."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from epimc.backends.crossbar.core.program import Instruction, Ring
from epimc.backends.crossbar.isa.loops import expand
from epimc.backends.crossbar.lower import repetition
from epimc.backends.crossbar.lower.repetition import Columns, Run
from epimc.backends.crossbar.lower.roll import roll

Stream = tuple[Instruction, ...]

PERIOD = 6
ROW = 8


@pytest.fixture
def short_periods(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stretches of some hundred instructions are long where periods are short."""
    monkeypatch.setattr(repetition, "MAXIMUM_PERIOD", PERIOD)


class Writer:
    """Writes instructions each of which goes on from the last one like it."""

    def __init__(self) -> None:
        self.rows: dict[tuple[int, int], int] = {}
        self.stream: list[Instruction] = []

    def put(self, kind: int, ring_rows: int) -> None:
        """One more load, computation, or signal."""
        key = kind, ring_rows
        row = self.rows[key] = self.rows.get(key, -1) + 1
        ring = Ring(ring_rows * 256, ring_rows)
        if kind == 0:
            address = ring.slot(row, ROW)
            self.stream.append(Instruction("load", (address, ring_rows * 10**6 + row * ROW, ROW)))
        elif kind == 1:
            self.stream.append(Instruction("mvm", (0, (row, row + 1), ring, (Ring(0, 2),))))
        else:
            self.stream.append(Instruction("signal", (ring_rows,)))


@st.composite
def streams(draw: st.DrawFn) -> Stream:
    """Bodies that repeat many times, now and then with a jump between two repetitions."""
    writer = Writer()
    kinds = st.tuples(st.integers(0, 2), st.integers(1, 4))
    for _ in range(draw(st.integers(1, 4))):
        body = draw(st.lists(kinds, min_size=1, max_size=PERIOD + 1))
        for _ in range(draw(st.integers(1, 3))):
            for _ in range(draw(st.sampled_from([1, 3, 20, 400 // len(body), 900 // len(body)]))):
                for item in body:
                    writer.put(*item)
            if draw(st.booleans()):
                writer.rows[draw(kinds)] = draw(st.integers(0, 50))
            if draw(st.booleans()):
                writer.put(*draw(kinds))
    return tuple(writer.stream)


def nothing_left_out(columns: Columns) -> Iterator[tuple[int, int, int]]:
    """No stretches."""
    yield from ()


@pytest.mark.usefixtures("short_periods")
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(streams())
def test_what_is_left_out_changes_nothing(stream: Stream) -> None:
    rolled = roll((stream,))
    assert expand(rolled) == (stream,)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(repetition, "_even_stretches", nothing_left_out)
        assert roll((stream,)) == rolled


def looked_at(rows: int) -> int:
    """How many items are searched for runs where rows go on evenly."""
    sizes: list[int] = []
    search = repetition._runs_of

    def counting(columns: Columns) -> Iterator[Run]:
        sizes.append(len(columns.ids))
        return search(columns)

    writer = Writer()
    for _ in range(rows):
        writer.put(0, 3)
        writer.put(1, 2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(repetition, "_runs_of", counting)
        (rolled,) = roll((tuple(writer.stream),))
    assert len(rolled) < 12
    return sum(sizes)


@pytest.mark.usefixtures("short_periods")
def test_of_an_even_stream_only_the_ends_are_searched() -> None:
    assert looked_at(100) > 200
    assert looked_at(1_000) == looked_at(2_000) == looked_at(40_000) < 500
