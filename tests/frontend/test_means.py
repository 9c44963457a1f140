"""Pools whose windows are clipped, and reductions, compute what onnxruntime does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx.helper import make_node

import epimc
from epimc.frontend import ImportedModel, import_proto
from epimc.support.diagnostics import EpimcError
from epimc.verification.measures import Loss

Build = Callable[..., onnx.ModelProto]
Compare = Callable[[onnx.ModelProto], ImportedModel]


PADS = [[0, 0, 0, 0], [1, 1, 1, 1], [0, 1, 1, 0], [2, 0, 1, 2]]


@pytest.mark.parametrize("opset", [7, 10, 13, 18, 26])
@pytest.mark.parametrize("pads", PADS)
@pytest.mark.parametrize("counts", [0, 1])
@pytest.mark.parametrize("strides", [[1, 1], [2, 3]])
def test_means_of_clipped_windows(
    build: Build, compare: Compare, pads: list[int], counts: int, strides: list[int], opset: int
) -> None:
    attributes: dict[str, Any] = {"kernel_shape": [3, 3], "pads": pads, "strides": strides}
    node = make_node("AveragePool", ["x"], ["y"], count_include_pad=counts, **attributes)
    (op,) = compare(build([node], opset=opset)).module.ops
    assert (op.attributes["counted"] is None) == (counts == 1 or not any(pads))


@pytest.mark.parametrize("opset", [10, 13, 26])
@pytest.mark.parametrize("pads", PADS)
@pytest.mark.parametrize("counts", [0, 1])
@pytest.mark.parametrize("strides", [[2, 3], [3, 2]])
def test_means_that_are_rounded_up(
    build: Build, compare: Compare, pads: list[int], counts: int, strides: list[int], opset: int
) -> None:
    attributes: dict[str, Any] = {"kernel_shape": [3, 3], "pads": pads, "strides": strides}
    node = make_node(
        "AveragePool", ["x"], ["y"], count_include_pad=counts, ceil_mode=1, **attributes
    )
    compare(build([node], opset=opset))


@pytest.mark.parametrize("counts", [0, 1])
@pytest.mark.parametrize("mode", ["SAME_UPPER", "SAME_LOWER", "VALID"])
@pytest.mark.parametrize("opset", [7, 13, 26])
def test_automatic_padding(
    build: Build, compare: Compare, mode: str, counts: int, opset: int
) -> None:
    attributes: dict[str, Any] = {"kernel_shape": [3, 2], "strides": [2, 2], "auto_pad": mode}
    nodes = [
        make_node("AveragePool", ["x"], ["a"], count_include_pad=counts, **attributes),
        make_node("MaxPool", ["a"], ["y"], **attributes),
    ]
    compare(build(nodes, opset=opset))


def test_dilated_means(build: Build, compare: Compare) -> None:
    attributes: dict[str, Any] = {"kernel_shape": [3, 2], "dilations": [2, 3], "pads": [2, 1, 1, 1]}
    compare(build([make_node("AveragePool", ["x"], ["y"], **attributes)], opset=26))


@pytest.mark.parametrize(
    ("reason", "attributes"),
    [
        (
            "the counts of the windows have too large a common multiple",
            {"kernel_shape": [45, 1], "pads": [44, 0, 44, 0]},
        ),
        (
            "a window of nothing but padding has no mean",
            {"kernel_shape": [2, 1], "dilations": [50, 1], "pads": [30, 0, 30, 0]},
        ),
    ],
)
def test_means_that_there_are_not(
    build: Build, compare: Compare, reason: str, attributes: dict[str, Any]
) -> None:
    node = make_node("AveragePool", ["x"], ["y"], name="n", **attributes)
    with pytest.raises(EpimcError, match=rf"node 'n' \(AveragePool\): {reason}\."):
        compare(build([node], {"x": ("N", 1, 45, 1)}, opset=26))


@pytest.mark.parametrize("opset", [11, 13, 18, 26])
@pytest.mark.parametrize("op_type", ["ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin"])
@pytest.mark.parametrize("keeps", [0, 1])
@pytest.mark.parametrize("axes", [[1], [2], [3], [1, 2], [1, -1], [2, 3], [3, 2, 1]])
def test_reductions(
    build: Build, compare: Compare, op_type: str, keeps: int, axes: list[int], opset: int
) -> None:
    if not keeps and len(axes) == 3:
        pytest.skip("nothing is left")
    as_input = opset >= (13 if op_type == "ReduceSum" else 18)
    constants = {"a": np.array(axes)} if as_input else {}
    attributes: dict[str, Any] = {} if as_input else {"axes": axes}
    node = make_node(op_type, ["x", *constants], ["y"], keepdims=keeps, **attributes)
    imported = compare(build([node], constants=constants, opset=opset))
    assert imported.module.outputs[0][1].name == "y"


@pytest.mark.parametrize("op_type", ["ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin"])
@pytest.mark.parametrize(("axes", "keeps"), [([1], 1), ([1], 0), ([2], 1), ([2], 0), ([1, 2], 1)])
def test_reductions_of_matrices(
    build: Build, compare: Compare, op_type: str, axes: list[int], keeps: int
) -> None:
    node = make_node(op_type, ["x", "a"], ["y"], keepdims=keeps)
    compare(build([node], {"x": ("N", 4, 5)}, {"a": np.array(axes)}, opset=18))


@pytest.mark.parametrize("op_type", ["ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin"])
def test_reductions_of_vectors(build: Build, compare: Compare, op_type: str) -> None:
    node = make_node(op_type, ["x", "a"], ["y"], keepdims=1)
    compare(build([node], {"x": ("N", 5)}, {"a": np.array([-1])}, opset=18))


WITH_TABLES = ["ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceSumSquare"]
REDUCTIONS = ["ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", *WITH_TABLES]


@pytest.mark.parametrize("op_type", WITH_TABLES)
@pytest.mark.parametrize("keeps", [0, 1])
@pytest.mark.parametrize("axes", [[1], [-1], [1, 2], [2, 3]])
def test_reductions_with_tables(
    build: Build, compare: Compare, op_type: str, keeps: int, axes: list[int]
) -> None:
    # Of numbers that have logarithms.
    nodes = [
        make_node("Softplus", ["x"], ["p"]),
        make_node(op_type, ["p", "a"], ["y"], keepdims=keeps),
    ]
    compare(build(nodes, constants={"a": np.array(axes)}, opset=18))


@pytest.mark.parametrize("op_type", REDUCTIONS)
@pytest.mark.parametrize("keeps", [0, 1])
@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        # All that there is, also without any axis of samples.
        ((4, 3, 5), None),
        ((6,), [0]),
        # The axis that would be the samples'.
        ((4, 3, 5), [0]),
        ((4, 3, 5), [0, -1]),
        # More axes than a value has.
        ((2, 3, 4, 5), [1]),
        ((2, 3, 2, 4, 3), [-1, 1]),
        # More elements than a window has rows.
        ((3, 5000), [1]),
        ((1, 4, 64, 32), None),
    ],
)
def test_reductions_of_any_tensor(
    build: Build, op_type: str, keeps: int, shape: tuple[int, ...], axes: list[int] | None
) -> None:
    x = np.random.default_rng(0).random(shape, np.float32) + np.float32(0.1)
    constants = {} if axes is None else {"a": np.array(axes)}
    node = make_node(op_type, ["x", *constants], ["y"], keepdims=keeps)
    model = build([node], {"x": shape}, constants, opset=18)
    prepared = epimc.backend.prepare(model)
    (y,) = prepared.run([x])
    assert prepared.session.bundle.manifest.on_chip.nodes_on_chip == 1
    assert epimc.verify(prepared.session).exact
    (expected,) = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": x})
    assert y.shape == expected.shape
    loss = Loss()
    loss.add(np.atleast_1d(y), np.atleast_1d(expected))
    assert loss.noise == 0 or (loss.sqnr_db or 0) > 30


def test_a_reduction_of_nothing_with_a_table(build: Build) -> None:
    node = make_node("ReduceL1", ["x", "a"], ["y"], noop_with_empty_axes=1)
    imported = import_proto(build([node], constants={"a": np.zeros(0, np.int64)}, opset=18), "net")
    assert [each.reason for each in imported.nodes] == ["a reduction over no axes is not supported"]


@pytest.mark.parametrize(("shape", "elements"), [((1, 4099), 4099), ((1, 4, 2048, 1024), 2**23)])
def test_reductions_that_are_too_large(build: Build, shape: tuple[int, ...], elements: int) -> None:
    node = make_node("ReduceMax", ["x"], ["y"])
    (only,) = import_proto(build([node], {"x": shape}, opset=18), "net").nodes
    assert only.reason == f"a reduction over {elements} elements is not supported"


@pytest.mark.parametrize("op_type", ["GlobalMaxPool", "GlobalAveragePool"])
def test_a_window_that_is_too_large_is_the_hosts(build: Build, op_type: str) -> None:
    model = build([make_node(op_type, ["x"], ["y"])], {"x": ("N", 2, 5000)})
    (only,) = import_proto(model, "net").nodes
    assert only.reason == "a window of 5000 is more than 4096"
    (y,) = epimc.backend.prepare(model).run(np.ones((1, 2, 5000), np.float32))
    assert y.tolist() == [[[1], [1]]]
