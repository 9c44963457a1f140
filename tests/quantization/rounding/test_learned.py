"""Blocks whose integers are learned together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.typing import ArrayLike, NDArray

from epimc.ir.core.module import Module
from epimc.ir.core.op import Op, Value
from epimc.ir.epitome.plan import Patch
from epimc.ir.interpreter import interpret
from epimc.ir.pipeline import Runner, parse_pipeline
from epimc.ir.text.printer import print_module
from epimc.ir.verifier import verify
from epimc.quantization.calibrate import calibration_samples
from epimc.quantization.quantize import Quantize
from epimc.quantization.rounding import learned
from epimc.quantization.rounding.blocks import Block
from epimc.quantization.rounding.gradients import Tape
from epimc.quantization.rounding.layer import RoundedLayer
from epimc.quantization.rounding.learned import Adam, Learning, Weights
from epimc.quantization.rounding.options import EFFORTS, RoundingOptions
from epimc.quantization.rounding.problem import Grid
from epimc.quantization.rounding.propagation import Propagation
from epimc.quantization.rounding.rounding import rounded_layers, rounded_module
from epimc.support.options import values_of
from tests.backends.onnx.agreement import disagreements
from tests.crossbars import PASSES
from tests.helpers.modules import Net

Array = NDArray[Any]

GOOD, BEST = (values_of(RoundingOptions, EFFORTS[effort]) for effort in ("good", "best"))


def reals(values: ArrayLike) -> Array:
    """As float32."""
    return np.array(values, np.float32)


@pytest.fixture(autouse=True)
def few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learned, "STEPS", 200)


def residual_net(samples: int = 96) -> Module:
    """Two residual blocks, of which the second halves the map, and a layer."""
    net = Net(seed=3)
    a = net.relu(conv(net, net.input(3, 8, 8), 8, pads=(1, 1, 1, 1)))
    b = net.relu(net.add(conv(net, a, 8, pads=(1, 1, 1, 1)), a))
    c = net.relu(conv(net, b, 8, pads=(1, 1, 1, 1), strides=(2, 2)))
    d = net.add(conv(net, c, 8, pads=(1, 1, 1, 1)), conv(net, b, 8, (1, 1), strides=(2, 2)))
    return calibrated(net, net.gemm(net.flat(net.relu(d)), 5), samples)


def conv(net: Net, x: Value, cout: int, kernel: tuple[int, int] = (3, 3), **window: Any) -> Value:
    """A convolution that keeps about the size of its inputs."""
    inputs = x.type.shape[0] * kernel[0] * kernel[1]
    weights = net.random.normal(size=(cout, x.type.shape[0], *kernel)) / np.sqrt(inputs)
    return net.conv(x, cout, kernel, weights=weights, **window)


def calibrated(net: Net, out: Value, samples: int) -> Module:
    """The module of a net with the ranges of its values, and its samples."""
    module = net.module(out, calibration=net.samples(samples, seed=5))
    return Runner(PASSES).run(module, parse_pipeline("fold,epitomize,calibrate", PASSES))


def kinds_of(module: Module, bits: int) -> dict[Any, Any]:
    """The types of what is kept as activations."""
    rewriter = Quantize(weight_bits=bits).rewriter(module)
    rewriter.run()
    mapped = rewriter.builder.mapped.items()
    return {old: new.type for old, new in mapped if new.type.is_activation}


@dataclass
class Learned:
    """What became of a block.

    Attributes:
        block: The block.
        before: What it lost on samples kept apart.
        after: What it loses.
        layers: Those that are new.
    """

    block: Block
    before: float
    after: float
    layers: dict[Value, RoundedLayer]


@pytest.fixture
def all_learned(monkeypatch: pytest.MonkeyPatch) -> list[Learned]:
    """What becomes of each block that is learned from now on."""
    result: list[Learned] = []
    learn = Learning.learn

    def recorded(self: Learning) -> dict[Value, RoundedLayer]:
        stated = {op.output: self.stated(op) for op in self.block.layers}
        layers = learn(self)
        self.layers = {**self.layers, **layers}
        now = {op.output: self.stated(op) for op in self.block.layers}
        result.append(Learned(self.block, self.loss(stated), self.loss(now), layers))
        return layers

    monkeypatch.setattr(Learning, "learn", recorded)
    return result


@pytest.mark.parametrize("bits", [1, 2, 3])
def test_a_block_loses_less_or_stays_what_it_is(bits: int, all_learned: list[Learned]) -> None:
    module = residual_net()
    samples = calibration_samples(module)
    rounded_layers(module, kinds_of(module, bits), samples, EFFORTS["best"], bits)
    assert [len(each.block.layers) for each in all_learned] == [2, 3, 1]
    for each in all_learned:
        if each.layers:
            assert each.after < learned.LEAST_GAIN * each.before
        else:
            assert each.after == each.before
    assert any(each.layers for each in all_learned)


def test_the_net_goes_on_with_what_a_block_has_become(
    all_learned: list[Learned], monkeypatch: pytest.MonkeyPatch
) -> None:
    module = residual_net()
    samples = calibration_samples(module)
    all_nets: list[Propagation] = []
    ops = Propagation.ops

    def watched(self: Propagation) -> Iterator[Op]:
        all_nets.append(self)
        return ops(self)

    monkeypatch.setattr(Propagation, "ops", watched)
    rounded = rounded_module(module, {}, samples, EFFORTS["best"], 2)
    assert any(each.layers for each in all_learned)
    (nets,) = all_nets
    ((_, out),) = module.outputs
    (expected,) = interpret(rounded, samples).values()
    assert np.allclose(np.concatenate(nets.values[out].quantized), expected, rtol=1e-3, atol=1e-4)
    # What a block reads is kept no longer than it takes.
    assert [*nets.values] == [out]


def test_threads_change_no_bit(all_learned: list[Learned]) -> None:
    module = residual_net()
    kinds, samples = kinds_of(module, 3), calibration_samples(module)
    one, two = (
        rounded_layers(module, kinds, samples, EFFORTS["best"], 3, threads=count)
        for count in (1, 2)
    )
    assert any(each.layers for each in all_learned)
    for first, second in zip(one.values(), two.values(), strict=True):
        for name in ("epitome", "scales", "bias"):
            assert getattr(first, name).tobytes() == getattr(second, name).tobytes()


def test_learned_integers_stay_exact(all_learned: list[Learned]) -> None:
    module = residual_net()
    integers = Quantize(weight_bits=2, **BEST).run(module)
    verify(integers)
    assert any(each.layers for each in all_learned)
    inputs = {n: a.astype(np.float32) for n, a in calibration_samples(module).items()}
    assert disagreements(integers, inputs) == []


def test_what_is_in_no_block_is_compensated_as_before() -> None:
    net = Net(seed=1)
    patches = tuple(Patch(o, 4, 0, 3, 0, 0, 0, 0) for o in (0, 4))
    x = net.relu(net.epitome(net.input(3, 6, 6), (patches, (8, 3, 3, 3), (4, 3, 3, 3))))
    module = net.module(x, calibration=net.samples(40, seed=5))
    module = Runner(PASSES).run(module, parse_pipeline("calibrate", PASSES))
    good, best = (Quantize(weight_bits=3, **each).run(module) for each in (GOOD, BEST))
    assert print_module(good) == print_module(best)


@pytest.mark.parametrize("lost", [0.0, np.inf, np.nan])
def test_what_loses_nothing_or_no_number_is_not_learned(
    lost: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = residual_net(samples=32)
    kinds, samples = kinds_of(module, 2), calibration_samples(module)
    monkeypatch.setattr(Learning, "loss", lambda self, parameters: lost)
    good, best = (
        rounded_layers(module, kinds, samples, EFFORTS[effort], 2) for effort in ("good", "best")
    )
    for first, second in zip(good.values(), best.values(), strict=True):
        assert first.epitome.tobytes() == second.epitome.tobytes()
        assert first.bias.tobytes() == second.bias.tobytes()


def test_slopes_beyond_float32_warn_in_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learned, "STEPS", 5)
    module = residual_net()
    samples = {name: 1e20 * array for name, array in calibration_samples(module).items()}
    overflows = []
    tape_slopes = Tape.slopes

    def noted(tape: Tape, slope: Array) -> Any:
        result = tape_slopes(tape, slope)
        parts = (part for each in result.values() for part in each)
        overflows.append(not all(np.isfinite(part).all() for part in parts))
        return result

    monkeypatch.setattr(Tape, "slopes", noted)
    rounded_layers(module, {}, samples, EFFORTS["best"], 3, threads=2)
    assert any(overflows)


def test_weights_become_integers_those_first_that_are_nearest() -> None:
    steps = reals([[[0.1, 1.4, -2.2, 2.9]]])
    ones = np.ones((1, 1, 1), np.float32)
    mean = np.zeros((1, 4, 1), np.float32)
    weights = Weights(Grid(3), steps, ones, np.zeros(1, np.float32), mean, np.ones(1, np.float32))
    weights.fix(0.5)
    assert weights.steps.ravel() == pytest.approx([0, 1.4, -2.2, 3])
    assert weights.is_free.ravel().tolist() == [False, True, True, False]
    weights.descend(np.full((1, 1, 4), 5, np.float32), np.zeros(1, np.float32))
    assert weights.steps.ravel()[[0, 3]].tolist() == [0, 3]
    assert (weights.steps.ravel()[[1, 2]] < reals([1.4, -2.2])).all()
    weights.fix(1.0)
    assert weights.steps.ravel().tolist() == [0, 1, -2, 3]


def test_a_bias_takes_back_what_weights_change_at_the_mean() -> None:
    random = np.random.default_rng(0)
    steps = np.rint(random.normal(size=(2, 3, 4)) * 2).astype(np.float32)
    mean = random.normal(size=(2, 4, 1)).astype(np.float32)
    scales = random.uniform(0.5, 1, size=(2, 3, 1)).astype(np.float32)
    levels = random.normal(size=6).astype(np.float32)
    weights = Weights(Grid(4), steps, scales, levels, mean, np.ones(6, np.float32))
    weights.steps += random.normal(size=steps.shape).astype(np.float32)
    assert np.allclose((weights.weights @ mean).ravel() + weights.bias, levels, atol=1e-5)


def test_steps_are_of_one_size_whatever_the_slopes() -> None:
    adam, slope = Adam((2,)), reals([1e-6, -100])
    for _ in range(3):
        assert adam.step(slope) == pytest.approx([1, -1], rel=1e-3)
