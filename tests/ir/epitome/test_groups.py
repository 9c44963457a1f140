"""Groups in the IR: plans, rounds, policies, and convolution against onnxruntime."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper

from epimc.ir.core.module import Builder, Module
from epimc.ir.core.op import Value
from epimc.ir.core.types import IrError, Location, TensorType
from epimc.ir.dialects import nn
from epimc.ir.epitome import plan, policies
from epimc.ir.epitome.plan import Entry, Patch, Round
from epimc.ir.semantics import convolution
from epimc.ir.semantics.floats import float_convolve
from epimc.ir.semantics.windows import Window
from tests.helpers.layers import Layer, layers


def conv_integer(groups: int, zero_point: int, window: Window) -> onnxruntime.InferenceSession:
    """ConvInteger over x, w and z."""
    node = helper.make_node(
        "ConvInteger", ["x", "w", "z"], ["y"], group=groups, kernel_shape=window.kernel,
        strides=window.strides, pads=window.pads, dilations=window.dilations,
    )  # fmt: skip
    info = helper.make_tensor_value_info
    entries = [info("x", 2, [None] * 4), info("w", 3, [None] * 4), info("z", 2, [])]
    graph = helper.make_graph([node], "g", entries, [info("y", 6, None)])
    opsets = [helper.make_opsetid("", 13)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    return onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )


@settings(max_examples=80, deadline=None)
@given(layers(), st.booleans())
def test_convolution_in_groups_is_onnxruntimes(layer: Layer, extreme: bool) -> None:
    random = np.random.default_rng(layer.seed)
    x = random.integers(0, 256, (2, layer.weights[1] * layer.groups, 6, 5))
    w = random.integers(-127, 128, layer.weights)
    if extreme:
        x, w = np.where(x > 99, 255, 0), np.where(w > 9, 127, -127)
    bias = np.zeros(len(w), np.int64)
    actual = convolution.convolve(x, w, bias, layer.window, layer.zero_point, 8)
    session = conv_integer(layer.groups, layer.zero_point, layer.window)
    zero = np.uint8(layer.zero_point)
    inputs = {"x": x.astype(np.uint8), "w": w.astype(np.int8), "z": np.array(zero)}
    assert np.array_equal(actual, session.run(None, inputs)[0])
    wide = float_convolve(x - layer.zero_point, w, layer.window)
    assert np.array_equal(wide, actual)


@settings(max_examples=80, deadline=None)
@given(layers())
def test_rounds_rebuild_the_weights(layer: Layer) -> None:
    plan.check(layer.plan, layer.weights, layer.epitome, layer.groups)
    cout, cin, kh, kw = layer.weights
    epitome = np.arange(1, 1 + np.prod(layer.epitome)).reshape(layer.epitome)
    columns = len(epitome) // layer.groups
    matrix = epitome.reshape(layer.groups, columns, -1)
    height = matrix.shape[2]
    rebuilt = np.zeros((cout, cin * layer.groups, kh * kw), np.int64)
    for round_ in plan.rounds(layer.plan, layer.epitome, (kh, kw), layer.groups):
        channels, rows = plan.from_ranges(round_.ifat), plan.from_ranges(round_.ifrt)
        for column, width, destination, multiplier, accumulate in round_.ofat:
            assert multiplier == 1
            for k in range(width):
                group, place = divmod(column + k, columns)
                own = channels // cin == group
                lines = rows.reshape(len(channels), -1)[own] - group * height
                assert accumulate == rebuilt[destination + k].any()
                rebuilt[destination + k, channels[own]] += matrix[group, place, lines]
    weights = plan.rebuild(epitome, layer.plan, layer.weights)
    for o in range(cout):
        group = o * layer.groups // cout
        expected = np.zeros_like(rebuilt[o])
        expected[group * cin : (group + 1) * cin] = weights[o].reshape(cin, -1)
        assert np.array_equal(rebuilt[o], expected)


def test_groups_of_one_window_make_one_round() -> None:
    single = (Patch(0, 2, 0, 1, 0, 0, 0, 0), Patch(0, 2, 1, 1, 0, 0, 0, 1))
    patches = policies.repeated(single, 2, 2, 2)
    assert plan.rounds(patches, (4, 1, 1, 2), (1, 1), 2) == (
        Round(((0, 1), (2, 1)), ((0, 1), (2, 1)), (Entry(0, 2, 0, 1, 0), Entry(2, 2, 2, 1, 0))),
        Round(((1, 1), (3, 1)), ((1, 1), (3, 1)), (Entry(0, 2, 0, 1, 1), Entry(2, 2, 2, 1, 1))),
    )


def test_the_identity_of_many_groups_is_one_entry() -> None:
    shape = (960, 1, 3, 3)
    assert plan.rounds(plan.identity(shape), shape, (3, 3), 960) == (
        Round(((0, 960),), ((0, 8640),), (Entry(0, 960, 0, 1, 0),)),
    )


@pytest.mark.parametrize(
    ("patches", "weights", "epitome", "message"),
    [
        (
            (Patch(0, 2, 0, 1, 0, 0, 0, 0), Patch(2, 2, 0, 1, 0, 0, 0, 0)),
            (4, 1, 1, 1), (4, 1, 1, 1),
            "patch [2, 2, 0, 1, 0, 0, 0, 0] gives a group the columns of another",
        ),
        (
            (Patch(0, 2, 0, 1, 0, 0, 0, 0), Patch(2, 2, 0, 1, 0, 0, 0, 0)),
            (4, 1, 1, 1), (2, 1, 1, 1),
            "patch [0, 2, 0, 1, 0, 0, 0, 0] gives a group the columns of another",
        ),
        (
            plan.identity((4, 1, 1, 1)), (4, 1, 1, 1), (3, 1, 1, 1),
            "3 columns and 4 outputs are not divisible into 2 groups",
        ),
    ],
)  # fmt: skip
def test_wrong_plans(
    patches: plan.Plan, weights: plan.Shape, epitome: plan.Shape, message: str
) -> None:
    with pytest.raises(IrError) as caught:
        plan.check(patches, weights, epitome, 2)
    assert str(caught.value) == message


def test_uniform_gives_every_group_the_same_plan() -> None:
    layer = policies.Layer((8, 4, 1, 1), 256, groups=2)
    epitome, patches = policies.choose("uniform:2x2", layer)
    assert epitome == (4, 2, 1, 1)
    plan.check(patches, layer.weights, epitome, 2)
    first = [patch for patch in patches if patch.o0 < 4]
    second = [patch._replace(o0=patch.o0 - 4, eo=patch.eo - 2) for patch in patches[len(first) :]]
    assert first == second
    assert first == list(policies.choose("uniform:2x2", policies.Layer((4, 4, 1, 1), 256))[1])


def test_groups_that_cannot_shrink_keep_one_patch() -> None:
    shape = (96, 1, 3, 3)
    layer = policies.Layer(shape, 256, groups=96)
    assert policies.choose("uniform:256x64", layer) == (shape, plan.identity(shape))


@pytest.mark.parametrize(
    ("groups", "channels", "message"),
    [
        (0, 4, "there must be at least one group"),
        (2, 5, "the weights take 4 input channels"),
        (4, 8, "6 outputs are not divisible into 4 groups"),
    ],
)
def test_weights_that_do_not_fit_their_groups(groups: int, channels: int, message: str) -> None:
    builder = Builder(Module("m", "nn"))
    weight = builder.store("w", np.zeros((6, 2, 1, 1)), "f32")
    x = Value("x", TensorType((channels, 2, 2)))
    op = nn.Conv(
        [x], Value("y", TensorType((1,))), Location(), {"weight": weight, "groups": groups}
    )
    with pytest.raises(IrError) as caught:
        op.result_shape(lambda ref: builder.module.tensors[ref.name].type)
    assert str(caught.value) == message
