"""Sampling plans: what they rebuild, what is refused, and the activation rounds they imply."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from epimc.ir.core.types import IrError
from epimc.ir.epitome import plan
from epimc.ir.epitome.plan import Patch, Shape
from tests.helpers.plans import Planned, plans

Array = NDArray[Any]


def random_epitome(shape: Sequence[int]) -> Array:
    """Distinct integers, so that a wrong element is always seen."""
    size = int(np.prod(shape))
    return np.random.default_rng(0).permutation(size).reshape(shape) + 1


# --- the plan -------------------------------------------------------------------------------------


def test_the_identity_is_one_patch() -> None:
    assert plan.identity((6, 4, 3, 1)) == (Patch(0, 6, 0, 4, 0, 0, 0, 0),)
    weights = random_epitome((6, 4, 3, 1))
    chosen = plan.identity((6, 4, 3, 1))
    plan.check(chosen, (6, 4, 3, 1), (6, 4, 3, 1))
    assert np.array_equal(plan.rebuild(weights, chosen, (6, 4, 3, 1)), weights)
    assert np.array_equal(plan.fit(weights, chosen, (6, 4, 3, 1)), weights)


@given(plans())
def test_weights_are_rebuilt_element_by_element(planned: Planned) -> None:
    chosen, weights, epitome = planned
    plan.check(chosen, weights, epitome)
    values = random_epitome(epitome)
    got = plan.rebuild(values, chosen, weights)
    assert got.dtype == values.dtype
    for o, i, u, v in np.ndindex(*weights):
        (patch,) = [p for p in chosen if p.o0 <= o < p.o0 + p.on and p.i0 <= i < p.i0 + p.in_]
        source = patch.eo + o - patch.o0, patch.ei + i - patch.i0, patch.dy + u, patch.dx + v
        assert got[o, i, u, v] == values[source]


@given(plans(), st.sampled_from([np.float32, np.float64]))
def test_a_fit_gives_back_what_an_epitome_rebuilt(planned: Planned, kind: type[Any]) -> None:
    chosen, weights, epitome = planned
    values = random_epitome(epitome).astype(kind)
    rebuilt = plan.rebuild(values, chosen, weights)
    fitted = plan.fit(rebuilt, chosen, epitome)
    assert fitted.dtype == kind
    assert np.array_equal(plan.rebuild(fitted, chosen, weights), rebuilt)
    unused = plan.rebuild(np.arange(values.size).reshape(epitome), chosen, weights)
    mask = np.isin(np.arange(values.size), unused).reshape(epitome)
    assert np.array_equal(fitted[mask], values[mask])
    assert not fitted[~mask].any()


@given(plans(), st.integers(0, 2**32 - 1))
def test_no_epitome_is_nearer_than_the_fit(planned: Planned, seed: int) -> None:
    chosen, weights, epitome = planned
    random = np.random.default_rng(seed)
    rebuilt = random.normal(size=weights)
    fitted = plan.fit(rebuilt, chosen, epitome)
    residual = rebuilt - plan.rebuild(fitted, chosen, weights)
    # The residual is orthogonal to whatever an epitome can rebuild.
    other = plan.rebuild(random.normal(size=epitome), chosen, weights)
    assert abs((residual * other).sum()) < 1e-9


@pytest.mark.parametrize(
    ("patches", "weights", "epitome", "message"),
    [
        ([(0, 4, 0, 2, 0, 0, 0, 0)], (4, 2, 1, 1), (5, 2, 1, 1),
         "an epitome [5, 2, 1, 1] cannot stand for weights [4, 2, 1, 1]"),
        ([(0, 4, 0, 2, 0, 0, 0, 0)], (4, 2, 1, 1), (4, 3, 1, 1),
         "an epitome [4, 3, 1, 1] cannot stand for weights [4, 2, 1, 1]"),
        ([(0, 4, 0, 2, 0, 0, 0, 0)], (4, 2, 3, 3), (4, 2, 2, 3),
         "an epitome [4, 2, 2, 3] cannot stand for weights [4, 2, 3, 3]"),
        ([(0, 5, 0, 2, 0, 0, 0, 0)], (4, 2, 1, 1), (4, 2, 1, 1),
         "patch [0, 5, 0, 2, 0, 0, 0, 0] lies outside weights [4, 2, 1, 1]"),
        ([(0, 0, 0, 2, 0, 0, 0, 0)], (4, 2, 1, 1), (4, 2, 1, 1),
         "patch [0, 0, 0, 2, 0, 0, 0, 0] lies outside weights [4, 2, 1, 1]"),
        ([(0, 4, 1, 2, 0, 0, 0, 0)], (4, 2, 1, 1), (4, 2, 1, 1),
         "patch [0, 4, 1, 2, 0, 0, 0, 0] lies outside weights [4, 2, 1, 1]"),
        ([(0, 4, 0, 2, 1, 0, 0, 0)], (4, 2, 1, 1), (4, 2, 1, 1),
         "patch [0, 4, 0, 2, 1, 0, 0, 0] lies outside epitome [4, 2, 1, 1]"),
        ([(0, 4, 0, 2, 0, 1, 0, 0)], (4, 2, 1, 1), (4, 2, 1, 1),
         "patch [0, 4, 0, 2, 0, 1, 0, 0] lies outside epitome [4, 2, 1, 1]"),
        ([(0, 4, 0, 2, 0, 0, 2, 0)], (4, 2, 3, 3), (4, 2, 4, 3),
         "patch [0, 4, 0, 2, 0, 0, 2, 0] lies outside epitome [4, 2, 4, 3]"),
        ([(0, 4, 0, 2, 0, 0, 0, 1)], (4, 2, 3, 3), (4, 2, 4, 3),
         "patch [0, 4, 0, 2, 0, 0, 0, 1] lies outside epitome [4, 2, 4, 3]"),
        ([(0, 2, 0, 2, 0, 0, 0, 0)], (4, 2, 1, 1), (4, 2, 1, 1),
         "0 patches give the weights of output 2, input 0: not one"),
        ([(0, 4, 0, 2, 0, 0, 0, 0), (3, 1, 1, 1, 0, 0, 0, 0)], (4, 2, 1, 1), (4, 2, 1, 1),
         "2 patches give the weights of output 3, input 1: not one"),
        ([], (4, 2, 1, 1), (4, 2, 1, 1),
         "0 patches give the weights of output 0, input 0: not one"),
    ],
)  # fmt: skip
def test_plans_that_are_refused(
    patches: list[tuple[int, ...]], weights: Shape, epitome: Shape, message: str
) -> None:
    with pytest.raises(IrError) as caught:
        plan.check(tuple(Patch(*patch) for patch in patches), weights, epitome)
    assert str(caught.value) == message


@pytest.mark.parametrize("value", [5, [[1, 2]], [[0, 1, 0, 1, 0, 0, 0, -1]], [[0] * 7 + [True]]])
def test_what_is_no_plan(value: Any) -> None:
    with pytest.raises(IrError, match=r"^expected a list"):
        plan.PLAN.load(value)


@given(plans())
def test_plans_and_rounds_survive_their_text_form(planned: Planned) -> None:
    chosen, weights, epitome = planned
    assert plan.PLAN.load(plan.PLAN.dump(chosen)) == chosen
    rounds = plan.rounds(chosen, epitome, weights[2:])
    assert plan.ROUNDS.load(plan.ROUNDS.dump(rounds)) == rounds


# --- activation rounds ----------------------------------------------------------------------------


@given(plans())
def test_executing_the_rounds_rebuilds_the_weights(planned: Planned) -> None:
    chosen, weights, epitome = planned
    cout, cin, kh, kw = weights
    values = random_epitome(epitome)
    matrix = values.reshape(epitome[0], -1).T
    # Garbage, which only a store removes.
    got = np.full((cout, cin, kh * kw), 10**6)
    stored: set[int] = set()
    for round_ in plan.rounds(chosen, epitome, (kh, kw)):
        inputs = plan.from_ranges(round_.ifat)
        read = matrix[plan.from_ranges(round_.ifrt)].reshape(len(inputs), kh * kw, epitome[0])
        for column, width, destination, multiplier, accumulate in round_.ofat:
            assert multiplier == 1
            for k in range(width):
                assert (destination + k in stored) == bool(accumulate)
                if not accumulate:
                    got[destination + k] = 0
                got[destination + k, inputs] += read[:, :, column + k]
                stored.add(destination + k)
    assert stored == set(range(cout))
    assert np.array_equal(got.reshape(weights), plan.rebuild(values, chosen, weights))


@given(plans())
def test_patches_that_drive_the_same_lines_share_a_round(planned: Planned) -> None:
    chosen, weights, epitome = planned
    rounds = plan.rounds(chosen, epitome, weights[2:])
    keys = {(p.i0, p.in_, p.ei, p.dy, p.dx) for p in chosen}
    assert len(rounds) == len(keys)
    assert len({(r.ifat, r.ifrt) for r in rounds}) == len(rounds)


@given(plans())
def test_rounds_of_one_input_block_follow_each_other(planned: Planned) -> None:
    chosen, weights, epitome = planned
    blocks = [r.ifat for r in plan.rounds(chosen, epitome, weights[2:])]
    runs = [block for k, block in enumerate(blocks) if k == 0 or blocks[k - 1] != block]
    assert len(runs) == len(set(runs))


@given(plans())
def test_columns_are_cut_at_every_border_of_a_patch(planned: Planned) -> None:
    chosen, weights, epitome = planned
    for round_ in plan.rounds(chosen, epitome, weights[2:]):
        blocks = {(entry.column, entry.column + entry.width) for entry in round_.ofat}
        # Two blocks are the same or apart: each is read once.
        assert all(a == b or a[1] <= b[0] or b[1] <= a[0] for a in blocks for b in blocks)
        ((first, count),) = round_.ifat
        patches = [p for p in chosen if (p.i0, p.in_) == (first, count)]
        edges = {edge for a in blocks for edge in a}
        assert edges <= {edge for p in patches for edge in (p.eo, p.eo + p.on)}


def test_wrapped_outputs_share_one_read() -> None:
    # Two output blocks of the same columns; a third overlaps them by half.
    patches = (
        Patch(0, 4, 0, 2, 0, 0, 0, 0),
        Patch(4, 4, 0, 2, 0, 0, 0, 0),
        Patch(8, 4, 0, 2, 2, 0, 0, 0),
    )
    plan.check(patches, (12, 2, 1, 1), (6, 2, 1, 1))
    (only,) = plan.rounds(patches, (6, 2, 1, 1), (1, 1))
    assert (only.ifat, only.ifrt) == (((0, 2),), ((0, 2),))
    assert [tuple(entry) for entry in only.ofat] == [
        (0, 2, 0, 1, 0),
        (0, 2, 4, 1, 0),
        (2, 2, 2, 1, 0),
        (2, 2, 6, 1, 0),
        (2, 2, 8, 1, 0),
        (4, 2, 10, 1, 0),
    ]


def test_a_window_inside_a_larger_epitome_drives_its_rows_only() -> None:
    patches = (Patch(0, 1, 0, 1, 0, 1, 1, 0), Patch(0, 1, 1, 1, 0, 0, 0, 1))
    first, second = plan.rounds(patches, (1, 2, 3, 3), (2, 2))
    # Channel 1, rows 1 and 2, columns 0 and 1; then channel 0, rows 0 and 1, columns 1 and 2.
    assert first.ifrt == ((12, 2), (15, 2))
    assert second.ifrt == ((1, 2), (4, 2))
    assert (first.ifat, second.ifat) == (((0, 1),), ((1, 1),))
    assert [entry.accumulate for entry in (*first.ofat, *second.ofat)] == [0, 1]


@given(st.lists(st.integers(0, 30), max_size=12))
def test_ranges_name_their_numbers(numbers: list[int]) -> None:
    ranges = plan.to_ranges(np.array(numbers, np.int64))
    assert plan.from_ranges(ranges).tolist() == numbers
    # As few as there can be.
    breaks = [a for a, b in pairwise(numbers) if b != a + 1]
    assert len(ranges) == (len(breaks) + 1 if numbers else 0)


@pytest.mark.parametrize(
    "value",
    [
        5,
        [5],
        [{"ifat": [[0, 1]], "ifrt": [[0, 1]]}],
        [{"ifat": [[0, 1, 2]], "ifrt": [[0, 1]], "ofat": []}],
        [{"ifat": [[0, -1]], "ifrt": [[0, 1]], "ofat": []}],
        [{"ifat": [[0, 1]], "ifrt": [[0, 1]], "ofat": [[0, 1, 0, 1]]}],
    ],
)
def test_what_is_no_list_of_rounds(value: Any) -> None:
    with pytest.raises(IrError, match=r"^expected"):
        plan.ROUNDS.load(value)


def test_the_identity_epitome_is_the_weights_themselves() -> None:
    weights = np.arange(24, dtype=np.float32).reshape(4, 3, 2, 1)
    same = plan.identity((4, 3, 2, 1))
    assert plan.fit(weights, same, (4, 3, 2, 1)) is weights
    assert plan.rebuild(weights, same, (4, 3, 2, 1)) is weights


def test_what_a_plan_rebuilds_is_bounded_before_it_is_covered() -> None:
    weights, patches = (2**31 - 1, 2**31 - 1, 1, 1), (Patch(0, 1, 0, 1, 0, 0, 0, 0),)
    with pytest.raises(IrError, match="that a plan rebuilds are more than 268435456"):
        plan.check(patches, weights, (1, 1, 1, 1))
    # The identity rebuilds nothing, whatever the size.
    plan.check(plan.identity(weights), weights, weights)
