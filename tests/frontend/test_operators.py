"""Every supported operator and setting computes what onnxruntime computes."""

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
from epimc.ir.verifier import verify
from tests.helpers.ports import shapes

Array = NDArray[Any]
Build = Callable[..., onnx.ModelProto]
Compare = Callable[[onnx.ModelProto], ImportedModel]

OPSETS = (7, 8, 11, 13, 26)
AUTO_PADS = ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER")
ARITHMETIC = [(op, first) for op in ("Add", "Sub", "Mul") for first in (False, True)]
ARITHMETIC.append(("Div", False))
# With dilations, onnxruntime has no automatic padding to compare with.
PADDED = [*((pad, (1, 1)) for pad in AUTO_PADS), ("NOTSET", (2, 1)), ("VALID", (1, 2))]


def draw(*shape: int, seed: int = 0) -> Array:
    """Random float32 numbers."""
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def ops_of(imported: ImportedModel) -> list[str]:
    """The names of the imported ops."""
    return [op.name for op in imported.module.ops]


@pytest.mark.parametrize(("auto_pad", "dilations"), PADDED)
@pytest.mark.parametrize("strides", [(1, 1), (2, 1), (3, 3)])
@pytest.mark.parametrize("kernel", [(3, 3), (2, 4), (1, 1)])
def test_conv_windows(
    build: Build,
    compare: Compare,
    auto_pad: str,
    strides: tuple[int, int],
    kernel: tuple[int, int],
    dilations: tuple[int, int],
) -> None:
    attributes: dict[str, Any] = {"pads": [1, 0, 2, 1]} if auto_pad == "NOTSET" else {}
    node = make_node(
        "Conv", ["x", "w"], ["y"],
        auto_pad=auto_pad, strides=strides, dilations=dilations, kernel_shape=kernel, **attributes,
    )  # fmt: skip
    assert ops_of(compare(build([node], constants={"w": draw(4, 3, *kernel)}))) == ["nn.conv"]


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("bias", [False, True])
def test_conv(build: Build, compare: Compare, opset: int, bias: bool) -> None:
    names = ["x", "w", "b"] if bias else ["x", "w"]
    constants = {"w": draw(4, 3, 3, 2), "b": draw(4)}
    model = build([make_node("Conv", names, ["y"])], constants=constants, opset=opset)
    (op,) = compare(model).module.ops
    assert [key for key, _ in op.tensor_refs()] == ["weight", "bias"][: len(names) - 1]


@pytest.mark.parametrize(
    ("group", "weights"), [(3, (3, 1, 3, 3)), (3, (6, 1, 2, 1)), (1, (2, 3, 1, 1))]
)
def test_conv_in_groups(
    build: Build, compare: Compare, group: int, weights: tuple[int, ...]
) -> None:
    node = make_node("Conv", ["x", "w"], ["y"], group=group, pads=[1, 0, 0, 1])
    (op,) = compare(build([node], constants={"w": draw(*weights)})).module.ops
    assert op.attributes["groups"] == group


def test_a_batch_norm_folds_into_a_grouped_conv(build: Build, compare: Compare) -> None:
    names = ("scale", "offset", "mean", "variance")
    nodes = [
        make_node("Conv", ["x", "w"], ["c"], group=3),
        make_node("BatchNormalization", ["c", *names], ["y"]),
    ]
    constants = {name: np.abs(draw(6, seed=k)) + 0.5 for k, name in enumerate(names)}
    model = build(nodes, constants={"w": draw(6, 1, 3, 3), **constants})
    module = compare(model).module
    folded = Fold().run(module)
    verify(folded)
    x = draw(2, 3, 9, 8).astype(np.float64)
    (op,) = folded.ops
    assert op.attributes["groups"] == 3
    actual = op.evaluate([x], folded.tensor)
    for step in module.ops:
        x = step.evaluate([x], module.tensor)
    np.testing.assert_allclose(actual, x, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("auto_pad", "dilations"), PADDED)
