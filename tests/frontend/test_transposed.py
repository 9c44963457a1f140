"""Transposed convolutions compute what onnxruntime computes, whatever their attributes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx.helper import make_node

from epimc.frontend import ImportedModel, import_proto
from tests.helpers.strategies.transposed import Transposed, geometries

Array = NDArray[Any]
Build = Callable[..., onnx.ModelProto]
Compare = Callable[[onnx.ModelProto], ImportedModel]
Run = Callable[..., list[Array]]


def draw(*shape: int) -> Array:
    """Random float32 numbers."""
    return np.random.default_rng(len(shape)).standard_normal(shape).astype(np.float32)


def reason_of(model: onnx.ModelProto) -> str:
    """Why the only node of a model is not on the chip."""
    (node,) = import_proto(model, "model").nodes
    return node.reason


def transposed(
    build: Build,
    shape: tuple[int, ...],
    weights: tuple[int, ...],
    bias: int = 0,
    opset: int = 13,
    **attributes: Any,
) -> onnx.ModelProto:
    """A model of one transposed convolution of samples of a shape; no bias where it is 0."""
    constants = {"w": draw(*weights)} | ({"b": draw(bias)} if bias else {})
    node = make_node("ConvTranspose", ["x", *constants], ["y"], "up", **attributes)
    return build([node], {"x": ("N", *shape)}, constants, opset=opset)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(geometry=geometries(), bias=st.booleans())
def test_any_attributes(
    build: Build,
    compare: Compare,
    geometry: Transposed,
    bias: bool,
) -> None:
    shape, weights, attributes = geometry
    count = weights[1] * attributes["group"] if bias else 0
    compare(transposed(build, shape, weights, count, **attributes))


@pytest.mark.parametrize("opset", [7, 11, 26])
@pytest.mark.parametrize(
    ("size", "attributes"),
    [
        (2, {"strides": [2, 2]}),
        (4, {"strides": [2, 2], "pads": [1, 1, 1, 1]}),
        (3, {"strides": [2, 2], "pads": [1, 1, 1, 1], "output_padding": [1, 1]}),
    ],
)
def test_twice_as_large_takes_no_zeros(
    build: Build, compare: Compare, size: int, attributes: dict[str, Any], opset: int
) -> None:
    imported = compare(
        transposed(build, (3, 5, 4), (3, 2, size, size), 2, opset=opset, **attributes)
    )
    ops = imported.module.ops
    assert [op.name for op in ops] == [
        *["nn.conv"] * 4, "nn.concat", "nn.rearrange", "nn.select",
    ]  # fmt: skip
    sizes = [imported.module.tensor(op.attributes["weight"]).size for op in ops[:4]]
    # All phases together have as many weights as the kernel, and no element is computed twice.
    assert sum(sizes) == 3 * 2 * size**2
    assert all(op.output.type.shape == (2, 5, 4) for op in ops[:4])


def test_a_stride_of_one_is_a_convolution(build: Build, compare: Compare) -> None:
    imported = compare(transposed(build, (3, 5, 4), (3, 2, 3, 3), pads=[1, 1, 1, 1]))
    assert [op.name for op in imported.module.ops] == ["nn.conv"]


def test_one_axis_needs_no_selection(build: Build, compare: Compare) -> None:
    imported = compare(transposed(build, (3, 5), (3, 2, 4), strides=[4]))
    kinds = [op.name for op in imported.module.ops]
    assert kinds == ["nn.rearrange", *["nn.conv"] * 4, "nn.concat", "nn.rearrange"]
    assert [port.shape for port in imported.outputs] == [(2, 20)]


def test_a_depthwise_one_stays_in_groups(build: Build, compare: Compare) -> None:
    model = transposed(build, (4, 5, 4), (4, 1, 4, 4), 4, group=4, strides=[2, 2])
    convs = [op for op in compare(model).module.ops if op.name == "nn.conv"]
    assert [op.attributes["groups"] for op in convs] == [4] * 4


def test_phases_that_nothing_reaches_are_constants(build: Build, compare: Compare) -> None:
    model = transposed(build, (2, 3, 3), (2, 2, 1, 1), 2, strides=[2, 2])
    kinds = [op.name for op in compare(model).module.ops]
    assert kinds.count("nn.constant") == 3
    assert kinds.count("nn.conv") == 1


@pytest.mark.parametrize(
    ("reason", "attributes"),
    [
        ("kernel_shape is not that of the weights, [3, 3]", {"kernel_shape": [3, 2]}),
        ("auto_pad = SOME is not supported", {"auto_pad": "SOME"}),
        ("a result without elements is not supported", {"pads": [4, 4, 4, 4]}),
        ("289 phases (products of strides) are not supported", {"strides": [17, 17]}),
    ],
)
def test_what_the_host_runs(build: Build, reason: str, attributes: dict[str, Any]) -> None:
    assert reason_of(transposed(build, (3, 5, 4), (3, 2, 3, 3), **attributes)) == reason


def test_weights_of_other_channels(build: Build) -> None:
    reason = "weights of shape [3, 2, 3, 3] in 1 groups do not fit 4 channels"
    assert reason_of(transposed(build, (4, 5, 4), (3, 2, 3, 3))) == reason


@pytest.mark.parametrize("shape", [(3,), (2, 1), ()])
def test_a_bias_of_another_shape(build: Build, shape: tuple[int, ...]) -> None:
    node = make_node("ConvTranspose", ["x", "w", "b"], ["y"], "up", strides=[2, 2])
    constants = {"w": draw(3, 2, 1, 1), "b": draw(*shape)}
    model = build([node], {"x": ("N", 3, 5, 4)}, constants)
    assert reason_of(model) == "the bias must hold 2 values"
