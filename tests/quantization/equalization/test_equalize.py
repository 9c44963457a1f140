"""`equalize`: the function stays, the channels between two layers get weights of like sizes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from numpy.typing import NDArray

from epimc.ir.core.module import Module
from epimc.ir.dialects import elementwise, nn
from epimc.ir.interpreter import interpret
from epimc.ir.text.printer import print_module
from epimc.ir.verifier import verify
from epimc.quantization.equalization.equalize import Equalize
from epimc.quantization.equalization.scaling import LARGEST, pairs
from tests.golden_files import round_trip
from tests.helpers.modules import Net, networks, unread

Array = NDArray[Any]


def equalized(module: Module, step: Equalize = Equalize()) -> Module:  # noqa: B008  (frozen)
    """The module after the pass, which computes the same."""
    result = step.run(module)
    verify(result)
    random = np.random.default_rng(0)
    x = {name: random.normal(size=(2, *value.type.shape)) for name, value in module.inputs}
    before, after = (interpret(m, x) for m in (module, result))
    for name, array in before.items():
        size = float(np.abs(array).max())
        np.testing.assert_allclose(after[name], array, rtol=0, atol=1e-5 * size + 1e-30)
    return result


def tops(module: Module, first: int, second: int) -> tuple[Array, Array]:
    """The largest weights of each channel between two ops of weights without groups."""
    layers = [op for op in module.ops if isinstance(op, (nn.Conv, nn.Gemm))]
    before, behind = (np.abs(module.tensor(layers[k].weight)) for k in (first, second))
    channels = len(before)
    return (
        before.reshape(channels, -1).max(axis=1),
        np.moveaxis(behind, 1, 0).reshape(channels, -1).max(axis=1),
    )


@settings(max_examples=60)
@given(networks())
def test_the_function_stays(net: Net) -> None:
    equalized(net.module(*unread(net.built)))


def test_like_sizes_on_both_sides() -> None:
    net = Net()
    sizes = np.array([1e-3, 1.0, 500.0]).reshape(3, 1, 1, 1)
    weights = sizes * net.random.normal(size=(3, 2, 3, 3))
    x = net.conv(net.input(2, 6, 6), 3, weights=weights, bias=np.zeros(3))
    x = net.op(nn.MaxPool, net.relu(x), kernel=(2, 2))
    x = net.op(elementwise.Activation, x, function="leaky_relu", alpha=0.25)
    module = net.module(net.gemm(net.flat(x), 4))
    before, behind = tops(equalized(module), 0, 1)
    np.testing.assert_allclose(before, behind, rtol=1e-5)
    before, behind = tops(module, 0, 1)
    assert before.max() > 1e4 * before.min()


def test_depthwise_and_grouped_layers() -> None:
    net = Net()
    x = net.input(4, 7, 7)
    w = net.random.normal(size=(4, 1, 3, 3)) * np.array([1, 100, 0.01, 7]).reshape(4, 1, 1, 1)
    x = net.relu(net.conv(x, 4, weights=w, bias=np.zeros(4), groups=4))
    w = net.random.normal(size=(6, 2, 1, 1))
    x = net.conv(x, 6, (1, 1), weights=w, groups=2)
    result = equalized(net.module(x))
    weights = [result.tensor(op.attributes["weight"]) for op in result.ops if op.name == "nn.conv"]
    before = np.abs(weights[0]).max(axis=(1, 2, 3))
    behind = np.abs(weights[1]).reshape(2, 3, 2).max(axis=1).reshape(4)
    np.testing.assert_allclose(before, behind, rtol=1e-5)


def test_a_row_of_layers_is_balanced_pair_by_pair() -> None:
    net = Net()
    x = net.input(3)
    for _ in range(3):
        x = net.relu(net.gemm(x, 3, bias=False))
    module = net.module(x)
    assert len(pairs(module)) == 2
    before, behind = tops(equalized(module), 1, 2)
    np.testing.assert_allclose(before, behind, rtol=1e-5)


@pytest.mark.parametrize("case", ["read twice", "output", "clip", "sigmoid", "add", "turned"])
def test_what_a_factor_would_change_stays(case: str) -> None:
    net = Net()
    first = net.conv(net.input(3, 4, 4), 3, pads=(1, 1, 1, 1))
    x, outputs = first, []
    if case == "read twice":
        outputs = [net.relu(first)]
    elif case == "output":
        outputs = [first]
    elif case == "clip":
        x = net.op(elementwise.Clip, first, low=0.0, high=6.0)
    elif case == "sigmoid":
        x = net.op(elementwise.Activation, first, function="sigmoid")
    elif case == "add":
        x = net.add(first, first)
    elif case == "turned":
        x = net.op(nn.Rearrange, first, perm=(1, 0, 2), shape=(4, 3, 4))
    module = net.module(net.conv(x, 2), *outputs)
    assert pairs(module) == []
    assert print_module(Equalize().run(module)) == print_module(module)


def test_dead_channels_and_absurd_ratios() -> None:
    net = Net()
    w = net.random.normal(size=(4, 3))
    w[0], w[1] = 0, 1e-30
    x = net.input(3)
    x = net.op(nn.Gemm, x, weight=net.store("w", w))
    v = net.random.normal(size=(2, 4)) * np.array([1, 1e30, 0, 1])
    result = equalized(net.module(net.op(nn.Gemm, x, weight=net.store("v", v))))
    actual = result.tensor(result.ops[0].attributes["weight"])
    assert np.isfinite(actual).all()
    assert (actual[[0, 2]] == w[[0, 2]].astype(np.float32)).all()
    np.testing.assert_allclose(actual[1], w[1] * LARGEST, rtol=1e-5)


@pytest.mark.parametrize("size", [1e-4, 1e-12, 1e-38])
@pytest.mark.parametrize("count", [1, 3])
def test_a_channel_that_is_nothing_but_its_bias_does_not_grow(size: float, count: int) -> None:
    """It would take the others' bits away."""
    net = Net()
    sizes = np.array([size] * count + [1] * (4 - count)).reshape(4, 1, 1, 1)
    w = sizes * net.random.uniform(0.5, 1, size=(4, 3, 3, 3))
    x = net.conv(net.input(3, 6, 6), 4, weights=w, bias=np.array([2.0, 0, -2, 1]))
    v = net.random.uniform(0.5, 1, size=(2, 4, 3, 3))
    result = equalized(net.module(net.conv(net.relu(x), 2, weights=v)))
    bias = result.tensor(result.ops[0].attributes["bias"])
    assert float(np.abs(bias).max()) < 4


