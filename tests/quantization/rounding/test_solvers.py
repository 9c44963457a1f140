"""Compensated rounding and coordinate descent, beside what they are by definition."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from epimc.quantization.rounding.compensation import compensated
from epimc.quantization.rounding.descent import State, descended, swept, swept_shared
from epimc.quantization.rounding.metric import Metric
from epimc.quantization.rounding.problem import Grid, Problem
from epimc.quantization.rounding.ranges import scales_of

Array = NDArray[Any]


@st.composite
def problems(draw: st.DrawFn, *, shares: bool = False) -> Problem:
    """Random weights and metrics; with `shares` weights that are few elements of an epitome."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    groups, outputs = draw(st.integers(1, 3)), draw(st.integers(1, 4))
    inputs = draw(st.sampled_from([1, 3, 9, 70, 130]))
    samples = random.normal(size=(groups, inputs, 2 * inputs + 4))
    mixed = random.normal(size=(groups, inputs, inputs)) @ samples / np.sqrt(inputs) + samples
    metric = mixed @ mixed.transpose(0, 2, 1) / samples.shape[2] + 0.01 * np.eye(inputs)
    targets = random.normal(size=(groups, outputs, inputs))
    shared = np.arange(groups * outputs)
    elements = None
    if shares:
        # Outputs of a group take the same elements, in any order of the inputs.
        own = [random.integers(0, max(1, inputs // 2), (outputs, inputs)) for _ in range(groups)]
        elements = np.stack([inputs * g + numbers for g, numbers in enumerate(own)])
        shared = np.repeat(np.arange(groups), outputs)
    importance = np.diagonal(metric, axis1=1, axis2=2)
    grid = Grid(draw(st.integers(1, 6)))
    return Problem(targets, importance, Metric.of(metric), grid, shared, elements)


def by_definition(problem: Problem, scales: Array) -> Array:
    """GPTQ as the paper has it: the inverse metric, weight by weight, the rest updated."""
    result = np.zeros_like(problem.targets)
    for g, metric in enumerate(problem.full_metric.matrix):
        order = np.argsort(-np.diagonal(metric), kind="stable")
        upper = np.linalg.cholesky(np.linalg.inv(metric[np.ix_(order, order)])).T
        weights = problem.targets[g][:, order].copy()
        for k, place in enumerate(order):
            steps = problem.grid.nearest(weights[:, k] / scales[g])
            left = (weights[:, k] - steps * scales[g]) / upper[k, k]
            weights[:, k + 1 :] -= left[:, None] * upper[k, k + 1 :]
            result[g, :, place] = steps
    return result


def once_more(problem: Problem, steps: Array, scales: Array) -> Array:
    """The integers after one sweep, whose state is what it says."""
    start = State.of(problem, steps, scales)
    new = start.steps.copy()
    sweep = swept if problem.elements is None else swept_shared
    lost = start.lost - sweep(problem, new, start.full, scales)
    integers = new.transpose(0, 2, 1)
    assert np.allclose(lost, State.of(problem, integers, scales).lost, atol=1e-6)
    fitted = start.refitted(new, lost)
    assert np.allclose(fitted.lost, State.of(problem, integers, fitted.scales).lost, atol=1e-6)
    assert fitted.error == pytest.approx(problem.error(integers, fitted.scales), rel=1e-6)
    return integers


@settings(max_examples=30, deadline=None)
@given(problems())
def test_a_metric_is_a_triangle_times_itself_and_solves_what_it_is_multiplied_by(
    problem: Problem,
) -> None:
    metric = problem.full_metric
    product = metric.upper @ metric.upper.transpose(0, 2, 1)
    assert np.array_equal(metric.upper, np.triu(metric.upper))
    for matrix, order, own in zip(metric.matrix, metric.order, product, strict=True):
        assert (np.diff(matrix.diagonal()[order]) <= 0).all()
        assert np.allclose(own, matrix[np.ix_(order, order)])
    right = problem.targets.copy()
    assert np.allclose(metric.solve(right) @ metric.matrix, right, atol=1e-7)
    assert np.array_equal(right, problem.targets)


def test_what_is_not_positive_definite_is_no_metric() -> None:
    with pytest.raises(np.linalg.LinAlgError):
        Metric.of(np.array([[[1.0, 2.0], [2.0, 1.0]]]))


@settings(max_examples=40, deadline=None)
@given(problems())
def test_compensated_rounding_is_that_of_the_paper(problem: Problem) -> None:
    scales = scales_of(problem, "max")
    ours, theirs = compensated(problem, scales), by_definition(problem, scales)
    # Both divide by other numbers: what lies in the middle of two integers may go either way.
    assert (ours != theirs).mean() < 0.02


@settings(max_examples=40, deadline=None)
@given(problems(), st.sampled_from(["max", "mse", "percentile"]))
def test_descent_ends_where_no_neighbour_is_better(problem: Problem, kind: Any) -> None:
    scales = scales_of(problem, kind)
    steps = compensated(problem, scales)
    before = problem.error(steps, scales)
    for _ in range(200):
        better = once_more(problem, steps, scales)
        assert problem.error(better, scales) <= problem.error(steps, scales) * (1 + 1e-9)
        if np.array_equal(better, steps):
            break
        steps = better
    last = problem.error(steps, scales)
    assert last <= before * (1 + 1e-9)
    places = list(itertools.islice(np.ndindex(steps.shape), 60))
    for place in places:
        for change in (-1, 1):
            other = steps.copy()
            other[place] += change
            if abs(other[place]) <= problem.grid.limit and problem.grid.bits > 1:
                assert problem.error(other, scales) >= last * (1 - 1e-9)


@settings(max_examples=30, deadline=None)
@given(problems())
def test_an_epitome_of_separate_elements_is_swept_like_weights(problem: Problem) -> None:
    scales = scales_of(problem, "mse")
    steps = problem.nearest(scales)
    numbers = np.arange(steps.size).reshape(steps.shape)
    apart = replace(problem, elements=numbers)
    first, second = (once_more(each, steps, scales) for each in (problem, apart))
    assert (first != second).mean() < 0.02


@settings(max_examples=30, deadline=None)
@given(problems(shares=True))
def test_elements_change_together_and_never_for_the_worse(problem: Problem) -> None:
    scales = scales_of(problem, "mse")
    start = problem.nearest(scales)
    steps, fitted = descended(problem, start, scales)
    assert problem.elements is not None
    for array in (start, steps):
        values = np.zeros(problem.elements.max() + 1)
        values[problem.elements] = array
        assert np.array_equal(values[problem.elements], array)
    assert problem.error(steps, fitted) <= problem.error(start, scales)
    # Outputs that are joined have one scale.
    assert all(len(set(group)) == 1 for group in fitted)


@settings(max_examples=30, deadline=None)
@given(problems())
def test_refitted_scales_are_those_of_the_least_squares(problem: Problem) -> None:
    scales = scales_of(problem, "max")
    steps = problem.nearest(scales)
    state = State.of(problem, steps, scales)
    best = state.refitted(state.steps, state.lost).scales
    # Integers that point away from the weights have no scale that is positive.
    assume((best != scales).all())
    error = problem.error(steps, best)
    for factor in (0.99, 1.01):
        assert problem.error(steps, best * factor) >= error


def test_one_bit_is_a_sign() -> None:
    assert Grid(1).nearest(np.array([-3.0, -0.1, 0.0, 7.0])).tolist() == [-1, -1, 1, 1]
    assert (Grid(1).limit, Grid(2).limit, Grid(9).limit, Grid(16).limit) == (1, 1, 255, 32767)


def test_the_range_that_loses_least_leaves_out_a_lonely_weight() -> None:
    targets = np.concatenate([np.linspace(-1, 1, 200), [3.0]])[None, None]
    metric = np.eye(201)[None]
    problem = Problem(targets, np.ones((1, 201)), Metric.of(metric), Grid(3), np.zeros(1, np.intp))
    full, percentile, best = (scales_of(problem, k)[0, 0] for k in ("max", "percentile", "mse"))
    assert full == pytest.approx(1.0)
    assert percentile == pytest.approx(1 / 3, rel=0.02)
    both = [np.array([[scale]]) for scale in (full, best)]
    errors = [problem.error(problem.nearest(scale), scale) for scale in both]
    assert best < full
    assert errors[1] < errors[0]


def test_channels_of_zeros_have_some_scale() -> None:
    zeros, metric = np.zeros((1, 2, 3)), np.eye(3)[None]
    problem = Problem(zeros, np.ones((1, 3)), Metric.of(metric), Grid(4), np.arange(2))
    for kind in ("max", "percentile", "mse"):
        scales = scales_of(problem, kind)
        assert (scales > 0).all()
        steps, fitted = descended(problem, compensated(problem, scales), scales)
        assert not steps.any()
        assert (fitted > 0).all()