@pytest.mark.parametrize("strides", [(1, 1), (2, 1), (3, 3)])
@pytest.mark.parametrize("kernel", [(3, 3), (4, 4)])
def test_max_pool_windows(
    build: Build,
    compare: Compare,
    auto_pad: str,
    strides: tuple[int, int],
    kernel: tuple[int, int],
    dilations: tuple[int, int],
) -> None:
    attributes: dict[str, Any] = {"pads": [1, 0, 1, 1]} if auto_pad == "NOTSET" else {}
    node = make_node(
        "MaxPool", ["x"], ["y"],
        auto_pad=auto_pad, strides=strides, kernel_shape=kernel, dilations=dilations, **attributes,
    )  # fmt: skip
    assert ops_of(compare(build([node]))) == ["nn.max_pool"]


@pytest.mark.parametrize("strides", [(1, 1), (2, 2), (2, 3), (3, 4), (4, 5)])
@pytest.mark.parametrize("kernel", [(2, 2), (3, 3), (2, 4), (4, 3)])
@pytest.mark.parametrize("pads", [(0, 0, 0, 0), (1, 1, 1, 1), (0, 1, 0, 0), (0, 0, 1, 0)])
def test_max_pool_rounded_up(
    build: Build,
    compare: Compare,
    strides: tuple[int, int],
    kernel: tuple[int, int],
    pads: tuple[int, ...],
) -> None:
    node = make_node(
        "MaxPool", ["x"], ["y"], strides=strides, kernel_shape=kernel, pads=pads, ceil_mode=1
    )
    assert ops_of(compare(build([node]))) == ["nn.max_pool"]


@pytest.mark.parametrize("auto_pad", AUTO_PADS)
@pytest.mark.parametrize("strides", [(1, 1), (2, 1), (3, 3)])
@pytest.mark.parametrize("kernel", [(3, 3), (4, 4)])
def test_average_pool_windows(
    build: Build,
    compare: Compare,
    auto_pad: str,
    strides: tuple[int, int],
    kernel: tuple[int, int],
) -> None:
    attributes: dict[str, Any] = {"pads": [1, 0, 1, 1]} if auto_pad == "NOTSET" else {}
    node = make_node(
        "AveragePool", ["x"], ["y"],
        auto_pad=auto_pad, strides=strides, kernel_shape=kernel, count_include_pad=1, **attributes,
    )  # fmt: skip
    assert ops_of(compare(build([node]))) == ["nn.average_pool"]


@pytest.mark.parametrize("dilations", [(1, 1), (2, 1)])
def test_average_pool_dilations(build: Build, compare: Compare, dilations: tuple[int, int]) -> None:
    node = make_node("AveragePool", ["x"], ["y"], kernel_shape=[3, 2], dilations=dilations)
    compare(build([node], opset=26))


def test_average_pool_where_rounding_makes_no_difference(build: Build, compare: Compare) -> None:
    attributes: dict[str, Any] = {"kernel_shape": [3, 2], "strides": [3, 2], "ceil_mode": 1}
    compare(build([make_node("AveragePool", ["x"], ["y"], **attributes)]))


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("op_type", ["MaxPool", "AveragePool"])
def test_pool(build: Build, compare: Compare, opset: int, op_type: str) -> None:
    node = make_node(op_type, ["x"], ["y"], kernel_shape=[2, 2], strides=[2, 2])
    compare(build([node], opset=opset))


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("op_type", ["GlobalMaxPool", "GlobalAveragePool"])
def test_global_pool(build: Build, compare: Compare, opset: int, op_type: str) -> None:
    imported = compare(build([make_node(op_type, ["x"], ["y"])], opset=opset))
    assert shapes(imported.outputs) == [("y", (3, 1, 1))]


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize(("op_type", "constant_first"), ARITHMETIC)
@pytest.mark.parametrize(
    ("shape", "constant"),
    [
        ((3, 9, 8), ()),
        ((3, 9, 8), (1,)),
        ((3, 9, 8), (3, 1, 1)),
        ((3, 9, 8), (1, 3, 1, 1)),
        ((3, 1, 1), (3, 1, 1)),
        ((1, 1, 4), (4,)),
        ((6,), ()),
        ((6,), (6,)),
        ((6,), (1, 6)),
    ],
)
def test_arithmetic_with_a_constant(
    build: Build,
    compare: Compare,
    opset: int,
    op_type: str,
    constant_first: bool,
    shape: tuple[int, ...],
    constant: tuple[int, ...],
) -> None:
    values = draw(*constant)
    if shape == (1, 1, 4):
        values = np.full_like(values, 0.75)
    names = ["c", "x"] if constant_first else ["x", "c"]
    node = make_node(op_type, names, ["y"])
    imported = compare(build([node], {"x": ("N", *shape)}, {"c": values}, opset=opset))
    assert ops_of(imported) == ["nn.affine"]


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("shape", [(3, 9, 8), (6,)])
def test_add_and_relu(build: Build, compare: Compare, opset: int, shape: tuple[int, ...]) -> None:
    nodes = [
        make_node("Add", ["a", "b"], ["s"]),
        make_node("Relu", ["s"], ["r"]),
        make_node("Add", ["r", "r"], ["y"]),
    ]
    inputs = {"a": ("N", *shape), "b": ("N", *shape)}
    imported = compare(build(nodes, inputs, opset=opset))
    assert ops_of(imported) == ["nn.add", "nn.relu", "nn.add"]
    assert shapes(imported.inputs) == [("a", shape), ("b", shape)]


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("shape", [(3, 9, 8), (3,)])
def test_batch_normalization(
    build: Build, compare: Compare, opset: int, shape: tuple[int, ...]
) -> None:
    constants = {key: draw(3, seed=n) for n, key in enumerate(("scale", "offset", "mean"))}
    constants["variance"] = np.abs(draw(3, seed=9))
    node = make_node("BatchNormalization", ["x", *constants], ["y"], epsilon=1e-3)
    imported = compare(build([node], {"x": ("N", *shape)}, constants, opset=opset))
    assert ops_of(imported) == ["nn.batch_norm"]


