"""Numbers that real models and samples rarely have: right results, or one clear error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import helper, numpy_helper

import epimc
from epimc.support.diagnostics import EpimcError

Array = NDArray[Any]

NOISE = np.random.default_rng(1).standard_normal((32, 3, 8, 8)).astype(np.float32)

CHOICES: dict[str, dict[str, Any]] = {
    "good": {"weight_bits": 4},
    "best": {"weight_bits": 3, "effort": "best"},
    "mixed": {"weight_bits": "mixed:2..8,crossbars=90"},
    "lossless": {"weight_bits": "mixed:2..8,error=0.5"},
}

SAMPLES = {
    "ordinary": NOISE,
    "zeros": np.zeros_like(NOISE),
    "constant": np.full_like(NOISE, 0.75),
    "negative": -np.abs(NOISE),
    "tiny": NOISE * np.float32(1e-30),
    "large": NOISE * np.float32(1e18),
    "one pixel": np.where(np.indices(NOISE.shape).sum(axis=0) == 0, np.float32(1e4), NOISE),
}


def network() -> onnx.ModelProto:
    """Two layers; a channel of the first, and an input of the second, have no weights but 0."""
    rng = np.random.default_rng(0)
    conv = rng.standard_normal((4, 3, 3, 3)).astype(np.float32)
    dense = rng.standard_normal((4, 5)).astype(np.float32)
    conv[1] = 0
    dense[2] = 0
    nodes = [
        helper.make_node("Conv", ["x", "conv"], ["c"]),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("GlobalAveragePool", ["r"], ["p"]),
        helper.make_node("Flatten", ["p"], ["f"]),
        helper.make_node("MatMul", ["f", "dense"], ["y"]),
    ]
    inputs = [helper.make_tensor_value_info("x", 1, ["N", 3, 8, 8])]
    outputs = [helper.make_tensor_value_info("y", 1, ["N", 5])]
    stored = [numpy_helper.from_array(conv, "conv"), numpy_helper.from_array(dense, "dense")]
    graph = helper.make_graph(nodes, "odd", inputs, outputs, stored)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


@pytest.mark.parametrize("choice", CHOICES)
@pytest.mark.parametrize("samples", SAMPLES)
def test_odd_samples_make_exact_programs(samples: str, choice: str, tmp_path: Path) -> None:
    x = SAMPLES[samples]
    session = epimc.compile(network(), tmp_path / "out", calibration=x, **CHOICES[choice])
    result = epimc.verify(tmp_path / "out")
    assert result.exact
    assert len(result.layers) > 3
    (y,) = session.run(None, {"x": x})
    assert np.isfinite(y).all()
    if samples == "zeros":
        assert not y.any()


@pytest.mark.parametrize("choice", CHOICES)
@pytest.mark.parametrize("number", [np.inf, -np.inf, np.nan])
def test_samples_that_are_not_finite_are_refused(
    number: float, choice: str, tmp_path: Path
) -> None:
    x = NOISE.copy()
    x[3, 0, 0, 0] = number
    with pytest.raises(EpimcError, match=r"'x' .*has values that are not finite in float32"):
        epimc.compile(network(), tmp_path / "out", calibration=x, **CHOICES[choice])


@pytest.mark.parametrize("choice", CHOICES)
def test_layers_whose_weights_are_not_finite_run_on_the_host(choice: str, tmp_path: Path) -> None:
    model = network()
    (stored,) = [each for each in model.graph.initializer if each.name == "conv"]
    weights = numpy_helper.to_array(stored).copy()
    weights[0, 0, 0, 0] = np.inf
    stored.CopyFrom(numpy_helper.from_array(weights, "conv"))
    epimc.compile(model, tmp_path / "out", calibration=NOISE, **CHOICES[choice])
    assert "1 host call: Conv 'c'" in str(epimc.inspect(tmp_path / "out"))


def test_losses_beyond_float32_are_told_with_the_layer(tmp_path: Path) -> None:
    with pytest.raises(EpimcError) as caught:
        epimc.compile(
            network(), tmp_path / "out", calibration=NOISE * np.float32(1e37), **CHOICES["mixed"]
        )
    assert str(caught.value) == (
        "error: What the outputs lose by 2-bit weights of layer 'c' is more than float32 holds.\n"
        "  --> node 'c' (Conv)\n"
        "  note: in pass 'allocate_bits'\n"
        "  hint: Check the calibration samples, whose values are very large, or give layers their "
        "bits in a file (--epitome FILE)."
    )


def test_an_impossible_budget_says_the_smallest_possible(tmp_path: Path) -> None:
    with pytest.raises(EpimcError) as caught:
        epimc.compile(
            network(), tmp_path / "out", calibration=NOISE, weight_bits="mixed:2..8,crossbars=1"
        )
    assert str(caught.value) == (
        "error: crossbars = 1 is not possible: the smallest possible is 2.\n"
        "  hint: Allow more, or lower bits in the range of --weight-bits."
    )
