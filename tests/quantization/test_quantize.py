"""`quantize`: where it rounds, its scales, its errors, and its integers beside onnxruntime's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from epimc.ir.core.module import Module
from epimc.ir.core.op import Op, Value
from epimc.ir.core.tensors import Normal
from epimc.ir.core.types import TensorType
from epimc.ir.dialects import elementwise, epi, nn
from epimc.ir.epitome import plan
from epimc.ir.epitome.plan import Patch
from epimc.ir.interpreter import interpret
from epimc.quantization.activations import activation_type
from epimc.quantization.rounding.weights import column_scales, used_elements
from epimc.support.diagnostics import EpimcError
from tests.backends.onnx.agreement import disagreements, interpreted
from tests.helpers.modules import SIZES, Net, lower, networks, quantized, unread
from tests.helpers.plans import Planned, plans

Array = NDArray[Any]


def kinds(module: Module) -> list[str]:
    """The names of the ops, in order."""
    return [op.name for op in module.ops]


def named(module: Module, name: str) -> Op:
    """The op that computes a value."""
    (planned,) = [op for op in module.ops if op.output.name == name]
    return planned


# --- where it rounds ------------------------------------------------------------------------------


def test_conv_add_relu_round_once() -> None:
    net = Net()
    x = net.input(3, 6, 6)
    a = net.conv(x, 4, pads=(1, 1, 1, 1))
    b = net.conv(x, 4, (1, 1))
    module = quantized(net.module(net.relu(net.add(a, b))))
    assert kinds(module) == [
        "epi.quantize",
        "epi.conv",
        "epi.conv",
        "epi.requantize",
        "epi.dequantize",
    ]
    (kept,) = [op for op in module.ops if isinstance(op, epi.Requantize)]
    assert [v.name for v in kept.operands] == ["conv0.acc", "conv1.acc"]
    assert kept.low == kept.output.type.zero_point == 0
    assert kept.location.nodes == tuple(("Op", n) for n in ("conv0", "conv1", "add2", "relu3"))


def test_a_residual_of_a_kept_value_is_a_term() -> None:
    net = Net()
    x = net.input(4, 6, 6)
    r = net.relu(net.conv(x, 4, (1, 1)))
    module = quantized(net.module(net.add(net.conv(r, 4, (1, 1)), r)))
    last = module.ops[-2]
    assert isinstance(last, epi.Requantize)
    assert [v.type.element for v in last.operands] == ["i64", "u8"]
    assert last.low == 0 < last.output.type.zero_point


def test_a_value_with_two_readers_is_kept() -> None:
    net = Net()
    shared = net.conv(net.input(3, 5, 5), 4)
    module = quantized(net.module(net.relu(shared), shared))
    relu = named(module, "relu1")
    assert [v.name for v in relu.operands] == ["conv0"]
    assert kinds(module).count("epi.requantize") == 2


def test_a_sum_of_sums_stays_an_accumulator() -> None:
    net = Net()
    x = net.input(3, 5, 5)
    parts = [net.conv(x, 4, (1, 1)) for _ in range(3)]
    pool = net.op(nn.AveragePool, parts[2], kernel=(3, 3), pads=(1, 1, 1, 1))
    total = net.add(net.add(parts[0], parts[1]), pool)
    module = quantized(net.module(net.relu(total)))
    # What is pooled is kept; the three summands meet in one rounding.
    assert kinds(module).count("epi.requantize") == 2
    assert len(named(module, total.name.replace("add5", "relu6")).operands) == 3


def test_twice_the_same_value_is_two_terms() -> None:
    net = Net()
    c = net.conv(net.input(2, 4, 4), 3)
    module = quantized(net.module(net.add(c, c)))
    assert [v.name for v in named(module, "add1").operands] == ["conv0", "conv0"]
    assert disagreements(module, net.samples(5, seed=3)) == []


def test_maxima_and_flat_values_keep_their_scale() -> None:
    net = Net()
    x = net.input(2, 4, 4)
    pooled = net.op(nn.MaxPool, x, kernel=(2, 2), strides=(2, 2))
    flat = net.flat(pooled)
    module = quantized(net.module(flat))
    assert kinds(module) == ["epi.quantize", "nn.max_pool", "nn.rearrange", "epi.dequantize"]
    first = module.ops[0].output.type
    assert [op.output.type for op in module.ops[1:3]] == [
        first.with_shape((2, 2, 2)),
        first.with_shape((8,)),
    ]


def test_a_long_sum_is_kept_on_the_way() -> None:
    net = Net()
    x = net.input(1, 2, 2)
    total = net.conv(x, 1, (1, 1))
    for _ in range(300):
        total = net.add(total, x)
    module = quantized(net.module(total))
    sums = [len(op.operands) for op in module.ops if isinstance(op, epi.Requantize)]
    assert sums == [64, 64, 64, 64, 49]
    assert disagreements(module, net.samples(3)) == []


# --- types and scales -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("low", "high", "bits", "scale", "zero_point"),
    [
        (0.0, 255.0, 8, 1.0, 0),
        (-1.0, 62.0, 6, 1.0, 1),
        # Widened to hold 0.
        (5.0, 15.0, 4, 1.0, 0),
        (-15.0, -5.0, 4, 1.0, 15),
        # Always 0, or nearly.
        (0.0, 0.0, 8, 1.0, 0),
        (-1e-40, 1e-40, 8, 1.0, 0),
    ],
)
def test_the_type_of_a_calibrated_value(
    low: float, high: float, bits: int, scale: float, zero_point: int
) -> None:
    value = Value("v", TensorType((3,)), (low, high))
    assert activation_type(value, bits) == TensorType((3,), f"u{bits}", scale, zero_point)


@given(st.floats(-1e6, 1e6, width=32), st.floats(-1e6, 1e6, width=32), st.integers(4, 8))
def test_zero_is_a_value_of_every_type(a: float, b: float, bits: int) -> None:
    kind = activation_type(Value("v", TensorType((1,)), (min(a, b), max(a, b))), bits)
    assert kind.scale is not None
    assert np.float32(kind.scale) == kind.scale
    assert 0 <= kind.zero_point < 2**bits
    # The ends of the range are within half a step of the first and last value.
    lowest, highest = (0 - kind.zero_point) * kind.scale, (2**bits - 1 - kind.zero_point)
    slack = 0.5001 * kind.scale
    assert lowest - slack <= min(a, 0.0)
    assert max(b, a, 0.0) <= highest * kind.scale + slack


def conv_op(planned: Planned) -> tuple[epi.Conv, Array]:
    """An epitome op over a plan, and its epitome."""
    net = Net()
    _, shape, size = planned
    net.epitome(net.input(shape[1], shape[2], shape[3]), planned)
    (op,) = net.built.ops
    assert isinstance(op, epi.Conv)
    random = np.random.default_rng(1)
    return op, (random.normal(size=size) * random.lognormal(0, 3, (size[0], 1, 1, 1)))


@given(plans(), st.integers(2, 8))
def test_columns_that_meet_in_an_output_share_a_scale(planned: Planned, bits: int) -> None:
    op, epitome = conv_op(planned)
    columns, outputs = column_scales(epitome.astype(np.float32), op, bits)
    assert columns.dtype == outputs.dtype == np.float32
    for patch in op.plan:
        mine = columns[patch.eo : patch.eo + patch.on]
        assert np.array_equal(mine, outputs[patch.o0 : patch.o0 + patch.on])
    limit = 2 ** (bits - 1) - 1
    tops = np.abs(epitome).reshape(len(epitome), -1).max(axis=1)
    used = {patch.eo + k for patch in op.plan for k in range(patch.on)}
    assert all(columns[k] * limit >= tops[k] * (1 - 1e-6) for k in used)


def test_elements_that_no_patch_uses_do_not_widen_a_scale() -> None:
    # Column 0 uses rows 0 and 1 of three; the third holds a huge weight.
    planned = (Patch(0, 1, 0, 1, 0, 0, 0, 0),), (1, 1, 2, 1), (1, 1, 3, 1)
    net = Net()
    y = net.epitome(net.input(1, 4, 4), planned, bias=False)
    net.built.tensors["e0"].array[:] = np.array([1.0, -2.0, 1000.0]).reshape(1, 1, 3, 1)
    module = lower(net.module(y), "calibrate,quantize")
    (op,) = [op for op in module.ops if isinstance(op, epi.Conv)]
    assert module.tensor(op.epitome).ravel().tolist() == [64, -127, 0]


# --- channels that hardly count, and errors -------------------------------------------------------


@pytest.mark.parametrize("scale", [0.0, 1e-12, 1e-30, 1e-44])
def test_a_dead_channel_gives_its_bias(scale: float) -> None:
    net = Net()
    weights = np.random.default_rng(0).normal(size=(3, 2, 3, 3))
    weights[1] *= scale
    bias = np.array([0.5, -0.25, 0.0])
    module = quantized(net.module(net.conv(net.input(2, 6, 6), 3, weights=weights, bias=bias)))
    inputs = net.samples(6, seed=2)
    assert disagreements(module, inputs) == []
    real = interpret(module, inputs)["out0"]
    step = module.ops[-2].output.type.scale or 0.0
    assert np.abs(real[:, 1] + 0.25).max() <= step


@pytest.mark.parametrize("scale", [0.0, 1e-44, 1e-38, 1e-30])
def test_a_layer_whose_weights_are_nothing(scale: float) -> None:
    net = Net()
    weights = np.full((2, 1, 1, 1), scale)
    layer = net.conv(net.input(1, 4, 4), 2, (1, 1), weights=weights, bias=np.zeros(2))
    try:
        module = quantized(net.module(layer))
    except EpimcError as problem:
        assert "cannot be requantized" in problem.diagnostic.message  # noqa: PT017
        return
    assert disagreements(module, net.samples(4, seed=2)) == []
    assert not interpret(module, net.samples(4))["out0"].any()


def test_a_value_that_is_always_zero() -> None:
    net = Net()
    c = net.conv(net.input(2, 4, 4), 3, bias=np.full(3, -1000.0))
    dead = net.relu(c)
    module = quantized(net.module(dead, net.conv(dead, 2, (1, 1), bias=np.zeros(2))))
    assert named(module, "relu1").output.type.scale == 1.0
    inputs = net.samples(4, seed=4)
    assert disagreements(module, inputs) == []
    assert not interpret(module, inputs)["out0"].any()


def test_a_difference_of_nothing_but_rounding() -> None:
    """Its range of 1e-16 asks for steps that no term has: its own are a part of the terms'."""
    net = Net()
    x = net.input(2, 4, 4)
    third = net.op(nn.Affine, x, scale=net.store("s", np.full(2, 1 / 3, np.float32)))
    again = net.op(nn.Affine, third, scale=net.store("s", np.full(2, 3, np.float32)))
    module = quantized(net.module(net.relu(net.op(elementwise.Sub, x, again))))
    kept = module.ops[-2].output
    step = named(module, "x0.q").output.type.scale or 0
    assert kept.type.scale == pytest.approx(step / 2**16)
    assert not disagreements(module, net.samples(4))