@pytest.mark.parametrize(
    ("op_type", "opset"),
    [*(("Dropout", opset) for opset in OPSETS), *(("MaxPool", opset) for opset in OPSETS[1:])],
)
def test_unused_outputs_may_be_named(
    build: Build, compare: Compare, op_type: str, opset: int
) -> None:
    attributes: dict[str, Any] = {"kernel_shape": [2, 2]} if op_type == "MaxPool" else {}
    nodes = [
        make_node(op_type, ["x"], ["r", "unused"], **attributes),
        make_node("Relu", ["r"], ["y"]),
    ]
    compare(build(nodes, opset=opset))


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize(
    "shape", [[1, 216], [1, -1], [0, -1], [-1, 216], [0, 216]], ids=lambda shape: str(shape)
)
def test_reshape_to_a_vector(build: Build, compare: Compare, opset: int, shape: list[int]) -> None:
    node = make_node("Reshape", ["x", "shape"], ["y"])
    constants = {"shape": np.array(shape, np.int64)}
    assert ops_of(compare(build([node], constants=constants, opset=opset))) == ["nn.rearrange"]


@pytest.mark.parametrize("opset", OPSETS)
def test_flatten(build: Build, compare: Compare, opset: int) -> None:
    nodes = [make_node("Flatten", ["x"], ["f"]), make_node("Flatten", ["f"], ["y"], axis=1)]
    assert ops_of(compare(build(nodes, opset=opset))) == ["nn.rearrange"]


@pytest.mark.parametrize("opset", OPSETS)
def test_squeeze_after_a_global_pool(build: Build, compare: Compare, opset: int) -> None:
    pool = make_node("GlobalAveragePool", ["x"], ["p"])
    constants = {"axes": np.array([2, 3], np.int64)} if opset >= 13 else {}
    attributes: dict[str, Any] = {} if constants else {"axes": [2, 3]}
    squeeze = make_node("Squeeze", ["p", *constants], ["y"], **attributes)
    imported = compare(build([pool, squeeze], constants=constants, opset=opset))
    assert ops_of(imported) == ["nn.average_pool", "nn.rearrange"]


def test_pass_through_keeps_the_value(build: Build, compare: Compare) -> None:
    nodes = [
        make_node("Identity", ["x"], ["i"]),
        make_node("Relu", ["i"], ["r"]),
        make_node("Dropout", ["r", "ratio", "training"], ["d"]),
        make_node("Identity", ["d"], ["y"]),
    ]
    constants = {"ratio": np.array(0.5, np.float32), "training": np.array(False)}
    imported = compare(build(nodes, constants=constants))
    assert ops_of(imported) == ["nn.relu"]
    assert [value.name for _, value in imported.module.outputs] == ["r"]
