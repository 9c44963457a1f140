"""The choice of widths is the best one, and an impossible budget says what is possible."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import product
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from epimc.quantization.allocation import choice as choices
from epimc.quantization.allocation.choice import Limit, Solution, chosen
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
        "  hint: Allow more, or higher bits in the range of --weight-bits."
    )


def test_an_impossible_budget_given_back_is_possible() -> None:
    # Ten times 0.1 is more than 1, and a sum in floats less.
    losses = [[0.1, 0.2]] * 10
    with pytest.raises(EpimcError) as caught:
        chosen([[1.0, 0.0]] * 10, Limit("error", losses, 0.5))
    said = str(caught.value).partition("possible is ")[2].split(".\n")[0]
    choice = chosen([[1.0, 0.0]] * 10, Limit("error", losses, float(said)))
    assert choice.places == (0,) * 10


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.lists(st.floats(1e-9, 1e-2), min_size=2, max_size=4), min_size=2, max_size=5),
    st.floats(0, 1),
    st.sampled_from([-1e-7, -1e-9, 0.0]),
)
def test_a_sum_of_floats_stays_within_its_limit(
    losses: list[list[float]], share: float, lacking: float
) -> None:
    """Budgets are those of some choice, or less by what HiGHS takes for nothing."""
    places = [int(share * (len(each) - 1)) for each in losses]
    budget = math.fsum(each[k] for each, k in zip(losses, places, strict=True)) * (1 + lacking)
    limit = Limit("error", losses, budget)
    if limit.least > Fraction(budget):
        return
    costs = [[*range(len(each), 0, -1)] for each in losses]
    choice = chosen(costs, limit)
    assert limit.excess(choice.places) <= 0
    total = sum(each[k] for each, k in zip(costs, choice.places, strict=True))
    best = min(
        sum(each[k] for each, k in zip(costs, others, strict=True))
        for others in product(*(range(len(each)) for each in losses))
        if limit.excess(others) <= 0
    )
    # What is left out to stay within the limit, the gap tells of.
    assert total * (1 - choice.gap) <= best <= total


def test_a_choice_beyond_its_limit_is_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if HiGHS took a larger sum for equal."""
    tightened: list[Fraction] = []
    made = choices.solved

    def loose(aims: list[list[float]], limit: Limit, less: Fraction) -> Solution:
        tightened.append(less)
        wider = Limit(limit.name, limit.each, limit.most + (1e-5 if len(tightened) < 2 else 0))
        return made(aims, wider, less)

    monkeypatch.setattr(choices, "solved", loose)
    limit = Limit("error", [[0.5, 0.500009], [0.5, 0.500008]], 1.0)
    choice = chosen([[3.0, 2.0], [3.0, 1.0]], limit)
    assert choice.places == (0, 0)
    # The bound is that of the first time.
    assert choice.gap == pytest.approx((6 - 4) / 6)
    assert tightened[0] == 0
    assert len(tightened) == 2
    assert tightened[1] > 0


def test_an_end_without_a_result_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    from scipy import optimize

    result = SimpleNamespace(x=np.ones(2), mip_gap=None, message="Time limit reached. (x)")
    monkeypatch.setattr(optimize, "milp", lambda *args, **options: result)
    with pytest.raises(EpimcError) as caught:
        chosen([[1.0, 0.0]], Limit("crossbars", [[1, 2]], 2))
    assert str(caught.value) == (
        "error: The choice of bits came to no end: Time limit reached. (x).\n"
        "  hint: Narrow the range of --weight-bits, or give layers their bits in a file (--epitome "
        "FILE)."
    )
