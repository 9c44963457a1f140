"""The choice of widths is the best one, and an impossible budget says what is possible."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from epimc.quantization.allocation.choice import Limit, chosen
from epimc.support.diagnostics import EpimcError

LAYERS = st.lists(
    st.lists(
        st.tuples(st.floats(0, 1e3, allow_subnormal=False), st.integers(0, 10**9)),
        min_size=1,
        max_size=4,
    ),
    min_size=1,
    max_size=4,
)


@settings(max_examples=60, deadline=None)
@given(LAYERS, st.floats(0, 1))
def test_no_choice_within_the_budget_is_better(
    layers: list[list[tuple[float, int]]], share: float
) -> None:
    aims = [[aim for aim, _ in layer] for layer in layers]
    costs = [[cost for _, cost in layer] for layer in layers]
    least, most = sum(map(min, costs)), sum(map(max, costs))
    budget = least + int(share * (most - least))
    choice = chosen(aims, Limit("crossbars", costs, budget))
    best = min(
        sum(aim for aim, _ in each)
        for each in product(*layers)
        if sum(cost for _, cost in each) <= budget
    )
    assert sum(cost[k] for cost, k in zip(costs, choice.places, strict=True)) <= budget
    value = sum(aim[k] for aim, k in zip(aims, choice.places, strict=True))
    assert value == pytest.approx(best, rel=1e-9, abs=1e-9 * max(map(max, aims)))
    assert choice.gap == 0


def test_small_losses_count_beside_large_ones() -> None:
    aims = [[1e3, 1e-3], [2e-9, 1e-9], [1e-9, 3e-9]]
    choice = chosen(aims, Limit("crossbars", [[1, 2], [1, 2], [2, 1]], 5))
    assert choice.places == (1, 0, 0) or choice.places == (1, 1, 1)
    choice = chosen(aims, Limit("crossbars", [[1, 2], [1, 2], [2, 1]], 6))
    assert choice.places == (1, 1, 0)


def test_a_count_is_never_exceeded_however_large() -> None:
    costs = [[10**9, 10**9 + 1], [10**9, 10**9 + 1]]
    choice = chosen([[1.0, 0.0], [1.0, 0.0]], Limit("reads", costs, 2 * 10**9 + 1))
    assert sorted(choice.places) == [0, 1]


def test_a_net_without_layers_has_one_choice() -> None:
    assert chosen([], Limit("crossbars", [], 0)).places == ()


def test_an_impossible_budget_says_what_is_possible() -> None:
    with pytest.raises(EpimcError) as caught:
        chosen([[1.0, 0.0], [1.0]], Limit("error", [[1.0, 0.5], [0.25]], 0.5))
    assert str(caught.value) == (
        "error: error = 0.5 is not possible: the smallest possible is 0.75.\n"
        "  hint: Allow more, or lower bits in the range of --weight-bits."
    )