def test_a_bias_beyond_the_accumulator() -> None:
    net = Net()
    weights = np.full((1, 1, 1, 1), 1e-20)
    layer = net.conv(net.input(1, 4, 4), 1, (1, 1), weights=weights, bias=np.ones(1))
    with pytest.raises(EpimcError) as caught:
        quantized(net.module(layer))
    assert "The bias is too large beside the weights" in str(caught.value)
    assert "node 'conv0' (Op)" in str(caught.value)
    assert "  note: in pass 'quantize'" in str(caught.value)


def test_values_that_are_not_finite() -> None:
    net = Net()
    layer = net.conv(net.input(1, 4, 4), 1, (1, 1), weights=np.full((1, 1, 1, 1), np.inf))
    with pytest.raises(EpimcError) as caught:
        quantized(net.module(layer))
    assert str(caught.value) == (
        "error: Value %conv0 is not finite on the calibration samples.\n"
        "  note: in pass 'calibrate'\n"
        "  hint: Check the weights of the model and the samples."
    )


@pytest.mark.parametrize(
    ("options", "bounds"),
    [
        ("weight_bits=0", "1..16"),
        ("weight_bits=17", "1..16"),
        ("activation_bits=1", "2..16"),
        ("activation_bits=17", "2..16"),
    ],
)
def test_bits_out_of_range(options: str, bounds: str) -> None:
    key, _, value = options.partition("=")
    with pytest.raises(EpimcError) as caught:
        lower(Net().built, f"quantize{{{options}}}")
    assert str(caught.value) == f"error: Pass 'quantize': {key} = {value} is not in {bounds}."


