"""Equalization where less is lost by it: which pairs are chosen, and how strongly."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from epimc.ir.core.module import Module
from epimc.ir.core.traits import Weighted
from epimc.ir.dialects import nn
from epimc.ir.epitome.layer_plans import PLANS, Plans
from epimc.ir.text.printer import print_module
from epimc.quantization.equalization.equalize import EQUALIZED_PAIRS, Equalize, equalized_pairs
from epimc.quantization.equalization.inputs import MOST_SAMPLES
from epimc.quantization.equalization.measured import Measured
from epimc.quantization.equalization.options import COMMON_WEIGHT_BITS, EqualizeOptions
from epimc.quantization.rounding.options import WeightGranularity
from epimc.support.diagnostics import EpimcError
from epimc.support.equalized_pairs import EqualizedPairs
from tests.golden_files import round_trip
from tests.helpers.modules import Net, networks, unread
from tests.quantization.equalization.test_equalize import equalized

Array = NDArray[Any]

MEASURED = Equalize(when="measured")


def two_layers(
    first: list[float], second: list[float], sizes: list[float], samples: int = 40
) -> Module:
    """Two channels between two layers.

    Args:
        first: What each of them is of its own input channel.
        second: Their weights in the second layer.
        sizes: How large each input channel gets.
        samples: Of calibration.
    """
    net = Net()
    x = net.input(2, 6, 6)
    a = net.conv(x, 2, weights=np.diag(first).reshape(2, 2, 1, 1), bias=np.zeros(2))
    b = net.conv(net.relu(a), 1, weights=np.reshape(second, (1, 2, 1, 1)))
    uniform = np.random.default_rng(2).uniform(size=(samples, 2, 6, 6))
    values = uniform * np.reshape(sizes, (2, 1, 1))
    return net.module(b, calibration={"in0": values.astype(np.float32)})


def counts(module: Module) -> tuple[int, int]:
    """How many pairs were equalized, and how many there are."""
    stated = equalized_pairs(module)
    assert stated is not None
    return stated.equalized, stated.pairs


def weights(module: Module) -> list[list[float]]:
    """Those of all layers."""
    layers = [op for op in module.ops if isinstance(op, Weighted)]
    return [module.tensor(op.weight).ravel().tolist() for op in layers]


def test_a_small_channel_that_counts_much_is_made_larger() -> None:
    module = two_layers([1, 1 / 64], [1, 64], [1, 1])
    result = equalized(module, MEASURED)
    assert counts(result) == (1, 1)
    assert weights(result) == weights(equalized(module))
    assert weights(result) == [[1, 0, 0, 1], [1, 1]]


def test_a_channel_whose_inputs_are_small_does_not_become_smaller_still() -> None:
    """Its weights are large, the channel is not: its values would get fewer steps."""
    module = two_layers([16, 1], [1, 1], [1 / 16, 1])
    result = equalized(module, MEASURED)
    assert counts(result) == (0, 1)
    assert weights(result) == weights(module) != weights(equalized(module))


def test_half_of_it_may_be_best() -> None:
    """The channel is 4 times as large as the other, its weights 256 times."""
    module = two_layers([256, 1], [1, 1], [1 / 64, 1])
    result = equalized(module, Equalize(when="measured", weight_bits=16))
    assert counts(result) == (1, 1)
    assert weights(result) == [[64, 0, 0, 1], [4, 1]]


@pytest.mark.parametrize(("granularity", "expected"), [("column", 0), ("tensor", 1)])
def test_weights_of_the_first_layer_count_where_they_share_a_scale(
    granularity: WeightGranularity, expected: int
) -> None:
    module = two_layers([1, 1 / 64], [1, 1], [1, 1])
    step = Equalize(
        when="measured", weight_bits=4, activation_bits=16, weight_granularity=granularity
    )
    assert counts(equalized(module, step)) == (expected, 1)


def test_in_a_row_each_pair_is_looked_at_behind_the_ones_before_it() -> None:
    """The weights of the second pair are those that the first pair left."""
    net = Net()
    x = net.input(2, 6, 6)
    for row in ([1, 1 / 64], [1 / 8, 1 / 8], [1, 64]):
        w = np.diag(row).reshape(2, 2, 1, 1)
        x = net.relu(net.conv(x, 2, weights=w, bias=np.zeros(2)))
    module = net.module(x, calibration=net.samples(40))
    granularities: tuple[WeightGranularity, ...] = ("column", "tensor")
    for granularity in granularities:
        step = Equalize(when="measured", weight_bits=16, weight_granularity=granularity)
        result = equalized(module, step)
        assert counts(result) == (2, 2)
        assert weights(result) == weights(equalized(module))


def test_groups_and_channels_that_become_runs() -> None:
    net = Net()
    x = net.input(4, 6, 6)
    w = np.array([1, 1 / 64, 1, 1 / 16]).reshape(4, 1, 1, 1)
    x = net.relu(net.conv(x, 4, weights=w, bias=np.zeros(4), groups=4))
    w = np.array([[1, 64], [1 / 64, 1 / 4]]).reshape(2, 2, 1, 1)
    x = net.relu(net.conv(x, 2, weights=w, bias=np.zeros(2), groups=2))
    v = np.repeat([[1.0, 64], [1, 64]], 36, axis=1)
    x = net.op(nn.Gemm, net.flat(x), weight=net.store("v", v))
    module = net.module(x, calibration=net.samples(40))
    result = equalized(module, Equalize(when="measured", weight_bits=16))
    assert counts(result) == (2, 2)
    assert weights(result) == weights(equalized(module))
    assert weights(result) != weights(module)


@settings(max_examples=30)
@given(networks())
def test_the_function_stays(net: Net) -> None:
    equalized(net.module(*unread(net.built)), MEASURED)


def test_never_changes_nothing() -> None:
    module = two_layers([1, 1 / 64], [1, 64], [1, 1])
    before = print_module(module)
    result = Equalize(when="never").run(module)
    assert print_module(result) == before
    assert equalized_pairs(result) is None


def test_only_what_is_measured_is_stated() -> None:
    module = two_layers([1, 1 / 64], [1, 64], [1, 1])
    assert EQUALIZED_PAIRS not in Equalize().run(module).attributes
    result = MEASURED.run(module)
    assert result.attributes[EQUALIZED_PAIRS] == {"equalized": 1, "pairs": 1}
    assert "equalized_pairs = {equalized = 1, pairs = 1}" in print_module(result)
    round_trip(result)


def test_a_net_without_pairs_needs_no_run(monkeypatch: pytest.MonkeyPatch) -> None:
    net = Net()
    module = net.module(net.conv(net.input(1, 4, 4), 2))
    monkeypatch.setattr("epimc.quantization.equalization.measured.inputs_of", None)
    assert counts(MEASURED.run(module)) == (0, 0)


def test_the_threads_change_nothing() -> None:
    net = Net()
    x = net.relu(net.conv(net.input(3, 12, 12), 24))
    module = net.module(net.conv(net.relu(net.conv(x, 24)), 24), calibration=net.samples(70))
    texts = []
    for threads in (1, 2):
        with threadpool_limits(threads):
            result = MEASURED.run(module)
        tensors = [result.tensor(op.weight) for op in result.ops if isinstance(op, Weighted)]
        texts.append((print_module(result), [each.tobytes() for each in tensors]))
    assert texts[0] == texts[1]


@pytest.mark.parametrize(
    ("plans", "bits"), [(Plans(), 2), (Plans(default_weight_bits=4), COMMON_WEIGHT_BITS)]
)
def test_layers_with_bits_of_their_own_are_looked_at_with_common_ones(
    plans: Plans, bits: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, seen = two_layers([16, 1], [1, 1], [1 / 16, 1]), []
    module.attributes[PLANS] = plans.dump()
    measure = Measured.of

    def noted(module: Module, samples: Any, options: EqualizeOptions) -> Measured:
        seen.append(options.weight_bits)
        return measure(module, samples, options)

    monkeypatch.setattr(Measured, "of", noted)
    Equalize(when="measured", weight_bits=2).run(module)
    assert seen == [bits]


def test_of_many_samples_some_from_all_over_are_looked_at() -> None:
    module = two_layers([16, 1], [1, 1], [1 / 16, 1], samples=2 * MOST_SAMPLES)
    samples = module.tensor(module.attributes["calibration"][0])
    samples[1::2] = np.nan
    assert counts(MEASURED.run(module)) == (0, 1)


@pytest.mark.parametrize("samples", [1, 2])
def test_few_samples(samples: int) -> None:
    assert counts(MEASURED.run(two_layers([1, 1 / 64], [1, 64], [1, 1], samples))) == (1, 1)


def test_one_position_of_one_sample_tells_nothing() -> None:
    net = Net()
    x = net.relu(net.gemm(net.input(3), 3))
    module = net.module(net.gemm(x, 2), calibration=net.samples(1))
    assert counts(MEASURED.run(module)) == (0, 1)


@pytest.mark.parametrize("size", [np.inf, 3e38])
def test_what_is_not_finite_is_left_to_calibration(size: float) -> None:
    module = two_layers([1, 1 / 64], [1, 64], [1, 1])
    module.tensor(module.attributes["calibration"][0])[0, 0, 0, 0] = size
    assert counts(MEASURED.run(module)) == (0, 1)


def test_without_samples() -> None:
    module = two_layers([1, 1 / 64], [1, 64], [1, 1])
    del module.attributes["calibration"]
    with pytest.raises(EpimcError) as caught:
        MEASURED.run(module)
    assert str(caught.value).startswith(
        f"error: Module '{module.name}' has no calibration samples for its inputs."
    )


def test_how_a_result_says_it() -> None:
    assert str(EqualizedPairs(1, 3)) == "equalized: 1 of 3 pairs of layers"
    assert str(EqualizedPairs(0, 1)) == "equalized: 0 of 1 pair of layers"
