from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from epimc.ir.epitome.plan import Patch, Plan
from epimc.quantization.rounding.weights import shared_maxima

COLUMNS, OUTPUTS = 6, 12


@st.composite
def blocks(draw: st.DrawFn) -> Plan:
    """Patches of any columns for any outputs, of which all are written."""
    plan: list[Patch] = []
    for i0 in range(draw(st.integers(1, 3))):
        o0 = 0
        while o0 < OUTPUTS:
            on = draw(st.integers(1, min(COLUMNS, OUTPUTS - o0)))
            eo = draw(st.integers(0, COLUMNS - on))
            plan.append(Patch(o0, on, i0, 1, eo, 0, 0, 0))
            o0 += on
    return tuple(plan)


def spread_maxima(plan: Plan, largest: list[float]) -> tuple[list[float], list[float]]:
    """The same by handing the larger number on along every patch until nothing changes."""
    columns, outputs = list(largest), [0.0] * OUTPUTS
    changed = True
    while changed:
        changed = False
        for patch in plan:
            for k in range(patch.on):
                pair = columns[patch.eo + k], outputs[patch.o0 + k]
                changed |= pair[0] != pair[1]
                columns[patch.eo + k] = outputs[patch.o0 + k] = max(pair)
    return columns, outputs


@given(blocks(), st.permutations(range(1, COLUMNS + 1)))
def test_what_a_plan_joins_has_one_maximum(plan: Plan, numbers: list[int]) -> None:
    largest = [float(number) for number in numbers]
    columns, outputs = shared_maxima(plan, np.array(largest), OUTPUTS)
    assert (columns.tolist(), outputs.tolist()) == spread_maxima(plan, largest)


def test_a_column_that_no_patch_takes_keeps_its_number() -> None:
    plan = (Patch(0, 2, 0, 1, 0, 0, 0, 0), Patch(2, 1, 0, 1, 1, 0, 0, 0))
    columns, outputs = shared_maxima(plan, np.array([1.0, 2.0, 3.0]), 3)
    assert columns.tolist() == [1, 2, 3]
    assert outputs.tolist() == [1, 2, 2]