# --- the same integers as onnxruntime -------------------------------------------------------------


@pytest.mark.parametrize("weight_bits", [*range(1, 10), 16])
@pytest.mark.parametrize("activation_bits", [*range(2, 10), 12, 15, 16])
def test_every_width_of_weights_and_activations(weight_bits: int, activation_bits: int) -> None:
    net = Net(weight_bits * 10 + activation_bits)
    x = net.input(3, 7, 7)
    a = net.relu(net.conv(x, 5, pads=(1, 1, 1, 1), strides=(2, 2)))
    b = net.conv(a, 5, pads=(2, 2, 2, 2), dilations=(2, 2))
    c = net.op(nn.AveragePool, net.relu(net.add(b, a)), kernel=(2, 2))
    d = net.gemm(net.flat(net.op(nn.MaxPool, c, kernel=(2, 2))), 6)
    module = quantized(net.module(d), weight_bits, activation_bits)
    # Samples beyond the calibrated range, so that everything clips somewhere.
    assert disagreements(module, net.samples(8, seed=5, scale=2.0)) == []
    seen = interpreted(module, net.samples(8, seed=5))
    for op in module.ops:
        if op.output.type.element[0] == "u":
            assert seen[op.output.name].max() < 2**activation_bits


@given(networks(), st.integers(1, 16), st.integers(2, 16))
@settings(max_examples=40)
def test_random_networks_equal_onnxruntime(
    net: Net, weight_bits: int, activation_bits: int
) -> None:
    module = quantized(net.module(*unread(net.built)), weight_bits, activation_bits)
    assert disagreements(module, net.samples(3, seed=7, scale=1.3)) == []


