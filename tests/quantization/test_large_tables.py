"""Functions of activations that are too wide for a table on the chip run on the host."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

import epimc
from epimc.support.diagnostics import EpimcError
from tests.crossbars import program_in

WEIGHTS = np.random.default_rng(3).standard_normal((3, 3, 1, 1)).astype(np.float32)


def model() -> onnx.ModelProto:
    """Layers with x * sigmoid(x) and tanh between them."""
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], "a"),
        helper.make_node("Sigmoid", ["a"], ["s"], "s"),
        helper.make_node("Mul", ["a", "s"], ["b"], "b"),
        helper.make_node("Conv", ["b", "w"], ["c"], "c"),
        helper.make_node("Tanh", ["c"], ["y"], "y"),
    ]
    shape: list[str | int | None] = ["N", 3, 4, 4]
    borders = [helper.make_tensor_value_info(name, 1, shape) for name in "xy"]
    graph = helper.make_graph(
        nodes, "m", borders[:1], borders[1:], [numpy_helper.from_array(WEIGHTS, "w")]
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.parametrize(("bits", "hosted"), [(12, []), (13, ["Sigmoid", "Mul", "Tanh"])])
def test_functions_above_12_bits_run_on_the_host(
    tmp_path: Path, bits: int, hosted: list[str]
) -> None:
    x = np.random.default_rng(5).standard_normal((4, 3, 4, 4)).astype(np.float32)
    session = epimc.compile(model(), tmp_path / "out", calibration=x, activation_bits=bits)
    calls = [each.nodes for each in program_in(session.bundle).maps if each.is_token]
    assert sorted(kind for nodes in calls for kind, _ in nodes) == sorted(hosted)
    result = epimc.verify(session, x)
    assert result.exact
    assert (result.outputs[0].sqnr_db or 0) > 30


def test_strictly_that_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(EpimcError) as caught:
        epimc.compile(model(), tmp_path / "out", activation_bits=16, strict=True)
    assert str(caught.value) == (
        "error: The host would run 3 nodes, which --strict forbids.\n"
        "  note: Sigmoid, Mul, Tanh: 3 nodes, first 's': a table of a function takes "
        "activations of at most 12 bits.\n"
        "  hint: Compile without --strict, or end the model before these operators."
    )
