"""A pair of QuantizeLinear and DequantizeLinear states a range; the host has all else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx.helper import make_node

from epimc.frontend import ImportedModel, import_proto
from epimc.ir.dialects import elementwise
from epimc.ir.interpreter import interpret

Build = Callable[..., onnx.ModelProto]

SCALE = 0.25
ZEROS = [np.array(-20, np.int8), np.array(3, np.uint8), np.array(-300, np.int16), None]


def pair(
    zero: np.ndarray[Any, Any] | None, scale: Any = SCALE, other: Any = None, **attributes: Any
) -> tuple[list[onnx.NodeProto], dict[str, Any]]:
    """Relu, the pair, Neg; and the constants of the pair."""
    constants = {"s": np.array(scale, np.float32), "t": np.array(other or scale, np.float32)}
    zeros = [] if zero is None else ["z"]
    if zero is not None:
        constants["z"] = zero
    nodes = [
        make_node("Relu", ["x"], ["a"], "relu"),
        make_node("QuantizeLinear", ["a", "s", *zeros], ["q"], "quantize", **attributes),
        make_node("DequantizeLinear", ["q", "t", *zeros], ["d"], "dequantize", **attributes),
        make_node("Neg", ["d"], ["y"], "neg"),
    ]
    return nodes, constants


def reasons(imported: ImportedModel) -> dict[str, str]:
    """Why each node of the host is there."""
    return {node.name: node.reason for node in imported.nodes if not node.on_chip}


@pytest.mark.parametrize("zero", ZEROS, ids=str)
@pytest.mark.parametrize("shape", [("N", 3, 4, 5), ("N", 2, 3, 4, 5)])
def test_a_pair_clips(build: Build, zero: Any, shape: tuple[Any, ...]) -> None:
    nodes, constants = pair(zero)
    opset = 26 if zero is not None and zero.dtype == np.int16 else 13
    model = build(nodes, {"x": shape}, constants, opset=opset)
    imported = import_proto(model, "m")
    if len(shape) < 5:
        assert not reasons(imported)
    (clip,) = (op for op in imported.module.ops if isinstance(op, elementwise.Clip))
    kind = np.uint8 if zero is None else zero.dtype
    limits, number = np.iinfo(kind), 0 if zero is None else int(zero)
    assert (clip.low, clip.high) == (
        SCALE * (limits.min - number),
        SCALE * (limits.max - number),
    )
    x = np.random.default_rng(0).normal(0, 40, (2, *shape[1:])).astype(np.float32)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    (theirs,) = session.run(None, {"x": x})
    if len(shape) < 5:
        ours = interpret(imported.module, {"x": x})["y"]
        # They round, and we do not yet.
        np.testing.assert_allclose(ours, theirs, atol=SCALE / 2 + 1e-5)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"other": 0.5}, "another scale or zero point than that of QuantizeLinear"),
        ({"scale": [0.25] * 3, "axis": 1}, "only one scale for the whole tensor is supported"),
        ({"scale": -1.0}, "a scale of -1 is not supported"),
    ],
)
def test_other_pairs_are_the_hosts(build: Build, changes: dict[str, Any], reason: str) -> None:
    zero = np.zeros(3, np.uint8) if "axis" in changes else np.array(0, np.uint8)
    nodes, constants = pair(zero, **changes)
    known = reasons(import_proto(build(nodes, {"x": ("N", 3, 4, 5)}, constants), "m"))
    assert reason in known.values()
    assert known.keys() >= {"quantize", "dequantize"}


def test_integers_that_others_read_are_the_hosts(build: Build) -> None:
    nodes, constants = pair(np.array(0, np.uint8))
    model = build(nodes, {"x": ("N", 3, 4, 5)}, constants, ["y", "q"])
    assert {"quantize", "dequantize"} <= reasons(import_proto(model, "m")).keys()
