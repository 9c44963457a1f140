"""Pads of -inf before MaxPools, which pad so themselves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx.helper import make_node

from epimc.frontend import ImportedModel, import_proto

Build = Callable[..., onnx.ModelProto]
Compare = Callable[[onnx.ModelProto], ImportedModel]


def padded(
    build: Build,
    reader: onnx.NodeProto,
    pads: Sequence[int] = (0, 0, 0, 1, 0, 0, 1, 1),
    number: float = -np.inf,
    shape: tuple[int, ...] = (3, 9, 8),
) -> onnx.ModelProto:
    """A model of a Pad and of what reads it."""
    constants = {"p": np.array(pads), "v": np.array(number, np.float32)}
    pad = make_node("Pad", ["x", *constants], ["q"], "pad")
    return build([pad, reader], {"x": ("N", *shape)}, constants)


def maximum(**attributes: Any) -> onnx.NodeProto:
    """A MaxPool of what is padded."""
    return make_node("MaxPool", ["q"], ["y"], "pool", **attributes)


@pytest.mark.parametrize("number", [-np.inf, -65504.0, float(np.finfo(np.float32).min)])
@pytest.mark.parametrize(
    ("attributes", "pads"),
    [
        ({}, (0, 1, 1, 1)),
        ({"pads": [1, 0, 1, 0]}, (1, 1, 2, 1)),
        ({"strides": [2, 2], "ceil_mode": 1}, (0, 1, 2, 2)),
        ({"strides": [2, 2], "auto_pad": "SAME_UPPER"}, (0, 1, 2, 2)),
        ({"dilations": [2, 1]}, (0, 1, 1, 1)),
    ],
)
def test_a_maximum_pads_so_itself(
    build: Build, compare: Compare, attributes: dict[str, Any], pads: object, number: float
) -> None:
    pool = maximum(kernel_shape=[3, 3], **attributes)
    (op,) = compare(padded(build, pool, number=number)).module.ops
    assert op.attributes["pads"] == pads
    assert op.location.nodes == (("Pad", "pad"), ("MaxPool", "pool"))


def test_over_one_axis(build: Build, compare: Compare) -> None:
    pool = maximum(kernel_shape=[3], strides=[2])
    imported = compare(padded(build, pool, (0, 0, 1, 0, 0, 2), shape=(3, 10)))
    assert [op.name for op in imported.module.ops] == [
        "nn.rearrange", "nn.max_pool", "nn.rearrange",
    ]  # fmt: skip


OTHERS: list[tuple[str, dict[str, Any]]] = [
    ("Relu", {}),
    ("Flatten", {}),
    ("AveragePool", {"kernel_shape": [3, 3]}),
    ("Transpose", {"perm": [0, 2, 3, 1]}),
]


@pytest.mark.parametrize(
    ("reader", "pads", "reason"),
    [
        (
            maximum(kernel_shape=[3, 2]),
            (0, 0, 0, 3, 0, 0, 1, 1),
            "node 'pool' (MaxPool): a pad as large as the window would make a window of nothing "
            "but padding",
        ),
        (
            maximum(kernel_shape=[1, 1]),
            (0, 1, 0, 0, 0, 0, 0, 0),
            "node 'pad' (Pad): padding with -inf is supported around maps only",
        ),
        (
            maximum(kernel_shape=[1, 1]),
            (0, 0, -1, 0, 0, 0, 0, 0),
            "node 'pad' (Pad): padding with -inf is supported around maps only",
        ),
        *(
            (
                make_node(kind, ["q"], ["y"], "reader", **attributes),
                (0, 0, 0, 1, 0, 0, 1, 1),
                f"node 'reader' ({kind}): its input 'q' is padded with -inf, which only MaxPool "
                "takes",
            )
            for kind, attributes in OTHERS
        ),
    ],
)
def test_what_else_it_is_not_for(
    build: Build, reader: onnx.NodeProto, pads: Sequence[int], reason: str
) -> None:
    nodes = import_proto(padded(build, reader, pads), "model").nodes
    reasons = [f"node '{node.name}' ({node.op}): {node.reason}" for node in nodes if node.reason]
    assert reason in reasons


@pytest.mark.parametrize("opset", [10, 13])
def test_the_host_pads_itself_what_it_reads(build: Build, opset: int) -> None:
    """Behind a convolution; the maximum beside it costs fewer bytes there."""
    number = np.array(-np.inf, np.float32)
    pads = {"pads": [0, 0, 1, 0, 0, 0, 0, 2]}
    constants: dict[str, Any] = {"w": np.ones((2, 3, 1, 1), np.float32)}
    if opset > 10:
        constants |= {"p": np.array(pads["pads"]), "v": number}
    stated: dict[str, Any] = {**pads, "value": -np.inf} if opset == 10 else {}
    names = ["c"] if opset == 10 else ["c", "p", "v"]
    nodes = [
        make_node("Conv", ["x", "w"], ["c"]),
        make_node("Pad", names, ["q"], **stated),
        make_node("MaxPool", ["q"], ["m"], kernel_shape=[3, 3]),
        make_node("Transpose", ["q"], ["y"], perm=[0, 2, 3, 1]),
    ]
    model = build(nodes, {"x": (1, 3, 4, 5)}, constants, ("y", "m"), opset=opset)
    module = import_proto(model, "model").module
    (call,) = [op for op in module.ops if op.name == "host.call"]
    assert "nn.max_pool" not in [op.name for op in module.ops]
    fragment = module.tensor(call.attributes["fragment"]).tobytes()
    session = onnxruntime.InferenceSession(fragment, providers=["CPUExecutionProvider"])
    x = np.random.default_rng(0).standard_normal((2, 4, 5)).astype(np.float32)
    (entry,) = session.get_inputs()
    (result,) = session.run(["y"], {entry.name: x[None]})
    padded_x = np.pad(x, ((0, 0), (1, 0), (0, 2)), constant_values=-np.inf)
    np.testing.assert_array_equal(result, padded_x.transpose(1, 2, 0)[None])
