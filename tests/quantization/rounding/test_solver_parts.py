"""Outputs are rounded some at a time where they share nothing, on which nothing depends."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from epimc.quantization.rounding import damping as dampings
from epimc.quantization.rounding import solver
from epimc.quantization.rounding.damping import FIRST, STRONGER, WEAKER, Search, damping_of
from epimc.quantization.rounding.moments import Moments
from epimc.quantization.rounding.problem import Grid
from epimc.quantization.rounding.solver import ALONE, USUAL, Solver

Array = NDArray[Any]

OUTPUTS, INPUTS = 150, 20


@pytest.fixture
def weights() -> Array:
    return np.random.default_rng(0).normal(size=(1, OUTPUTS, INPUTS)).astype(np.float32)


def solver_of(weights: Array, threads: int = 1) -> Solver:
    """Of a layer with a scale for each output."""
    numbers = np.arange(weights.shape[0] * weights.shape[1])
    return Solver(
        weights,
        Grid(3),
        numbers,
        elements=None,
        weight_range="mse",
        is_first=False,
        has_products=True,
        threads=threads,
    )


def moments_of(weights: Array, seed: int, count: int = 400) -> Moments:
    """Of inputs that go together, and of about what the weights make of them."""
    random, groups, inputs = np.random.default_rng(seed), weights.shape[0], weights.shape[2]
    mixing = np.random.default_rng(1).normal(size=(groups, inputs, inputs))
    x = (mixing @ random.normal(size=(groups, inputs, count))).astype(np.float32)
    y = (weights @ x + random.normal(size=(groups, weights.shape[1], count))).astype(np.float32)
    return Moments.of(x, y, np.zeros((groups, inputs, 1), np.float32), products=True)


@pytest.mark.parametrize("damping", [USUAL, ALONE])
def test_integers_are_the_same_whatever_the_threads(weights: Array, damping: float) -> None:
    moments = moments_of(weights, 2)
    steps, scales = solver_of(weights).integers(moments, damping)
    others = solver_of(weights, threads=2).integers(moments, damping)
    assert np.array_equal(steps, others[0])
    assert np.array_equal(scales, others[1])


def test_a_damping_is_the_same_whatever_the_threads(weights: Array) -> None:
    kept, apart = moments_of(weights, 2), moments_of(weights, 3)
    damping = damping_of(solver_of(weights), kept, apart)
    assert damping in (*WEAKER, *FIRST, *STRONGER)
    assert damping == damping_of(solver_of(weights, threads=2), kept, apart)


def test_parts_are_what_each_output_is_by_itself(weights: Array) -> None:
    moments = moments_of(weights, 2)
    steps, scales = solver_of(weights).integers(moments, USUAL)
    last = [OUTPUTS - 1]
    alone = solver_of(weights).of_outputs(last)
    own_steps, own_scales = alone.integers(moments.of_outputs(last), USUAL)
    assert np.array_equal(steps[:, last], own_steps)
    assert scales[:, last] == pytest.approx(own_scales)


def test_outputs_of_one_scale_are_not_parted(
    weights: Array, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(solver, "PIECE", 2 * INPUTS)
    monkeypatch.setattr(solver, "TOGETHER", 2)
    together = replace(solver_of(weights), shared=np.zeros(OUTPUTS, np.intp))
    moments = moments_of(weights, 2)
    for damping in (USUAL, ALONE):
        steps, scales = together.integers(moments, damping)
        assert len(np.unique(scales)) == 1
        assert len(np.unique(steps)) > 2


def test_a_wide_layer_of_few_positions_is_damped_strongly_or_left_alone(
    weights: Array, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dampings, "LARGEST_SEARCH", INPUTS - 1)
    few, apart = moments_of(weights, 2, INPUTS // 2), moments_of(weights, 3, INPUTS // 2)
    assert damping_of(solver_of(weights), few, apart) in (*STRONGER, ALONE)
    many = moments_of(weights, 2)
    assert damping_of(solver_of(weights), many, apart) == USUAL


def test_dampings_are_tried_as_long_as_each_is_better(weights: Array) -> None:
    tried = []

    class Told(Search):
        """Whose losses are stated: the distance from a power of ten."""

        wanted = 0.0

        def loss(self, damping: float) -> float:
            tried.append(damping)
            return abs(np.log10(damping) - self.wanted) if damping < ALONE else 100.0

    moments = moments_of(weights, 2)
    for wanted, every in {
        -3.0: [*FIRST, *WEAKER],
        -2.0: [*FIRST, *WEAKER],
        -1.0: [*FIRST, 1.0],
        0.0: [*FIRST, 1.0, 10.0],
        1.0: [*FIRST, 1.0, 10.0],
    }.items():
        tried.clear()
        Told.wanted = wanted
        search = Told(solver_of(weights), moments, moments)
        search.look_at(FIRST)
        search.go_on()
        assert tried == [ALONE, *every]
        assert search.best() == 10**wanted
