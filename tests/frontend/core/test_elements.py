"""Operators of each element on tensors of many axes, or without one of the samples."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx.helper import make_node

from epimc.support.diagnostics import EpimcError
from tests.frontend.conftest import build_model, compare_model
from tests.helpers.strict import import_strictly

Array = NDArray[Any]
CUT, FLAT = np.array([3, 2, 2, 2, 5]), np.array([1, -1])


def floats(*shape: int) -> Array:
    """Random float32 numbers."""
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def model(nodes: list[onnx.NodeProto], constants: dict[str, Array]) -> onnx.ModelProto:
    """What nodes do from `r`, of five axes with no samples, to `s`."""
    network = [make_node("Reshape", ["x", "cut"], ["r"]), *nodes]
    network.append(make_node("Reshape", ["s", "flat"], ["y"]))
    return build_model(network, {"x": (1, 6, 4, 5)}, {**constants, "cut": CUT, "flat": FLAT})


def ops_of(network: onnx.ModelProto) -> list[str]:
    """The ops of a model that computes what onnxruntime computes."""
    return [op.name for op in compare_model(network).module.ops]


@pytest.mark.parametrize("op_type", ["Relu", "Sigmoid", "Neg", "Identity", "LeakyRelu", "Clip"])
def test_a_function_is_that_of_the_value(op_type: str) -> None:
    names = ops_of(model([make_node(op_type, ["r"], ["s"])], {}))
    assert len(names) == 1 + (op_type != "Identity")


def test_a_number_in_any_axes_is_one() -> None:
    nodes = [make_node("Add", ["r", "c"], ["t"]), make_node("Mul", ["d", "t"], ["s"])]
    constants = {"c": floats(1, 1, 1), "d": np.array(3, np.float32)}
    assert ops_of(model(nodes, constants)) == ["nn.affine", "nn.affine", "nn.rearrange"]


def test_a_number_may_add_axes() -> None:
    node = make_node("Add", ["r", "c"], ["s"])
    assert "nn.affine" in ops_of(model([node], {"c": floats(1, 1, 1, 1, 1, 1)}))


@pytest.mark.parametrize("shape", [(5,), (2, 5), (2, 1, 1), (3, 1, 1, 1, 1), (2, 2, 2, 5), (2, 1)])
@pytest.mark.parametrize("op_type", ["Add", "Sub", "Mul", "Div"])
def test_arrays_that_are_broadcast(op_type: str, shape: tuple[int, ...]) -> None:
    node = make_node(op_type, ["r", "c"], ["s"])
    assert ops_of(model([node], {"c": floats(*shape)}))


def test_tensors_of_one_order_are_added_as_they_lie() -> None:
    nodes = [
        make_node("Transpose", ["r"], ["t"], perm=[4, 0, 1, 3, 2]),
        make_node("Relu", ["t"], ["u"]),
        make_node("Add", ["t", "u"], ["s"]),
    ]
    names = ops_of(model(nodes, {}))
    assert names[:2] == ["nn.relu", "nn.add"]


def test_tensors_of_two_orders_are_moved() -> None:
    nodes = [
        make_node("Transpose", ["r"], ["t"], perm=[0, 2, 1, 3, 4]),
        make_node("Sub", ["t", "r"], ["s"]),
    ]
    names = ops_of(model(nodes, {}))
    assert names[-2:] == ["nn.sub", "nn.rearrange"]


def test_a_value_and_a_tensor_without_samples() -> None:
    nodes = [
        make_node("Reshape", ["x", "rows"], ["t"]),
        make_node("Max", ["t", "x"], ["s"]),
    ]
    assert "nn.relu" in ops_of(model(nodes, {"rows": np.array([6, 4, 5])}))


def test_too_many_ways_to_broadcast() -> None:
    node = make_node("Add", ["r", "c"], ["s"], name="n")
    with pytest.raises(EpimcError) as caught:
        import_strictly(model([node], {"c": floats(3, 1, 2, 1, 5)}), "m")
    reason = "broadcasting to [3, 2, 2, 2, 5] is not supported"
    assert f"node 'n' (Add): {reason}." in str(caught.value)


def test_a_tensor_of_endless_axes() -> None:
    nodes = [
        make_node("Reshape", ["x", "long"], ["t"]),
        make_node("Add", ["t", "c"], ["s"], name="n"),
    ]
    constants = {"long": np.array([1] * 70 + [-1]), "c": floats(120)}
    with pytest.raises(EpimcError) as caught:
        import_strictly(model(nodes, constants), "m")
    reason = "a tensor of more than 16 axes is not supported"
    assert f"node 'n' (Add): {reason}." in str(caught.value)


@st.composite
def broadcasts(draw: st.DrawFn) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The shape of a tensor of 120 elements, and one that is broadcast to it or beyond it."""
    shape = draw(st.sampled_from([(4, 30), (2, 3, 20), (2, 3, 1, 4, 5), (1, 2, 3, 4, 5), (120,)]))
    repeated = draw(st.sampled_from([0, 1, 2, len(shape)]))
    sizes = [1 if k < repeated else size for k, size in enumerate(shape)]
    kept = draw(st.integers(0, len(sizes)))
    return shape, tuple(sizes[len(sizes) - kept :])


@settings(deadline=None, max_examples=100)
@given(broadcasts(), st.sampled_from(["Add", "Sub", "Mul"]), st.booleans())
def test_random_broadcasts(
    shapes: tuple[tuple[int, ...], tuple[int, ...]], op_type: str, first: bool
) -> None:
    shape, constant = shapes
    names = ["c", "t"] if first else ["t", "c"]
    nodes = [make_node("Reshape", ["x", "again"], ["t"]), make_node(op_type, names, ["s"])]
    constants = {"again": np.array(shape), "c": floats(*constant)}
    compare_model(model(nodes, constants))
