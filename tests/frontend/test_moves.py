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

from epimc.frontend import ImportedModel
from tests.helpers.ports import shapes
from tests.helpers.strict import import_strictly

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
    assert shapes(imported.outputs) == [("y", (3, 4))]


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
    assert shapes(imported.outputs) == [("y", expected)]


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
    assert shapes(imported.inputs) == [("x", shape)]


def test_a_model_of_moves_only_is_imported(build: Build) -> None:
    nodes = [
        make_node("Transpose", ["x"], ["t"], perm=[0, 2, 3, 1]),
        make_node("Transpose", ["t"], ["y"], perm=[0, 3, 1, 2]),
    ]
    assert ops_of(import_strictly(build(nodes), "m")) == ["nn.rearrange", "nn.rearrange"]


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


# --- a batch of 1 is an axis like others ---------------------------------------------------------

BATCHES: list[Any] = [1, "N"]


def shuffle(groups: int, channels: int) -> tuple[list[onnx.NodeProto], dict[str, Any]]:
    """Channels of groups exchanged by way of three axes, the first of them no batch."""
    nodes = [
        make_node("Reshape", ["x", "apart"], ["a"]),
        make_node("Transpose", ["a"], ["t"], perm=[1, 0, 2]),
    ]
    return nodes, {"apart": np.array([channels // groups, groups, -1])}


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("groups", [2, 4])
def test_channels_shuffled_with_a_batch_folded_in(
    build: Build, compare: Compare, batch: Any, groups: int
) -> None:
    nodes, constants = shuffle(groups, 8)
    constants["again"] = np.array([1, 8, 6, 5])
    nodes.append(make_node("Reshape", ["t", "again"], ["y"]))
    imported = compare(build(nodes, {"x": (batch, 8, 6, 5)}, constants))
    (op,) = imported.module.ops
    assert (op.name, len(op.location.nodes)) == ("nn.select", 3)


@pytest.mark.parametrize("batch", BATCHES)
def test_halves_of_shuffled_channels(build: Build, compare: Compare, batch: Any) -> None:
    """As ShuffleNet has them: each half is some channels of the map."""
    nodes, constants = shuffle(2, 8)
    constants |= {"halves": np.array([2, -1, 4, 6, 5]), "k": np.array(0), "l": np.array(-1)}
    nodes += [
        make_node("Reshape", ["t", "halves"], ["h"]),
        make_node("Gather", ["h", "k"], ["first"], axis=0),
        make_node("Gather", ["h", "l"], ["second"], axis=0),
        make_node("Sub", ["second", "first"], ["y"]),
    ]
    imported = compare(build(nodes, {"x": (batch, 8, 6, 5)}, constants))
    assert ops_of(imported) == ["nn.select", "nn.select", "nn.sub"]


@pytest.mark.parametrize(
    "node",
    [
        make_node("Split", ["h"], ["a", "b"], axis=0),
        make_node("Split", ["h"], ["a", "b"], axis=1),
        make_node("Split", ["h"], ["a", "b"], axis=2),
        make_node("Slice", ["h", "starts", "ends", "axes", "steps"], ["a"]),
        make_node("Gather", ["h", "pair"], ["a"], axis=0),
        make_node("Gather", ["h", "several"], ["a"], axis=2),
        make_node("Gather", ["h", "several"], ["a"], axis=1),
        make_node("Transpose", ["h"], ["a"]),
        make_node("Flatten", ["h"], ["a"], axis=2),
    ],
    ids=lambda node: f"{node.op_type}-{node.attribute[0].i if node.attribute else ''}",
)
def test_what_is_taken_of_a_batch_folded_in(
    build: Build, compare: Compare, node: onnx.NodeProto
) -> None:
    constants = {
        "apart": np.array([4, 2, 30]),
        "starts": np.array([3, 1]),
        "ends": np.array([-9, 99]),
        "axes": np.array([0, 2]),
        "steps": np.array([-2, 3]),
        "pair": np.array([3, 1]),
        "several": np.array([[1, 0, 1], [0, 0, 1]]),
        "flat": np.array([1, -1]),
    }
    nodes = [
        make_node("Reshape", ["x", "apart"], ["h"]),
        node,
        make_node("Reshape", ["a", "flat"], ["y"]),
    ]
    compare(build(nodes, {"x": (1, 8, 6, 5)}, constants))


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
def test_concatenations_of_tensors_without_samples(
    build: Build, compare: Compare, axis: int
) -> None:
    nodes = [
        make_node("Reshape", ["x", "apart"], ["h"]),
        make_node("Transpose", ["h"], ["t"], perm=[1, 0, 2]),
        make_node("Relu", ["t"], ["r"]),
        make_node("Concat", ["t", "r", "t"], ["c"], axis=axis),
        make_node("Reshape", ["c", "flat"], ["y"]),
    ]
    constants = {"apart": np.array([4, 2, 30]), "flat": np.array([1, -1])}
    compare(build(nodes, {"x": (1, 8, 6, 5)}, constants))


def test_values_stacked(build: Build, compare: Compare) -> None:
    """Along an axis of their own, with several samples at a time."""
    nodes = [
        make_node("Relu", ["x"], ["r"]),
        make_node("Unsqueeze", ["x", "axes"], ["a"]),
        make_node("Unsqueeze", ["r", "axes"], ["b"]),
        make_node("Concat", ["a", "b"], ["c"], axis=2),
        make_node("Reshape", ["c", "again"], ["y"]),
    ]
    constants = {"axes": np.array([2]), "again": np.array([2, 12, 4, 5])}
    imported = compare(build(nodes, {"x": (2, 6, 4, 5)}, constants))
    assert "concat" in " ".join(ops_of(imported))


def test_one_element_of_a_vector(build: Build, compare: Compare) -> None:
    nodes = [
        make_node("Gather", ["x", "k"], ["g"], axis=1),
        make_node("Unsqueeze", ["g", "axes"], ["y"]),
    ]
    constants = {"k": np.array(-2), "axes": np.array([1])}
    imported = compare(build(nodes, {"x": ("N", 7)}, constants))
    assert (ops_of(imported), shapes(imported.outputs)) == (["nn.select"], [("y", (1,))])


def test_axes_in_an_order_that_takes_two_steps(build: Build, compare: Compare) -> None:
    """Anchors, as detectors have them: [N, A * K, H, W] becomes [N, A * H * W, K]."""
    constants = {"apart": np.array([0, 3, 4, 5, 6]), "again": np.array([0, -1, 4])}
    nodes = [
        make_node("Reshape", ["x", "apart"], ["a"]),
        make_node("Transpose", ["a"], ["t"], perm=[0, 1, 3, 4, 2]),
        make_node("Reshape", ["t", "again"], ["y"]),
    ]
    imported = compare(build(nodes, {"x": ("N", 12, 5, 6)}, constants))
    assert ops_of(imported) == ["nn.rearrange", "nn.rearrange"]


@st.composite
def views(draw: st.DrawFn) -> tuple[list[onnx.NodeProto], dict[str, Any]]:
    """A chain of cuts, permutations and choices of a map [12, 6, 4], the batch an axis like others.

    It ends flat.
    """
    nodes: list[onnx.NodeProto] = []
    constants: dict[str, Any] = {}
    name = "x"
    shape: tuple[int, ...] = (1, 12, 6, 4)
    for k in range(draw(st.integers(1, 6))):
        kind = draw(st.sampled_from(["cut", "turn", "slice", "gather", "one"]))
        axis = draw(st.integers(0, len(shape) - 1))
        size = shape[axis]
        if kind == "cut":
            parts = [n for n in (2, 3, 4, 6) if size % n == 0]
            inner = draw(st.sampled_from([1, *parts]))
            shape = (*shape[:axis], size // inner, inner, *shape[axis + 1 :])
            if len(shape) > 6 or draw(st.booleans()):
                place = draw(st.integers(0, len(shape) - 2))
                together = shape[place] * shape[place + 1]
                shape = (*shape[:place], together, *shape[place + 2 :])
            constants[f"c{k}"] = np.array(shape)
            node = make_node("Reshape", [name, f"c{k}"], [f"t{k}"])
        elif kind == "turn":
            perm = draw(st.permutations(range(len(shape))))
            shape = tuple(shape[axis] for axis in perm)
            node = make_node("Transpose", [name], [f"t{k}"], perm=perm)
        elif kind == "slice":
            step = draw(st.sampled_from([1, 2, -1]))
            ends = (0, size) if step > 0 else (-1, -size - 1)
            numbers = [*ends, axis, step]
            constants |= {f"c{k}{n}": np.array([number]) for n, number in enumerate(numbers)}
            shape = (*shape[:axis], -(-size // abs(step)), *shape[axis + 1 :])
            node = make_node("Slice", [name, *(f"c{k}{n}" for n in range(4))], [f"t{k}"])
        else:
            count = draw(st.integers(1, 3))
            numbers = draw(st.lists(st.integers(-size, size - 1), min_size=count, max_size=count))
            one = kind == "one" and len(shape) > 1
            constants[f"c{k}"] = np.array(numbers[0] if one else numbers)
            shape = (*shape[:axis], *(() if one else (count,)), *shape[axis + 1 :])
            node = make_node("Gather", [name, f"c{k}"], [f"t{k}"], axis=axis)
        nodes.append(node)
        name = f"t{k}"
    constants["flat"] = np.array([1, -1])
    last = [make_node("Reshape", [name, "flat"], ["f"]), make_node("Relu", ["f"], ["y"])]
    return [*nodes, *last], constants


@settings(
    deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(views())
def test_random_views(
    build: Build, compare: Compare, case: tuple[list[onnx.NodeProto], dict[str, Any]]
) -> None:
    nodes, constants = case
    compare(build(nodes, {"x": (1, 12, 6, 4)}, constants))


@pytest.mark.parametrize(
    "node",
    [
        make_node("Transpose", ["x"], ["y"], perm=[1, 0, 2, 3]),
        make_node("Transpose", ["x"], ["y"]),
        make_node("Flatten", ["x"], ["y"], axis=2),
        make_node("Gather", ["x", "k"], ["y"]),
        make_node("Split", ["x"], ["y", "z"]),
        make_node("Slice", ["x", "k", "l"], ["y"]),
    ],
    ids=lambda node: f"{node.op_type}{len(node.attribute)}",
)
def test_what_moves_samples_has_all_of_them_as_one(
    build: Build, compare_whole: Compare, node: onnx.NodeProto
) -> None:
    constants = {"k": np.array([0]), "l": np.array([1])}
    outputs = [*node.output]
    compare_whole(build([node], {"x": (2, 3, 9, 8)}, constants, outputs))
