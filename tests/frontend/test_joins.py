"""Concatenations, pads, slices and the like compute what onnxruntime does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx.helper import make_node

from epimc.frontend import ImportedModel, import_proto
from epimc.support.diagnostics import EpimcError
from tests.helpers.ports import shapes

Array = NDArray[Any]
Build = Callable[..., onnx.ModelProto]
Compare = Callable[[onnx.ModelProto], ImportedModel]


def ops_of(imported: ImportedModel) -> list[str]:
    """The names of the imported ops."""
    return [op.name.removeprefix("nn.") for op in imported.module.ops]


def integers(*numbers: int) -> Array:
    """Constant integers."""
    return np.array(numbers, np.int64)


@pytest.mark.parametrize("opset", [7, 13, 26])
@pytest.mark.parametrize(
    ("axis", "other", "result"),
    [
        (2, (3, 2, 8), (3, 20, 8)),
        (3, (3, 9, 1), (3, 9, 17)),
        (-1, (3, 9, 1), (3, 9, 17)),
        (-2, (3, 1, 8), (3, 19, 8)),
    ],
)
def test_concat_along_rows_and_columns(
    build: Build,
    compare: Compare,
    axis: int,
    other: tuple[int, ...],
    result: tuple[int, ...],
    opset: int,
) -> None:
    node = make_node("Concat", ["x", "b", "x"], ["y"], axis=axis)
    inputs = {"x": ("N", 3, 9, 8), "b": ("N", *other)}
    imported = compare(build([node], inputs, opset=opset))
    assert ops_of(imported) == ["concat"]
    assert shapes(imported.outputs) == [("y", result)]


@pytest.mark.parametrize("axis", [1, 2])
def test_concat_of_matrices(build: Build, compare: Compare, axis: int) -> None:
    compare(build([make_node("Concat", ["x", "x"], ["y"], axis=axis)], {"x": ("N", 4, 5)}))


@pytest.mark.parametrize("axis", [1, 2, 3])
def test_concat_with_constants(build: Build, compare: Compare, axis: int) -> None:
    constants = {"c": np.random.default_rng(0).standard_normal((1, 3, 9, 8)).astype(np.float32)}
    node = make_node("Concat", ["c", "x", "c"], ["y"], axis=axis)
    imported = compare(build([node], {"x": (1, 3, 9, 8)}, constants))
    assert ops_of(imported) == ["constant", "constant", "concat"]


def test_concat_of_a_vector_with_zeros(build: Build, compare: Compare) -> None:
    constants = {"z": np.zeros((1, 2), np.float32)}
    compare(build([make_node("Concat", ["z", "x"], ["y"], axis=-1)], {"x": (1, 3)}, constants))


@pytest.mark.parametrize("opset", [11, 13, 26])
@pytest.mark.parametrize("value", [1.5, -3.0])
@pytest.mark.parametrize("widths", [(0, 1, 2, 0, 0, 0, 1, 3), (0, 0, -2, 1, 0, 0, 1, -3)])
def test_pads_with_a_number(
    build: Build, compare: Compare, value: float, widths: tuple[int, ...], opset: int
) -> None:
    constants = {"p": integers(*widths), "v": np.array(value, np.float32)}
    compare(build([make_node("Pad", ["x", "p", "v"], ["y"])], constants=constants, opset=opset))


@pytest.mark.parametrize(
    ("mode", "opset"), [("reflect", 11), ("edge", 11), ("reflect", 26), ("edge", 26), ("wrap", 26)]
)
def test_pads_with_what_is_there(build: Build, compare: Compare, mode: str, opset: int) -> None:
    constants = {"p": integers(0, 1, 2, 0, 0, 0, 1, 3)}
    node = make_node("Pad", ["x", "p"], ["y"], mode=mode)
    assert ops_of(compare(build([node], constants=constants, opset=opset))) == ["select"]


def test_negative_pads_cut(build: Build, compare: Compare) -> None:
    constants = {"p": integers(0, -1, -2, 0, 0, 0, 0, -3)}
    imported = compare(build([make_node("Pad", ["x", "p"], ["y"])], constants=constants))
    assert ops_of(imported) == ["select"]
    assert shapes(imported.outputs) == [("y", (2, 7, 5))]


@pytest.mark.parametrize("value", [0.0, 2.0])
@pytest.mark.parametrize("shape", [(4,), (4, 5)])
def test_pads_of_vectors_and_matrices(
    build: Build, compare: Compare, shape: tuple[int, ...], value: float
) -> None:
    dims = len(shape)
    constants = {"p": integers(0, *[1] * dims, 0, *[2] * dims), "v": np.array(value, np.float32)}
    node = make_node("Pad", ["x", "p", "v"], ["y"])
    imported = compare(build([node], {"x": ("N", *shape)}, constants))
    assert shapes(imported.outputs) == [("y", tuple(size + 3 for size in shape))]


FAR = 2**62


@pytest.mark.parametrize(
    ("starts", "ends", "axes", "steps"),
    [
        ([1], [3], [1], None),
        ([1, -5], [FAR, -1], [2, 3], [2, 1]),
        ([-1], [-FAR], [-3], [-1]),
        ([6], [0], [2], [-2]),
        ([0, 0], [1, FAR], [0, 1], None),
        ([0, 1, 2], [1, 3, 4], None, None),
        ([-FAR, FAR], [5, -FAR], [2, 3], [2, -3]),
        ([-20], [-FAR], [2], [-1]),
    ],
)
@pytest.mark.parametrize("opset", [8, 10, 13, 26])
def test_slices(
    build: Build,
    compare: Compare,
    starts: list[int],
    ends: list[int],
    axes: list[int] | None,
    steps: list[int] | None,
    opset: int,
) -> None:
    bounds = {"starts": starts, "ends": ends, "axes": axes, "steps": steps}
    named: dict[str, Any] = {key: value for key, value in bounds.items() if value is not None}
    if opset < 10:
        if steps:
            pytest.skip("there were no steps")
        slicing, constants = make_node("Slice", ["x"], ["s"], **named), {}
    else:
        constants = {key: integers(*numbers) for key, numbers in named.items()}
        slicing = make_node("Slice", ["x", *(key if key in named else "" for key in bounds)], ["s"])
    nodes = [slicing, make_node("Relu", ["s"], ["y"])]
    compare(build(nodes, {"x": (1, 3, 9, 8)}, constants, opset=opset))


@pytest.mark.parametrize("opset", [8, 13, 18, 26])
@pytest.mark.parametrize(("axis", "sizes"), [(1, [1, 2]), (2, [4, 5]), (-1, None)])
def test_splits(
    build: Build, compare: Compare, axis: int, sizes: list[int] | None, opset: int
) -> None:
    attributes: dict[str, Any] = {"axis": axis}
    inputs, constants = ["x"], {}
    if sizes and opset < 13:
        attributes["split"] = sizes
    elif sizes:
        inputs, constants = ["x", "s"], {"s": integers(*sizes)}
    elif opset >= 18:
        attributes["num_outputs"] = 2
    nodes = [make_node("Split", inputs, ["a", "b"], **attributes), make_node("Relu", ["b"], ["y"])]
    imported = compare(build(nodes, constants=constants, outputs=["y", "a"], opset=opset))
    assert ops_of(imported) == ["select", "select", "relu"]
    assert imported.module.outputs[1][1].name == "a"


def test_a_split_into_uneven_parts_and_into_one(build: Build, compare: Compare) -> None:
    nodes = [
        make_node("Split", ["x"], ["a", "b"], axis=2, num_outputs=2),
        make_node("Split", ["b"], ["c"], axis=3, num_outputs=1),
        make_node("Relu", ["c"], ["y"]),
    ]
    imported = compare(build(nodes, opset=18))
    assert shapes(imported.outputs) == [("y", (3, 4, 8))]


@pytest.mark.parametrize("opset", [8, 13, 26])
@pytest.mark.parametrize(
    ("axis", "indices"), [(1, [2, 0, 0, 1]), (-1, [7, 6, 5, 0]), (2, [-1]), (3, 4), (1, 0)]
)
def test_gathers(build: Build, compare: Compare, axis: int, indices: Any, opset: int) -> None:
    nodes = [make_node("Gather", ["x", "i"], ["g"], axis=axis), make_node("Relu", ["g"], ["y"])]
    constants = {"i": np.array(indices)}
    if opset < 11:
        constants["i"] %= [0, 3, 9, 8][axis]
    compare(build(nodes, constants=constants, opset=opset))


@pytest.mark.parametrize("opset", [8, 13, 26])
def test_expansions_and_repetitions(build: Build, compare: Compare, opset: int) -> None:
    constants = {"shape": integers(1, 3, 4, 5), "times": integers(1, 2, 1, 3)}
    nodes = [
        make_node("Expand", ["x", "shape"], ["e"]),
        make_node("Tile", ["e", "times"], ["y"]),
    ]
    imported = compare(build(nodes, {"x": (1, 3, 1, 5)}, constants, opset=opset))
    assert ops_of(imported) == ["select", "select"]
    assert shapes(imported.outputs) == [("y", (6, 4, 15))]


@pytest.mark.parametrize(
    ("reason", "op_type", "constants", "attributes"),
    [
        (
            "a reflection of more than there is is not supported",
            "Pad", [integers(*[0] * 7, 8)], {"mode": "reflect"},
        ),
        (
            "negative pads with mode = edge are not supported",
            "Pad", [integers(0, 0, -1, *[0] * 5)], {"mode": "edge"},
        ),
        (
            "padding with inf is not supported",
            "Pad", [integers(*[0] * 7, 8), np.array(np.inf, np.float32)], {},
        ),
        (
            "padding with a value of shape [0] is not supported",
            "Pad", [integers(*[0] * 7, 8), np.ones(0, np.float32)], {},
        ),
        ("min of shape [0] is not supported", "Clip", [np.ones(0, np.float32)], {}),
        ("indices of [7] of 3 are not supported", "Gather", [integers(7)], {"axis": 1}),
        ("repeats = [2, 1, 1, 1] is not supported", "Tile", [integers(2, 1, 1, 1)], {}),
    ],
)  # fmt: skip
def test_what_is_not_supported(
    build: Build,
    compare: Compare,
    reason: str,
    op_type: str,
    constants: list[Array],
    attributes: dict[str, Any],
) -> None:
    named = {f"c{index}": array for index, array in enumerate(constants)}
    node = make_node(op_type, ["x", *named], ["y"], name="n", **attributes)
    with pytest.raises(EpimcError) as caught:
        compare(build([node], constants=named))
    assert f"node 'n' ({op_type}): {reason}." in str(caught.value)


def test_parts_that_nobody_reads_are_not_made(build: Build, compare: Compare) -> None:
    nodes = [make_node("Split", ["x", "s"], ["a", "b"], axis=1), make_node("Relu", ["b"], ["y"])]
    imported = compare(build(nodes, constants={"s": integers(1, 2)}))
    assert ops_of(imported) == ["select", "relu"]


def test_what_only_a_shape_is_read_of_is_not_made(build: Build, compare: Compare) -> None:
    nodes = [
        make_node("Conv", ["x", "w"], ["c"], strides=[2, 2]),
        make_node("Shape", ["c"], ["s"]),
        make_node("GlobalMaxPool", ["x"], ["g"]),
        make_node("Expand", ["g", "s"], ["y"]),
    ]
    constants = {"w": np.ones((3, 3, 1, 1), np.float32)}
    imported = compare(build(nodes, {"x": (1, 3, 9, 8)}, constants))
    assert ops_of(imported) == ["max_pool", "select"]
    assert not imported.module.tensors


@pytest.mark.parametrize(
    ("op_type", "constants"),
    [
        ("Pad", [integers(0, 0, -8, 0, 0, 0, -1, 0)]),
        ("Slice", [integers(2), integers(1), integers(1)]),
        ("Slice", [integers(0), integers(-20), integers(2)]),
    ],
)
def test_what_leaves_nothing_is_a_constant_of_nothing(
    build: Build, op_type: str, constants: list[Array]
) -> None:
    named = {f"c{index}": array for index, array in enumerate(constants)}
    model = build([make_node(op_type, ["x", *named], ["y"])], constants=named)
    imported = import_proto(model, "m")
    assert [op.name for op in imported.module.ops] == ["host.call", "host.result"]
    shape = imported.outputs[0].shape
    assert shape is not None
    assert 0 in shape
