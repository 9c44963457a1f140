"""Whole nets: what their layers are rounded to, and what stays exact about it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from epimc.ir.core.module import Module
from epimc.ir.core.module_attributes import CALIBRATION
from epimc.ir.dialects import epi
from epimc.ir.epitome.plan import Patch, identity
from epimc.ir.interpreter import interpret
from epimc.ir.pipeline import Runner, parse_pipeline
from epimc.ir.text.printer import print_module
from epimc.ir.verifier import verify
from epimc.quantization.calibrate import calibration_samples
from epimc.quantization.quantize import Quantize
from epimc.quantization.rounding.layer import Layer
from epimc.quantization.rounding.options import EFFORTS, Effort, RoundingOptions, observer_of
from epimc.quantization.rounding.propagation import Propagation
from epimc.quantization.rounding.rounding import rounded_layers, rounded_module
from epimc.support.diagnostics import EpimcError
from epimc.support.options import values_of
from tests.backends.onnx.agreement import disagreements
from tests.crossbars import PASSES
from tests.helpers.modules import Net
from tests.helpers.plans import Planned, plans

Array = NDArray[Any]

GOOD = values_of(RoundingOptions, EFFORTS["good"])


def residual_net(samples: int = 40) -> Module:
    """Convolutions, a depthwise one, a residual sum, a pool and a matmul; calibrated."""
    net = Net(seed=3)
    x = net.input(3, 8, 8)
    a = net.relu(net.conv(x, 8, pads=(1, 1, 1, 1)))
    b = net.conv(a, 8, weights=net.random.normal(size=(8, 8, 3, 3)) / 8, pads=(1, 1, 1, 1))
    c = net.relu(net.add(a, b))
    d = net.conv(c, 8, weights=net.random.normal(size=(8, 1, 3, 3)), groups=8, strides=(2, 2))
    return calibrated(net, net.gemm(net.flat(net.relu(d)), 5), samples)


def calibrated(net: Net, out: Any, samples: int) -> Module:
    """The module of a net with the ranges of its values, and its samples."""
    module = net.module(out, calibration=net.samples(samples, seed=5))
    return Runner(PASSES).run(module, parse_pipeline("fold,epitomize,calibrate", PASSES))


def relative_error(module: Module, integers: Module) -> float:
    """Mean square of what integers lose of the first output, over its variance."""
    inputs = {name: array.astype(np.float32) for name, array in calibration_samples(module).items()}
    (real,), (ours,) = (list(interpret(m, inputs).values()) for m in (module, integers))
    return float(np.square(real - ours).mean() / real.var())


def test_each_technique_loses_less_than_the_ones_before_it() -> None:
    module = residual_net()
    choices: list[dict[str, Any]] = [
        {},
        {"weight_range": "mse"},
        {"weight_range": "mse", "correct_bias": True},
        GOOD,
    ]
    errors = [
        relative_error(module, Quantize(weight_bits=3, **choice).run(module)) for choice in choices
    ]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < errors[0] / 4


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_the_integers_are_those_that_were_chosen(bits: int) -> None:
    module = residual_net()
    integers = Quantize(weight_bits=bits, **GOOD).run(module)
    verify(integers)
    assert CALIBRATION not in integers.attributes
    convs = [op for op in integers.ops if isinstance(op, epi.Conv)]
    chosen = rounded(module, bits)
    stated = [op for op in chosen.ops if isinstance(op, epi.Conv)]
    for op, layer in zip(convs, stated, strict=True):
        assert layer.weight_scales is not None
        assert op.weight_scales is not None
        scales = chosen.tensor(layer.weight_scales)
        steps = integers.tensor(op.epitome)
        assert np.array_equal(integers.tensor(op.weight_scales), scales)
        real = steps.astype(np.float32) * scales.reshape(-1, 1, 1, 1)
        assert np.array_equal(real, chosen.tensor(layer.epitome))
    inputs = {n: a.astype(np.float32) for n, a in calibration_samples(module).items()}
    assert disagreements(integers, inputs) == []


def rounded(module: Module, bits: int) -> Module:
    """The module with what its layers are rounded to."""
    kinds = first_kinds(module, bits)
    return rounded_module(module, kinds, calibration_samples(module), EFFORTS["good"], bits)


def first_kinds(module: Module, bits: int) -> dict[Any, Any]:
    """The types of what is kept as activations."""
    rewriter = Quantize(weight_bits=bits).rewriter(module)
    rewriter.run()
    mapped = rewriter.builder.mapped.items()
    return {old: new.type for old, new in mapped if new.type.is_activation}


def test_threads_change_no_bit() -> None:
    module = residual_net(samples=50)
    kinds, samples = first_kinds(module, 4), calibration_samples(module)
    one, two, again = (
        rounded_layers(module, kinds, samples, EFFORTS["good"], 4, threads=count)
        for count in (1, 2, 2)
    )
    assert list(one) == list(two) == list(again)
    for first, second, third in zip(one.values(), two.values(), again.values(), strict=True):
        for name in ("epitome", "scales", "bias"):
            arrays = [getattr(each, name).tobytes() for each in (first, second, third)]
            assert len(set(arrays)) == 1


def test_biases_keep_the_means_of_channels() -> None:
    module = residual_net()
    integers = Quantize(weight_bits=2, activation_bits=8, **GOOD).run(module)
    inputs = {n: a.astype(np.float32) for n, a in calibration_samples(module).items()}
    (real,), (ours,) = (list(interpret(m, inputs).values()) for m in (module, integers))
    spread = real.std(axis=0)
    assert (np.abs(real.mean(axis=0) - ours.mean(axis=0)) < 0.02 * spread).all()


@settings(max_examples=25, deadline=None)
@given(plans(), st.integers(2, 5), st.booleans())
def test_any_plan_is_rounded_and_stays_exact(planned: Planned, bits: int, bias: bool) -> None:
    net = Net(seed=1)
    _, (_, cin, kh, kw), _ = planned
    y = net.epitome(net.input(cin, kh + 2, kw + 2), planned, bias=bias)
    module = net.module(y, calibration=net.samples(18, seed=2))
    module = Runner(PASSES).run(module, parse_pipeline("calibrate", PASSES))
    integers = Quantize(weight_bits=bits, **GOOD).run(module)
    verify(integers)
    inputs = {n: a.astype(np.float32) for n, a in calibration_samples(module).items()}
    assert disagreements(integers, inputs) == []


def test_elements_of_an_epitome_are_rounded_for_all_of_their_uses() -> None:
    net = Net(seed=1)
    # Two output blocks have the same columns, and two input blocks the same rows.
    patches = tuple(Patch(o, 4, i, 4, 0, 0, 0, 0) for o in (0, 4) for i in (0, 4))
    first = (8, 3, 3, 3)
    x = net.relu(net.epitome(net.input(3, 8, 8), (identity(first), first, first)))
    y = net.epitome(x, (patches, (8, 8, 3, 3), (4, 4, 3, 3)))
    module = net.module(y, calibration=net.samples(60, seed=2))
    module = Runner(PASSES).run(module, parse_pipeline("calibrate", PASSES))
    plain, good = (
        relative_error(module, Quantize(weight_bits=3, **choice).run(module))
        for choice in ({"weight_range": "mse", "correct_bias": True}, GOOD)
    )
    assert good < 0.8 * plain


def test_dead_channels_and_constant_inputs_are_no_trouble() -> None:
    net = Net()
    x = net.input(2, 4, 4)
    weights = net.random.normal(size=(3, 2, 3, 3))
    weights[1] = 0
    y = net.conv(net.relu(net.conv(x, 3, weights=weights)), 2, (1, 1))
    module = net.module(y, calibration={"in0": np.ones((20, 2, 4, 4), np.float32)})
    module = Runner(PASSES).run(module, parse_pipeline("fold,epitomize,calibrate", PASSES))
    integers = Quantize(weight_bits=4, **GOOD).run(module)
    verify(integers)
    inputs = {n: a.astype(np.float32) for n, a in calibration_samples(module).items()}
    (real,), (ours,) = (list(interpret(m, inputs).values()) for m in (module, integers))
    # Inputs that never change tell nothing, but the bias makes the result what it is.
    assert np.allclose(real, ours, atol=np.abs(real).max() / 100)


def test_samples_are_asked_for_only_where_they_are_needed() -> None:
    module = residual_net()
    del module.attributes[CALIBRATION]
    Quantize(weight_bits=4).run(module)
    with pytest.raises(EpimcError, match="has no calibration samples for its inputs"):
        Quantize(weight_bits=4, **GOOD).run(module)


def test_few_samples_choose_ranges_alone() -> None:
    module = residual_net(samples=15)
    good = Quantize(weight_bits=4, **GOOD).run(module)
    plain = Quantize(weight_bits=4, weight_range="mse").run(module)
    assert print_module(good) == print_module(plain)
    more = residual_net(samples=16)
    assert print_module(Quantize(weight_bits=4, **GOOD).run(more)) != print_module(plain)


def test_a_scale_for_all_weights_of_a_layer() -> None:
    module = residual_net(samples=50)
    kinds, samples = first_kinds(module, 4), calibration_samples(module)
    layers = rounded_layers(module, kinds, samples, EFFORTS["good"], 4, "tensor")
    for layer in layers.values():
        (scale,) = set(layer.scales.tolist())
        steps = layer.epitome / np.float32(scale)
        assert np.abs(steps - np.rint(steps)).max() < 1e-4
        assert np.abs(steps).max() <= 7.001


@pytest.mark.parametrize(
    ("effort", "bits", "observer"),
    [("fast", 4, "minmax"), ("good", 7, "mse"), ("best", 4, "mse"), ("good", 8, "minmax")],
)
def test_ranges_are_clipped_where_steps_are_coarse(
    effort: Effort, bits: int, observer: str
) -> None:
    assert observer_of(effort, bits) == observer


@pytest.mark.parametrize(("scale", "offset"), [(0.003, 100.0), (1e18, 0.0), (1e-30, 0.0)])
def test_inputs_far_from_one_are_no_trouble(scale: float, offset: float) -> None:
    net = Net()
    x = net.input(600)
    y = net.gemm(x, 6)
    drawn = net.samples(40, seed=4)["in0"] * np.float32(scale) + np.float32(offset)
    module = net.module(y, calibration={"in0": drawn})
    module = Runner(PASSES).run(module, parse_pipeline("fold,epitomize,calibrate", PASSES))
    integers = Quantize(weight_bits=4, activation_bits=16, **GOOD).run(module)
    verify(integers)


def test_positions_are_drawn_from_all_over_a_map() -> None:
    net = Net()
    module = calibrated(net, net.conv(net.input(1, 32, 32), 2, (1, 1)), 64)
    (op,) = [op for op in module.ops if isinstance(op, epi.Conv)]
    nets = Propagation(module, {}, calibration_samples(module), 1)
    made = Layer(op, nets, 4, EFFORTS["good"])
    # What each input is tells its column.
    columns = np.broadcast_to(np.arange(32, dtype=np.float32), (8, 1, 32, 32))
    nets.values[op.x].quantized = [columns] * len(nets.pieces)
    made.x = nets.values[op.x]
    for count in (256, 1024):
        x, _ = made.some(0, np.zeros((8, 2, 32, 32), np.float32), count)
        assert x.shape == (1, 1, count)
        assert len(np.unique(x)) == 32


def test_moments_are_the_same_of_many_pieces_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    net = Net()
    module = calibrated(net, net.conv(net.input(3, 8, 8), 4, (3, 3)), 40)
    (op,) = [op for op in module.ops if isinstance(op, epi.Conv)]
    nets = Propagation(module, {}, calibration_samples(module), 2)
    made = Layer(op, nets, 4, EFFORTS["good"])
    wanted = nets.each(lambda i: made.convolved(made.x.real[i], made.weights))
    together = made.moments(wanted)
    monkeypatch.setattr("epimc.quantization.rounding.layer.RUN_ELEMENTS", 1)
    assert len([*made.runs(range(len(nets.pieces)))]) == len(nets.pieces) > 4
    for all_at_once, one_by_one in zip(together, made.moments(wanted), strict=True):
        assert all_at_once is not None
        assert one_by_one is not None
        assert all_at_once.count == one_by_one.count
        assert np.allclose(all_at_once.covariance, one_by_one.covariance, rtol=1e-4, atol=1e-5)
        assert np.allclose(all_at_once.cross_covariance, one_by_one.cross_covariance, atol=1e-4)


def test_the_inputs_of_all_groups_count_for_how_many_pieces_are_looked_at_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    net = Net()
    weights = net.random.normal(size=(32, 1, 3, 3))
    module = calibrated(net, net.conv(net.input(32, 8, 8), 32, weights=weights, groups=32), 40)
    (op,) = [op for op in module.ops if isinstance(op, epi.Conv)]
    nets = Propagation(module, {}, calibration_samples(module), 1)
    made = Layer(op, nets, 4, EFFORTS["good"])
    pieces = range(len(nets.pieces))
    one = made.positions(0) * 32 * (9 + 1)
    monkeypatch.setattr("epimc.quantization.rounding.layer.RUN_ELEMENTS", 2 * one)
    assert [len(run) for run in made.runs(pieces)][:2] == [2, 2]
