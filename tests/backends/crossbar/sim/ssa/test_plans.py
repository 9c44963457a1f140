from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from epimc.backends.crossbar.instructions.mvm import Mvm
from epimc.backends.crossbar.instructions.vector import Add, Requantize
from epimc.backends.crossbar.sim.ssa.plan import ordered
from epimc.backends.crossbar.sim.ssa.units import Layer, joined_units, single_units
from epimc.backends.crossbar.sim.ssa.values import LINE, Arenas, Layout, Value, overlap
from tests.backends.crossbar.programs import PROGRAMS


@st.composite
def several_values(draw: st.DrawFn) -> list[Value]:
    """Values of some steps, of different sizes."""
    values = []
    for number in range(draw(st.integers(1, 12))):
        shape = (draw(st.integers(1, 3)), draw(st.integers(1, 5)), draw(st.integers(1, 40)))
        kind = np.dtype(draw(st.sampled_from([np.uint8, np.int32, np.int64])))
        first = draw(st.integers(-1, 8))
        values.append(Value(number, shape, kind, first, first + draw(st.integers(0, 5))))
    return values


@given(several_values(), st.integers(1, 3))
def test_values_that_are_needed_together_lie_apart(values: list[Value], samples: int) -> None:
    layout = Layout(values)
    arena = layout.arena(samples)
    for value in values:
        array = arena[value.number]
        assert (array.shape, array.dtype) == ((samples, *value.shape), value.dtype)
        assert array.ctypes.data % LINE == 0
    for one, other in combinations(values, 2):
        if overlap(one, other):
            assert not np.shares_memory(arena[one.number], arena[other.number])
    assert layout.sample_bytes <= sum(value.size for value in values)
    most = max(sum(v.size for v in values if v.first <= step <= v.last) for step in range(-1, 14))
    assert layout.sample_bytes >= most


def test_arenas_are_used_again_but_not_at_the_same_time() -> None:
    arenas = Arenas(Layout([Value(0, (1, 1, 3), np.dtype(np.uint8), 0, 1)]))
    with arenas.taken(2) as first, arenas.taken(2) as second:
        assert not np.shares_memory(first[0], second[0])
    with arenas.taken(2) as again:
        assert again is first
    # Fewer samples, and then more than ever, take no more memory than the most.
    with arenas.taken(1) as fewer:
        assert np.shares_memory(fewer[0], first[0])
    with arenas.taken(9) as more, arenas.taken(1) as other:
        assert more[0].shape == (9, 1, 1, 3)
        assert not np.shares_memory(more[0], other[0])
    assert len(arenas._free) == 2


@pytest.mark.parametrize("name", PROGRAMS)
def test_sources_come_first(name: str) -> None:
    program = PROGRAMS[name]()
    tables = ordered(program.tables[::-1])
    assert sorted(map(id, tables)) == sorted(map(id, program.tables))
    known = {port.map for port in program.inputs}
    for table in tables:
        assert known.issuperset(table.sources)
        known.add(table.destination)


def test_a_split_layer_is_one_unit_with_its_requantization() -> None:
    program = PROGRAMS["split"]()
    tables = ordered(program.tables)
    assert [type(unit) for unit in single_units(program, tables)].count(Layer) == 2
    assert any(isinstance(unit, Add) for unit in single_units(program, tables))
    (unit,) = joined_units(program, tables)
    assert isinstance(unit, Layer)
    assert len(unit.parts) == 2
    assert isinstance(unit.after, Requantize)
    assert unit.sources == (program.inputs[0].map,)
    assert unit.destination == program.outputs[0].map


def test_accumulators_that_somebody_else_reads_stay() -> None:
    """Of two layers that are requantized together, the first is a term of the second."""
    for name in PROGRAMS:
        program = PROGRAMS[name]()
        tables = ordered(program.tables)
        units = list(joined_units(program, tables))
        made = {unit.destination for unit in units}
        for unit in units:
            assert made.issuperset(set(unit.sources) - {port.map for port in program.inputs})
        parts = [part for unit in units if isinstance(unit, Layer) for part in unit.parts]
        mvms = [table for table in tables if isinstance(table, Mvm)]
        assert sorted(map(id, parts)) == sorted(map(id, mvms))
