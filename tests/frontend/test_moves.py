"""Operators that move data, and softmax, against onnxruntime."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx.helper import make_node

from epimc.frontend import ImportedModel, import_proto

Build = Callable[..., onnx.ModelProto]
Compare = Callable[[onnx.ModelProto], ImportedModel]

OPSETS = (7, 11, 13, 26)
SHAPES = ((12,), (3, 4), (4, 3), (2, 3, 2), (12, 1, 1), (1, 12), (3, 1, 4))


def ops_of(imported: ImportedModel) -> list[str]:
    """The names of the ops."""
    return [op.name for op in imported.module.ops]


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("perm", [[0, 2, 3, 1], [0, 3, 1, 2], [0, 1, 3, 2], [0, 3, 2, 1]])
def test_transpose(build: Build, compare: Compare, opset: int, perm: list[int]) -> None:
    imported = compare(build([make_node("Transpose", ["x"], ["y"], perm=perm)], opset=opset))
    (op,) = imported.module.ops
    assert op.attributes["perm"] == tuple(axis - 1 for axis in perm[1:])


def test_a_transpose_that_changes_nothing(build: Build, compare: Compare) -> None:
    nodes = [
        make_node("Transpose", ["x"], ["t"], perm=[0, 1, 2, 3]),
        make_node("Relu", ["t"], ["y"]),
    ]
    assert ops_of(compare(build(nodes))) == ["nn.relu"]


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("axes", [[1], [2], [-1]])
def test_unsqueeze_and_squeeze(build: Build, compare: Compare, opset: int, axes: list[int]) -> None:
    if opset < 11 and axes[0] < 0:
        axes = [3]
    constants = {"axes": np.array(axes)} if opset >= 13 else {}
    attributes: dict[str, Any] = {} if constants else {"axes": axes}
    nodes = [
        make_node("Unsqueeze", ["x", *constants], ["u"], **attributes),
        make_node("Relu", ["u"], ["r"]),
        make_node("Squeeze", ["r", *constants], ["y"], **attributes),
    ]
    imported = compare(build(nodes, {"x": ("N", 3, 4)}, constants, opset=opset))
    assert ops_of(imported) == ["nn.rearrange", "nn.relu", "nn.rearrange"]
    assert imported.outputs == [("y", (3, 4))]


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ([0, 0, -1], (3, 72)),
        ([0, -1, 8], (27, 8)),
        ([-1, 8, 9, 3], (8, 9, 3)),
        ([-1, 12, 18], (12, 18)),
        ([1, 216, 1], (216, 1)),
    ],
    ids=str,
)
def test_reshape(
    build: Build, compare: Compare, shape: list[int], expected: tuple[int, ...]
) -> None:
    node = make_node("Reshape", ["x", "shape"], ["y"])
    imported = compare(build([node], constants={"shape": np.array(shape)}))
    assert imported.outputs == [("y", expected)]


@st.composite
def move_nodes(draw: st.DrawFn) -> tuple[tuple[int, ...], list[onnx.NodeProto], dict[str, Any]]:
    """The shape of a sample and a chain of transpositions and reshapes of it."""
    first = shape = draw(st.sampled_from(SHAPES))
    nodes, constants, name = [], {}, "x"
    for k in range(draw(st.integers(1, 4))):
        if draw(st.booleans()):
            perm = draw(st.permutations(range(len(shape))))
            shape = tuple(shape[axis] for axis in perm)
            order = [0, *(axis + 1 for axis in perm)]
            nodes.append(make_node("Transpose", [name], [f"t{k}"], perm=order))
        else:
            shape = draw(st.sampled_from(SHAPES))
            constants[f"s{k}"] = np.array([-1, *shape])
            nodes.append(make_node("Reshape", [name, f"s{k}"], [f"t{k}"]))
        name = f"t{k}"
    return first, [*nodes, make_node("Relu", [name], ["y"])], constants


@settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(move_nodes())
def test_random_moves(
    build: Build,
    compare: Compare,
    case: tuple[tuple[int, ...], list[onnx.NodeProto], dict[str, Any]],
) -> None:
    shape, nodes, constants = case
    compare(build(nodes, {"x": ("N", *shape)}, constants))


@pytest.mark.parametrize("shape", [(5,), (3, 4), (3, 4, 5)])
def test_matrices_and_images_are_inputs_in_any_order(
    build: Build, compare: Compare, shape: tuple[int, ...]
) -> None:
    nodes = [make_node("Add", ["x", "x"], ["a"]), make_node("Relu", ["a"], ["y"])]
    imported = compare(build(nodes, {"x": ("N", *shape)}))
    assert imported.inputs == [("x", shape)]


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("axis", [None, 1, 2, 3, -1])
def test_softmax(build: Build, compare: Compare, opset: int, axis: int | None) -> None:
    """Before opset 13 it goes over all dims from the axis on."""
    if opset < 11 and axis == -1:
        axis = 3
    attributes: dict[str, Any] = {} if axis is None else {"axis": axis}
    imported = compare(build([make_node("Softmax", ["x"], ["y"], **attributes)], opset=opset))
    several = opset < 13 and axis in (None, 1, 2)
    rearranged = ["nn.rearrange", "nn.softmax", "nn.rearrange"]
    assert ops_of(imported) == (rearranged if several else ["nn.softmax"])


@pytest.mark.parametrize("opset", OPSETS)
def test_softmax_of_a_vector(build: Build, compare: Compare, opset: int) -> None:
    for shape in ((7,), (7, 1, 1), (1, 1, 7)):
        axis = 1 if opset < 13 else 1 + shape.index(7)
        nodes = [make_node("Softmax", ["x"], ["y"], axis=axis)]
        imported = compare(build(nodes, {"x": ("N", *shape)}, opset=opset))
        assert ops_of(imported) == ["nn.softmax"]
        assert imported.module.ops[0].attributes["axis"] == shape.index(7)


def test_a_model_of_moves_only_is_imported(build: Build) -> None:
    nodes = [
        make_node("Transpose", ["x"], ["t"], perm=[0, 2, 3, 1]),
        make_node("Transpose", ["t"], ["y"], perm=[0, 3, 1, 2]),
    ]
    assert ops_of(import_proto(build(nodes), "m")) == ["nn.rearrange", "nn.rearrange"]


@pytest.mark.parametrize("groups", [2, 3])
def test_shuffled_channels(build: Build, compare: Compare, groups: int) -> None:
    """Groups of channels change places with what is in them, by way of five axes."""
    constants = {
        "apart": np.array([0, groups, 6 // groups, 4, 5]),
        "again": np.array([0, 6, 4, 5]),
    }
    nodes = [
        make_node("Reshape", ["x", "apart"], ["a"]),
        make_node("Transpose", ["a"], ["t"], perm=[0, 2, 1, 3, 4]),
        make_node("Reshape", ["t", "again"], ["y"]),
    ]
    imported = compare(build(nodes, {"x": ("N", 6, 4, 5)}, constants))
    (op,) = imported.module.ops
    assert op.name == "nn.select"
    assert len(op.location.nodes) == 3


def test_more_axes_on_the_way(build: Build, compare: Compare) -> None:
    """What is a transposition of three dims after all is one."""
    constants = {"apart": np.array([0, 2, 3, 2, 2, 5]), "again": np.array([0, 20, 6])}
    nodes = [
        make_node("Reshape", ["x", "apart"], ["a"]),
        make_node("Transpose", ["a"], ["t"], perm=[0, 3, 4, 5, 1, 2]),
        make_node("Reshape", ["t", "again"], ["y"]),
    ]
    imported = compare(build(nodes, {"x": ("N", 6, 4, 5)}, constants))
    assert [op.name for op in imported.module.ops] == ["nn.rearrange"]
