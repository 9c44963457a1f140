"""Sums, products and extrema, broadcast, compute what onnxruntime does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx.helper import make_node

from epimc.frontend import ImportedModel, import_proto

Array = NDArray[Any]
Build = Callable[..., onnx.ModelProto]
Compare = Callable[[onnx.ModelProto], ImportedModel]


def ops_of(imported: ImportedModel) -> list[str]:
    """The names of the imported ops."""
    return [op.name.removeprefix("nn.") for op in imported.module.ops]


def positive(*shape: int) -> Array:
    """Random numbers from 0.5 on."""
    return np.random.default_rng(3).uniform(0.5, 2, shape).astype(np.float32)


TURNED = ["rearrange", "affine", "rearrange"]
KINDS = {"Add": "add", "Sub": "sub", "Mul": "multiply", "Div": "multiply"}


@pytest.mark.parametrize("names", [["x", "c"], ["c", "x"]])
@pytest.mark.parametrize("op_type", ["Add", "Sub", "Mul", "Div"])
@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((), ["affine"]),
        ((3, 1, 1), ["affine"]),
        ((1, 3, 1, 1), ["affine"]),
        ((8,), TURNED),
        ((9, 1), TURNED),
        ((9, 8), ["constant", "OP"]),
        ((1, 3, 9, 8), ["constant", "OP"]),
    ],
)
def test_constants(
    build: Build,
    compare: Compare,
    op_type: str,
    shape: tuple[int, ...],
    expected: list[str],
    names: list[str],
) -> None:
    if op_type == "Div" and names[0] == "c":
        pytest.skip("dividing by an activation is not supported")
    model = build([make_node(op_type, names, ["y"])], constants={"c": positive(*shape)})
    assert ops_of(compare(model)) == [name.replace("OP", KINDS[op_type]) for name in expected]


def test_a_constant_that_is_the_same_everywhere_is_one_number(
    build: Build, compare: Compare
) -> None:
    constants = {"c": np.ones((9, 8), np.float32)}
    imported = compare(build([make_node("Add", ["x", "c"], ["y"])], constants=constants))
    assert ops_of(imported) == ["affine"]


@pytest.mark.parametrize("op_type", ["Add", "Sub", "Mul"])
@pytest.mark.parametrize(
    "shape", [(1, 9, 8), (3, 1, 8), (3, 9, 1), (1, 1, 1), (3, 1, 1), (3, 9, 8)]
)
@pytest.mark.parametrize("names", [["x", "b"], ["b", "x"]])
def test_activations_are_broadcast(
    build: Build, compare: Compare, op_type: str, shape: tuple[int, ...], names: list[str]
) -> None:
    inputs = {"x": ("N", 3, 9, 8), "b": ("N", *shape)}
    imported = compare(build([make_node(op_type, names, ["y"])], inputs))
    # A product takes whole channels as they are.
    as_it_is = shape == (3, 9, 8) or (op_type == "Mul" and shape == (3, 1, 1))
    assert ops_of(imported) == [*([] if as_it_is else ["select"]), KINDS[op_type]]


def test_both_are_broadcast(build: Build, compare: Compare) -> None:
    inputs = {"a": ("N", 3, 1, 1), "b": ("N", 1, 4, 5)}
    imported = compare(build([make_node("Mul", ["a", "b"], ["y"])], inputs))
    assert ops_of(imported) == ["select", "select", "multiply"]
    assert [port.shape for port in imported.outputs] == [(3, 4, 5)]


def test_a_constant_larger_than_the_activation(build: Build, compare: Compare) -> None:
    constants = {"c": np.ones((4, 1), np.float32)}
    inputs = {"x": ("N", 3, 1, 5)}
    imported = compare(build([make_node("Add", ["x", "c"], ["y"])], inputs, constants))
    assert [port.shape for port in imported.outputs] == [(3, 4, 5)]


@pytest.mark.parametrize("opset", [8, 13, 26])
@pytest.mark.parametrize("op_type", ["Sum", "Mean"])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_sums_of_many(build: Build, compare: Compare, op_type: str, count: int, opset: int) -> None:
    nodes = [
        make_node(op_type, ["a", "b", "a"][:count], ["s"]),
        make_node("Relu", ["s"], ["y"]),
    ]
    inputs = {"a": ("N", 3, 4, 5), "b": ("N", 3, 4, 5)}
    assert ops_of(compare(build(nodes, inputs, opset=opset))).count("add") == count - 1


@pytest.mark.parametrize("opset", [8, 13, 26])
@pytest.mark.parametrize(("op_type", "key", "bound"), [("Max", "low", 0.25), ("Min", "high", -0.5)])
def test_extrema_with_constants_clip(
    build: Build, compare: Compare, op_type: str, key: str, bound: float, opset: int
) -> None:
    constants = {"c": np.array(0.25, np.float32), "d": np.array([-0.5], np.float32)}
    node = make_node(op_type, ["c", "x", "d"], ["y"])
    (op,) = compare(build([node], constants=constants, opset=opset)).module.ops
    assert op.attributes[key] == bound


@pytest.mark.parametrize("op_type", ["Max", "Min"])
def test_extrema_of_activations(build: Build, compare: Compare, op_type: str) -> None:
    inputs = {"a": ("N", 3, 4, 5), "b": ("N", 3, 1, 5)}
    constants = {"c": np.array(0.25, np.float32)}
    nodes = [
        make_node(op_type, ["a", "b", "c", "a"], ["e"]),
        make_node(op_type, ["b", "e"], ["y"]),
    ]
    compare(build(nodes, inputs, constants))


def test_squares(build: Build, compare: Compare) -> None:
    constants = {"c": np.array(2, np.float32)}
    imported = compare(build([make_node("Pow", ["x", "c"], ["y"])], constants=constants))
    assert ops_of(imported) == ["multiply"]


@pytest.mark.parametrize("opset", [7, 13, 26])
def test_slopes_along_the_last_axis(build: Build, compare: Compare, opset: int) -> None:
    node = make_node("PRelu", ["x", "s"], ["y"])
    imported = compare(build([node], constants={"s": positive(1, 1, 8)}, opset=opset))
    assert ops_of(imported) == ["rearrange", "activation", "rearrange"]


def test_shapes_that_do_not_meet(build: Build) -> None:
    inputs = {"a": (1, 3, 4, 5), "b": (1, 5)}
    (node,) = import_proto(build([make_node("Add", ["a", "b"], ["y"])], inputs), "model").nodes
    assert node.reason == "activations of shapes [3, 4, 5] and [5] are not supported"


@pytest.mark.parametrize("kind", [np.float32, np.int64, np.int32])
def test_squares_by_exponents_of_any_type(build: Build, compare: Compare, kind: Any) -> None:
    node = make_node("Pow", ["x", "two"], ["y"])
    compare(build([node], constants={"two": np.array(2, kind)}))


MASKS = [(), (3, 1, 1), (8,), (9, 1), (9, 8), (3, 9, 8), (1, 3, 1, 8)]


@pytest.mark.parametrize("shape", MASKS[1:])
@pytest.mark.parametrize("op_type", ["Max", "Min"])
def test_extrema_with_constants_of_several_numbers(
    build: Build, compare: Compare, op_type: str, shape: tuple[int, ...]
) -> None:
    constants = {"c": positive(*shape) - 1, "d": np.array(0.25, np.float32)}
    node = make_node(op_type, ["c", "x", "d"], ["y"])
    imported = compare(build([node], constants=constants))
    along_one_axis = sum(size > 1 for size in shape) == 1
    assert ops_of(imported).count("activation") == along_one_axis


@pytest.mark.parametrize("shape", MASKS)
@pytest.mark.parametrize("names", [("x", "c"), ("c", "x"), ("x", "zero"), ("x", "a"), ("x", "x")])
def test_choices_by_a_constant(
    build: Build, compare: Compare, shape: tuple[int, ...], names: tuple[str, str]
) -> None:
    condition = np.random.default_rng(3).standard_normal(shape) > 0
    zero = np.array(0, np.float32)
    constants = {"k": condition, "c": positive(*shape), "zero": zero}
    nodes = [make_node("Abs", ["x"], ["a"]), make_node("Where", ["k", *names], ["y"])]
    used = {name: array for name, array in constants.items() if name in ("k", *names)}
    imported = compare(build(nodes, constants=used))
    assert all(node.on_chip for node in imported.nodes)


@pytest.mark.parametrize("number", [-np.inf, -1e9, float(np.finfo(np.float32).min)])
@pytest.mark.parametrize("op_type", ["Where", "Add"])
def test_masks_that_stand_for_infinity_are_left_to_the_host(
    build: Build, op_type: str, number: float
) -> None:
    condition = np.random.default_rng(3).standard_normal((9, 8)) > 0
    constants: dict[str, NDArray[Any]] = {"c": np.array(number, np.float32), "k": condition}
    inputs = ["k", "x", "c"]
    if op_type == "Add":
        # What is not finite in weights is a mistake of the model.
        constants = {"c": np.where(condition, 0, max(number, -1e9)).astype(np.float32)}
        inputs = ["x", "c"]
    model = build([make_node(op_type, inputs, ["y"])], constants=constants)
    (node,) = import_proto(model, "model").nodes
    assert node.reason == "a constant with numbers that stand for infinity is not supported"


def test_a_choice_by_what_is_computed_is_left_to_the_host(build: Build) -> None:
    nodes = [make_node("IsNaN", ["x"], ["k"]), make_node("Where", ["k", "x", "x"], ["y"])]
    *_, node = import_proto(build(nodes), "model").nodes
    assert not node.on_chip
    assert node.op == "Where"