@given(plans(), st.data(), st.integers(2, 16), st.integers(2, 16))
@settings(max_examples=40)
def test_random_epitomes_equal_onnxruntime(
    planned: Planned, data: st.DataObject, weight_bits: int, activation_bits: int
) -> None:
    _, shape, _ = planned
    net = Net(data.draw(st.integers(0, 99)))
    size = [data.draw(st.integers(k, 6)) for k in shape[2:]]
    strides = data.draw(st.tuples(SIZES, SIZES))
    y = net.epitome(net.input(shape[1], *size), planned, strides=strides, pads=(1, 0, 0, 1))
    options = f"weight_bits={weight_bits},activation_bits={activation_bits}"
    module = lower(net.module(y), f"calibrate,quantize{{{options}}}")
    assert disagreements(module, net.samples(3, seed=7)) == []
    (op,) = [op for op in module.ops if isinstance(op, epi.Conv)]
    (old,) = [op for op in net.built.ops if isinstance(op, epi.Conv)]
    assert op.plan == old.plan
    steps_of_weights = module.tensor(op.epitome)
    assert np.abs(steps_of_weights).max() <= 2 ** (weight_bits - 1) - 1
    real = plan.rebuild(net.built.tensor(old.epitome), old.plan, old.weights_shape)
    used = used_elements(net.built.tensor(old.epitome), old)
    steps = column_scales(used, old, weight_bits)[1].reshape(-1, 1, 1, 1)
    assert (np.abs(op.weights(module.tensor) * steps - real) <= 0.5001 * steps).all()


def test_layers_of_one_bit_that_need_a_zero_take_two() -> None:
    net = Net(3)
    x = net.input(4, 6, 6)
    plain = net.conv(x, 4)
    weights = net.random.normal(size=(4, 2, 3, 3))
    grouped = net.conv(plain, 4, weights=weights, groups=2)
    module = quantized(net.module(grouped), 1)
    elements = [module.tensors[op.epitome.name] for op in module.ops if isinstance(op, epi.Conv)]
    assert [tensor.type.element for tensor in elements] == ["s1", "s2"]
    assert set(elements[0].array.ravel().tolist()) == {-1, 1}
    assert disagreements(module, net.samples(4, seed=7)) == []


def test_one_bit_has_the_mean_magnitude_as_its_step() -> None:
    net = Net()
    weights = np.array([[0.5, -1.5, 1.0], [-2.0, -2.0, 4.0]], np.float32).reshape(2, 3, 1, 1)
    module = quantized(net.module(net.conv(net.input(3, 2, 2), 2, (1, 1), weights=weights)), 1)
    (op,) = [op for op in module.ops if isinstance(op, epi.Conv)]
    assert op.weight_scales is not None
    assert module.tensor(op.weight_scales).tolist() == [1.0, np.float32(8 / 3)]
    assert module.tensor(op.epitome).reshape(2, 3).tolist() == [[1, -1, 1], [-1, -1, 1]]


def test_eight_bits_follow_the_floats() -> None:
    net = Net(11)
    x = net.input(3, 12, 12)
    a = net.relu(net.conv(x, 8, pads=(1, 1, 1, 1)))
    b = net.relu(net.add(net.conv(a, 8, pads=(1, 1, 1, 1)), a))
    pooled = net.op(nn.AveragePool, b, kernel=(12, 12))
    module = net.module(net.gemm(net.flat(pooled), 10), calibration=net.samples(64))
    inputs = net.samples(64)
    real = interpret(module, inputs)["out0"]
    got = interpret(quantized(module), inputs)["out0"]
    noise = ((got - real) ** 2).sum() / (real**2).sum()
    assert noise < 1e-3


def test_tensors_declared_as_random_can_be_quantized() -> None:
    kind = TensorType((2, 2, 3, 3), "s4")
    drawn = Normal(3, 100.0).draw(kind)
    assert drawn.min() == -7
    assert drawn.max() == 7
