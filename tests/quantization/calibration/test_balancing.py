"""Small parts of concatenations: made larger, while no float changes but its exponent."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from epimc.ir.core.module import Module
from epimc.ir.core.op import Value
from epimc.ir.dialects import moves, nn
from epimc.ir.interpreter import interpret
from epimc.quantization.calibration.balancing import factor_of
from tests.helpers.modules import Net, lower

Array = NDArray[Any]


def network(ratio: float, kind: str = "conv") -> Net:
    """A part as large as the input and one that is smaller, with weights that make up for it."""
    net = Net(4)
    x = net.input(3, 8, 8)
    small = net.random.normal(size=(4, 3, 1, 1)) / ratio
    a = net.relu(net.conv(x, 4, (1, 1), bias=np.zeros(4)))
    b = net.relu(net.conv(x, 4, (1, 1), weights=small, bias=np.full(4, 0.1 / ratio)))
    joined = net.op(moves.Concat, a, b, axis=0)
    outputs = [join(net, joined, ratio, kind)]
    if kind == "read elsewhere":
        outputs.append(net.op(nn.MaxPool, b, kernel=(2, 2)))
    net.module(*outputs)
    return net


def join(net: Net, joined: Value, ratio: float, kind: str) -> Value:
    """What reads the concatenation."""
    if kind == "output":
        return net.op(nn.MaxPool, joined, kernel=(2, 2))
    if kind == "flat":
        pooled = net.op(nn.MaxPool, joined, kernel=(2, 2))
        return net.gemm(net.flat(pooled), 5)
    weights = net.random.normal(size=(5, 8, 1, 1))
    weights[:, 4:] *= ratio
    return net.conv(joined, 5, (1, 1), weights=weights)


def error_of(net: Net, module: Module) -> float:
    """The relative error of the first output as integers, in the square."""
    inputs = net.samples(4)
    name = module.outputs[0][0]
    true = interpret(net.built, inputs)[name]
    return float(((interpret(module, inputs)[name] - true) ** 2).sum() / (true**2).sum())


@pytest.mark.parametrize("kind", ["conv", "flat"])
def test_the_network_computes_the_same_to_the_last_bit(kind: str) -> None:
    net = network(1000.0, kind)
    before = lower(net.built, "epitomize")
    after = lower(before, "calibrate")
    inputs = net.samples(3)
    for name, array in interpret(before, inputs).items():
        assert array.tobytes() == interpret(after, inputs)[name].tobytes()
    changed = [name for name in after.tensors if name.endswith(".balanced")]
    assert len(changed) == 3


@pytest.mark.parametrize("ratio", [30.0, 1000.0])
def test_no_part_vanishes(ratio: float) -> None:
    nets = network(ratio), network(1.0)
    pipeline = "epitomize,calibrate,quantize"
    errors = [error_of(net, lower(net.built, pipeline)) for net in nets]
    assert errors[0] < 4 * errors[1]


def test_the_ranges_are_those_of_the_balanced_network() -> None:
    net = network(1000.0)
    module = lower(net.built, "epitomize,calibrate")
    seen: dict[str, tuple[float, float]] = {}

    def observe(value: Value, array: Array) -> None:
        seen[value.name] = float(array.min()), float(array.max())

    interpret(module, net.samples(4), observe)
    for value in module.values():
        assert value.range == pytest.approx(seen[value.name], rel=2**-15)
    own = {value.name: value.range or (0, 0) for value in module.values()}
    assert own["relu3"][1] > own["relu1"][1] / 4


@pytest.mark.parametrize(
    ("ratio", "kind"), [(4.0, "conv"), (1000.0, "output"), (1000.0, "read elsewhere")]
)
def test_what_stays_as_it_is(ratio: float, kind: str) -> None:
    module = lower(network(ratio, kind).built, "epitomize,calibrate")
    assert not [name for name in module.tensors if name.endswith(".balanced")]


@pytest.mark.parametrize(
    ("ratio", "weights", "others", "factor"),
    [
        (1000.0, 1000.0, 1.0, 512.0),
        (1024.0, 1.0, 1.0, 32.0),
        # The weights that read the part are small already.
        (16.0, 1.0, 100.0, 1.0),
        (64.0, 1e9, 1.0, 64.0),
        (1e30, 1e30, 1.0, 2.0**24),
        (16.0, 0.0, 1.0, 1.0),
    ],
)
def test_factors(ratio: float, weights: float, others: float, factor: float) -> None:
    assert factor_of(ratio, weights, others) == factor
