"""Design policies: shapes, plans, and the promise that a classifier's outputs stay apart."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from epimc.ir.core.types import IrError
from epimc.ir.epitome import plan
from epimc.ir.epitome.plan import Patch
from epimc.ir.epitome.policies import Layer, choose


def test_none_is_the_identity() -> None:
    assert choose("none", Layer((8, 3, 5, 5), 256)) == (
        (8, 3, 5, 5),
        (Patch(0, 8, 0, 3, 0, 0, 0, 0),),
    )


def test_uniform_wraps_the_outputs_and_repeats_the_inputs() -> None:
    epitome, patches = choose("uniform:72x8", Layer((16, 20, 3, 3), 32))
    # 72 rows hold 8 channels, whole crossbars of 32 rows hold 3 each: 6 channels.
    assert epitome == (8, 6, 3, 3)
    assert patches == (
        Patch(0, 8, 0, 6, 0, 0, 0, 0),
        Patch(0, 8, 6, 6, 0, 0, 0, 0),
        Patch(0, 8, 12, 6, 0, 0, 0, 0),
        Patch(0, 8, 18, 2, 0, 0, 0, 0),
        Patch(8, 8, 0, 6, 0, 0, 0, 0),
        Patch(8, 8, 6, 6, 0, 0, 0, 0),
        Patch(8, 8, 12, 6, 0, 0, 0, 0),
        Patch(8, 8, 18, 2, 0, 0, 0, 0),
    )


@pytest.mark.parametrize(
    ("weights", "policy"),
    [
        ((8, 3, 3, 3), "uniform:256x32"),
        ((8, 3, 3, 3), "uniform:8x32"),
        ((4, 4, 1, 1), "uniform:4x4"),
    ],
)
def test_a_layer_that_would_not_shrink_keeps_the_identity(weights: plan.Shape, policy: str) -> None:
    assert choose(policy, Layer(weights, 256)) == (weights, plan.identity(weights))


def test_a_kernel_larger_than_a_crossbar_is_cut_at_single_channels() -> None:
    epitome, _ = choose("uniform:128x4", Layer((8, 9, 7, 7), 32))
    assert epitome == (4, 2, 7, 7)


def test_unknown_policy() -> None:
    with pytest.raises(IrError) as caught:
        choose("unifrom:1x1", Layer((1, 1, 1, 1), 1))
    expected = "there is no policy 'unifrom:1x1' (known: none, uniform:RxC)"
    assert str(caught.value) == expected


@settings(max_examples=60, deadline=None)
@given(
    cout=st.integers(1, 40),
    cin=st.integers(1, 40),
    rows=st.integers(1, 64),
    columns=st.integers(1, 16),
    array=st.sampled_from([4, 8, 32]),
    classifier=st.booleans(),
)
def test_plans_hold_and_classifiers_stay_apart(
    cout: int, cin: int, rows: int, columns: int, array: int, classifier: bool
) -> None:
    weights = (cout, cin, 1, 1)
    epitome, patches = choose(f"uniform:{rows}x{columns}", Layer(weights, array, classifier))
    plan.check(patches, weights, epitome)
    assert epitome[0] * epitome[1] <= cout * cin
    numbers = np.arange(epitome[0] * epitome[1]).reshape(epitome)
    rebuilt = plan.rebuild(numbers, patches, weights).reshape(cout, -1)
    if classifier:
        assert len(np.unique(rebuilt, axis=0)) == cout


def test_more_patches_than_a_plan_may_have() -> None:
    expected = r"cuts weights \[4096, 25088, 1, 1\] into 102760448 patches, more than 262144"
    with pytest.raises(IrError, match=expected):
        choose("uniform:1x1", Layer((4096, 25088, 1, 1), 256))


def test_a_number_of_thousands_of_digits_is_no_policy() -> None:
    with pytest.raises(IrError, match="there is no policy 'uniform:1"):
        choose(f"uniform:{'1' * 5000}x4", Layer((4, 4, 1, 1), 256))