@pytest.mark.parametrize("size", [0.0, 1e-5, 1e-30])
def test_channels_that_nobody_reads_are_not_typical(size: float) -> None:
    """Most channels may be dead behind the first layer alone: the others keep their factors."""
    net = Net()
    w = np.array([16, 1, 0.25, 0.5, 0.5, 0.5, 0.5]).reshape(7, 1, 1, 1)
    biases = np.array([1.0, 0.5, 0.25, 1, 1, 1, 1])
    x = net.conv(net.input(1, 2, 2), 7, weights=w, bias=biases)
    v = np.array([1.0, 1, 1, *[size] * 4]).reshape(1, 7, 1, 1)
    result = equalized(net.module(net.conv(net.relu(x), 1, weights=v)))
    first, _, second = (op.attributes for op in result.ops)
    assert result.tensor(first["weight"]).ravel().tolist()[:3] == [4, 1, 0.5]
    assert result.tensor(first["bias"]).tolist()[:3] == [0.25, 0.5, 0.5]
    assert result.tensor(second["weight"]).ravel().tolist()[:3] == [4, 1, 0.5]


def test_a_large_bias_does_not_overflow() -> None:
    net = Net()
    x = net.conv(net.input(1, 4, 4), 2, weights=np.array([1e-30, 1]).reshape(2, 1, 1, 1),
                 bias=np.array([1e36, 1.0]))  # fmt: skip
    equalized(net.module(net.conv(net.relu(x), 2)))


def test_no_bias_outgrows_the_largest_one() -> None:
    net = Net()
    weights = np.array([16, 16, 16, 1.0]).reshape(4, 1, 1, 1)
    x = net.conv(net.input(1, 2, 2), 4, weights=weights, bias=np.array([4.0, 0, 0, -2]))
    result = equalized(net.module(net.conv(net.relu(x), 1, weights=np.ones((1, 4, 1, 1)))))
    first, _, second = (op.attributes for op in result.ops)
    # The typical factor is 4: that of a bias half as large as the largest is at least 2, not 1.
    assert result.tensor(second["weight"]).ravel().tolist() == [4, 4, 4, 2]
    assert result.tensor(first["bias"]).tolist() == [1, 0, 0, -1]


def test_it_parses_as_it_prints() -> None:
    net = Net()
    result = equalized(net.module(net.conv(net.relu(net.conv(net.input(1, 8, 8), 3)), 2)))
    round_trip(result)
    assert any(name.endswith(".equalized") for name in result.tensors)


def test_the_factors_by_hand() -> None:
    net = Net()
    x = net.conv(net.input(1, 2, 2), 2, weights=np.array([16, -0.5]).reshape(2, 1, 1, 1),
                 bias=np.array([4.0, 0.125]))  # fmt: skip
    v = np.array([1, 2, -0.25, 1, 0.5, 2]).reshape(3, 2, 1, 1)
    result = equalized(net.module(net.conv(net.relu(x), 3, weights=v)))
    first, _, second = (op.attributes for op in result.ops)
    assert result.tensor(first["weight"]).ravel().tolist() == [4, -1]
    assert result.tensor(first["bias"]).tolist() == [1, 0.25]
    assert result.tensor(second["weight"]).ravel().tolist() == [4, 1, -1, 0.5, 2, 1]
