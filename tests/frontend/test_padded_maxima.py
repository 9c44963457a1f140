"""Pads of -inf before MaxPools, which pad so themselves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
import pytest
from onnx.helper import make_node

from epimc.frontend import ImportedModel
from epimc.support.diagnostics import EpimcError

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
    build: Build, compare: Compare, reader: onnx.NodeProto, pads: Sequence[int], reason: str
) -> None:
    with pytest.raises(EpimcError) as raised:
        compare(padded(build, reader, pads))
    assert reason in str(raised.value)
