"""The values of a network on samples: in onnxruntime as in the interpreter."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from numpy.typing import NDArray

from epimc.ir.core.module import Module
from epimc.ir.core.op import Value
from epimc.quantization.calibration import running
from tests.helpers.modules import Net, lower, networks, unread

Array = NDArray[Any]
Seen = dict[str, list[Array]]


def seen(module: Module, samples: dict[str, Array], few: int) -> Seen:
    """All values, batch by batch, with another number of products that the interpreter computes."""
    values: Seen = {}

    def observe(value: Value, array: Array) -> None:
        values.setdefault(value.name, []).append(np.array(array))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(running, "FEW_PRODUCTS", few)
        running.run_values(module, samples, observe)
    return values


def agree(module: Module, samples: dict[str, Array]) -> None:
    """Hold onnxruntime to the interpreter."""
    ours, theirs = seen(module, samples, 0), seen(module, samples, 2**62)
    assert [*ours] == [*theirs]
    for name, expected in theirs.items():
        numbers = np.concatenate(expected)
        got = np.concatenate(ours[name])
        assert got.dtype == np.float32
        assert np.abs(got.reshape(numbers.shape) - numbers).max() <= 1e-4 * np.abs(numbers).max()


@given(networks())
@settings(max_examples=25)
def test_both_ways_give_the_same_values(net: Net) -> None:
    module = lower(net.module(*unread(net.built)), "epitomize")
    agree(module, net.samples(5))


def residual() -> Net:
    """A small network; `net.built` has outputs."""
    net = Net(3)
    x = net.input(2, 8, 8)
    y = net.relu(net.conv(x, 4, pads=(1, 1, 1, 1)))
    z = net.conv(y, 4, pads=(1, 1, 1, 1))
    net.module(net.gemm(net.flat(net.relu(net.add(y, z))), 3))
    return net


def test_values_come_in_groups_where_memory_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    net = residual()
    module = lower(net.built, "epitomize")
    samples = net.samples(3)
    at_once = seen(module, samples, 0)
    assert len(at_once["conv0"]) == 1
    monkeypatch.setattr(running, "FETCHED", 2048)
    parts, groups = running.fetched(module, 3)
    assert len(parts) == 3
    assert len(groups) > 1
    assert [value for group in groups for value in group] == [op.output for op in module.ops]
    # The largest values are alone.
    assert all(4 * sum(v.type.size for v in g) <= 2048 or len(g) == 1 for g in groups)
    one_by_one = seen(module, samples, 0)
    for name, arrays in at_once.items():
        got = np.concatenate(one_by_one[name])
        np.testing.assert_allclose(got, arrays[0], rtol=1e-5, atol=1e-5)


def test_two_runs_give_the_same_bytes() -> None:
    net = residual()
    module, samples = lower(net.built, "epitomize"), net.samples(70)
    runs = [seen(module, samples, 0) for _ in range(2)]
    assert [len(arrays) for arrays in runs[0].values()] == [2] * (1 + len(module.ops))
    for name, arrays in runs[0].items():
        assert [a.tobytes() for a in arrays] == [a.tobytes() for a in runs[1][name]]
