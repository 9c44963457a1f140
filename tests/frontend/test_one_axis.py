"""Convolutions and pools over one axis compute what onnxruntime does, and move nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx.helper import make_node

from epimc.frontend import ImportedModel
from epimc.ir.passes.fold import Fold
from epimc.ir.passes.layout import Layout

Array = NDArray[Any]
Build = Callable[..., onnx.ModelProto]
Compare = Callable[[onnx.ModelProto], ImportedModel]

SHAPES = {"x": ("N", 4, 11)}
WINDOWS: list[dict[str, Any]] = [
    {},
    {"pads": [2, 1]},
    {"strides": [2], "pads": [0, 1]},
    {"dilations": [3], "pads": [1, 2]},
    {"auto_pad": "SAME_UPPER", "strides": [2]},
    {"auto_pad": "SAME_LOWER"},
    {"auto_pad": "VALID", "strides": [3]},
]


def draw(*shape: int) -> Array:
    """Random float32 numbers."""
    return np.random.default_rng(len(shape)).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize(("group", "weights"), [(1, (3, 4, 3)), (2, (6, 2, 4)), (4, (4, 1, 2))])
def test_convolutions(
    build: Build,
    compare: Compare,
    window: dict[str, Any],
    group: int,
    weights: tuple[int, ...],
) -> None:
    constants = {"w": draw(*weights), "b": draw(weights[0])}
    node = make_node("Conv", ["x", *constants], ["y"], group=group, **window)
    imported = compare(build([node], SHAPES, constants))
    kinds = [op.name for op in imported.module.ops]
    assert kinds == ["nn.rearrange", "nn.conv", "nn.rearrange"]


def test_a_stated_kernel_has_one_number(build: Build, compare: Compare) -> None:
    node = make_node("Conv", ["x", "w"], ["y"], kernel_shape=[3])
    compare(build([node], SHAPES, {"w": draw(2, 4, 3)}))


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("op_type", ["MaxPool", "AveragePool"])
@pytest.mark.parametrize("ceil_mode", [0, 1])
def test_pools(
    build: Build, compare: Compare, op_type: str, window: dict[str, Any], ceil_mode: int
) -> None:
    node = make_node(op_type, ["x"], ["y"], kernel_shape=[3], ceil_mode=ceil_mode, **window)
    compare(build([node], SHAPES, opset=26))


@pytest.mark.parametrize("op_type", ["GlobalMaxPool", "GlobalAveragePool"])
def test_global_pools(build: Build, compare: Compare, op_type: str) -> None:
    imported = compare(build([make_node(op_type, ["x"], ["y"])], SHAPES))
    assert [port.shape for port in imported.outputs] == [(4, 1)]


def test_a_chain_moves_nothing_between_its_layers(build: Build, compare: Compare) -> None:
    nodes = [
        make_node("Conv", ["x", "w"], ["c"], pads=[1, 1]),
        make_node("BatchNormalization", ["c", "s", "o", "o", "v"], ["n"]),
        make_node("Relu", ["n"], ["r"]),
        make_node("MaxPool", ["r"], ["p"], kernel_shape=[2], strides=[2]),
        make_node("Conv", ["p", "w"], ["d"], group=1, pads=[2, 2], dilations=[2]),
        make_node("Add", ["d", "p"], ["a"]),
        make_node("AveragePool", ["a"], ["m"], kernel_shape=[3]),
        make_node("ConvTranspose", ["m", "w"], ["t"]),
        make_node("Flatten", ["t"], ["y"]),
    ]
    constants = {"w": draw(4, 4, 3), "s": draw(4), "o": draw(4), "v": np.abs(draw(4)) + 1}
    module = Fold().run(Layout().run(compare(build(nodes, SHAPES, constants)).module))
    kinds = [op.name.removeprefix("nn.") for op in module.ops]
    assert kinds == [
        "rearrange", "conv", "relu", "max_pool", "conv", "add", "average_pool", "conv",
        "rearrange",
    ]  # fmt: skip
