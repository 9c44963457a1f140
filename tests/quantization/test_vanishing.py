"""Outputs joined from parts of very different sizes: no part of them vanishes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

import epimc
from epimc.support.diagnostics import EpimcError


def model(ratio: float, behind: str = "") -> onnx.ModelProto:
    """Two convolutions of one input, joined; the second one's results are smaller."""
    random = np.random.default_rng(0)
    a = random.standard_normal((4, 3, 1, 1)).astype(np.float32)
    b = (random.standard_normal((4, 3, 1, 1)) / ratio).astype(np.float32)
    nodes = [
        helper.make_node("Conv", ["x", "a"], ["p"], "large"),
        helper.make_node("Conv", ["x", "b"], ["q"], "small"),
        helper.make_node("Concat", ["p", "q"], ["j" if behind else "y"], "join", axis=1),
    ]
    if behind == "Transpose":
        nodes.append(helper.make_node("Transpose", ["j"], ["y"], "move", perm=[0, 2, 3, 1]))
    elif behind:
        nodes.append(helper.make_node(behind, ["j"], ["y"], "move"))
    inputs = [helper.make_tensor_value_info("x", 1, ["N", 3, 5, 5])]
    outputs = [helper.make_tensor_value_info("y", 1, None)]
    stored = [numpy_helper.from_array(a, "a"), numpy_helper.from_array(b, "b")]
    graph = helper.make_graph(nodes, "joined", inputs, outputs, stored)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def samples() -> np.ndarray:
    """Standard normal ones."""
    return np.random.default_rng(1).standard_normal((8, 3, 5, 5)).astype(np.float32)


@pytest.mark.parametrize("behind", ["", "Transpose"])
@pytest.mark.parametrize("ratio", [200.0, 1e4])
def test_each_part_of_an_output_keeps_its_scale(ratio: float, behind: str, tmp_path: Path) -> None:
    session = epimc.compile(model(ratio, behind), tmp_path / "out", calibration=samples())
    assert [call.nodes[0] for call in session.bundle.program.host_calls] == [("Concat", "join")]
    assert epimc.verify(session, samples()).exact
    (y,) = session.run(None, {"x": samples()})
    y = np.moveaxis(y, -1, 1) if behind else y
    weights = model(ratio).graph.initializer
    for k, part in enumerate((y[:, :4], y[:, 4:])):
        filters = numpy_helper.to_array(weights[k])[:, :, 0, 0]
        true = np.einsum("oi,nihw->nohw", filters, samples())
        assert ((part - true) ** 2).sum() < 1e-3 * (true**2).sum()


@pytest.mark.parametrize(("ratio", "behind"), [(20.0, ""), (1e4, "Relu")])
def test_what_stays_on_the_chip(ratio: float, behind: str, tmp_path: Path) -> None:
    """A part with levels enough, and what the chip computes with."""
    session = epimc.compile(model(ratio, behind), tmp_path / "out", calibration=samples())
    assert not session.bundle.program.host_calls


def test_who_wants_no_host_is_told(tmp_path: Path) -> None:
    with pytest.raises(EpimcError) as caught:
        epimc.compile(model(1e4), tmp_path / "out", calibration=samples(), strict=True)
    said = str(caught.value)
    assert said.startswith("error: The host would run 1 node, which --strict forbids.")
    assert "node 'join' (Concat): its part %q would be left with 1 of 256 levels." in said
