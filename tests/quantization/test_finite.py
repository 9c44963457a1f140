"""Samples beyond the domain of a function: its table has 0 there, and so its range."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import helper

import epimc
from epimc.runtime.finite import finite


@pytest.mark.parametrize(
    ("results", "expected"),
    [
        ([1.0, 2.0], [1.0, 2.0]),
        ([np.nan, -1.0, 2.0], [0.0, -1.0, 2.0]),
        ([-np.inf, -1.0, np.inf, 2.0], [-1.0, -1.0, 2.0, 2.0]),
        ([np.nan, np.inf], [0.0, 0.0]),
        ([], []),
    ],
)
def test_what_is_not_finite(results: list[float], expected: list[float]) -> None:
    assert finite(np.array(results)).tolist() == expected


@pytest.mark.parametrize("op_type", ["Log", "Sqrt", "Acosh"])
def test_drawn_samples_leave_the_domain(op_type: str, tmp_path: Path) -> None:
    nodes = [
        helper.make_node(op_type, ["x"], ["f"]),
        helper.make_node("Relu", ["f"], ["r"]),
        helper.make_node("Add", ["r", "x"], ["y"]),
    ]
    x = helper.make_tensor_value_info("x", 1, ["N", 5])
    y = helper.make_tensor_value_info("y", 1, ["N", 5])
    graph = helper.make_graph(nodes, "graph", [x], [y])
    opsets = [helper.make_opsetid("", 13)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    session = epimc.compile(model, tmp_path / "out")
    inside = np.linspace(1.0, 2.0, 20, dtype=np.float32).reshape(4, 5)
    result = epimc.verify(session, inside)
    assert result.exact
    (output,) = result.outputs
    assert output.sqnr_db is not None
    assert output.sqnr_db > 25
