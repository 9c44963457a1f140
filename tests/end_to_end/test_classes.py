"""`verify` speaks of classes where labels or the model do, and nowhere else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx.helper import make_node

import epimc
from epimc.verification.results import VerifyResult
from tests.end_to_end.host_models import model_of

Floats = NDArray[np.float32]

GENERATOR = np.random.default_rng(7)
SAMPLES: Floats = GENERATOR.normal(size=(12, 6)).astype(np.float32)
WEIGHTS: Floats = GENERATOR.normal(size=(6, 5)).astype(np.float32)
ENDS = {
    "sums": [],
    "Softmax": [make_node("Softmax", ["s"], ["y"], "p")],
    "Softmax over samples": [make_node("Softmax", ["s"], ["y"], "p", axis=0)],
    "ArgMax": [make_node("ArgMax", ["s"], ["y"], "p", axis=1, keepdims=0)],
    "ArgMax kept": [make_node("ArgMax", ["s"], ["y"], "p", axis=1)],
}


def verified(end: str, folder: Path, *, labels: bool) -> VerifyResult:
    """A layer with an end, compiled and verified."""
    made = "s" if ENDS[end] else "y"
    nodes = [make_node("MatMul", ["x", "w"], [made], "m"), *ENDS[end]]
    integers = ["y"] if "ArgMax" in end else []
    model = model_of(nodes, (6,), ["y"], {"w": WEIGHTS}, integers)
    session = epimc.compile(model, folder, calibration={"x": SAMPLES})
    samples = {"x": SAMPLES}
    if labels:
        samples["labels"] = (SAMPLES @ WEIGHTS).argmax(axis=1)
    return epimc.verify(session, samples)


@pytest.mark.parametrize(
    ("end", "says"), [("sums", False), ("Softmax", True), ("ArgMax", True), ("ArgMax kept", True)]
)
def test_a_model_that_says_classes(end: str, says: bool, tmp_path: Path) -> None:
    result = verified(end, tmp_path / "out", labels=False)
    assert result.exact
    assert (result.top1_agreement is not None) is says
    assert ("top-1" in str(result)) is says
    assert result.accuracy is result.float_accuracy is None


@pytest.mark.parametrize("end", ["sums", "Softmax", "ArgMax", "ArgMax kept"])
def test_labels_make_classes(end: str, tmp_path: Path) -> None:
    result = verified(end, tmp_path / "out", labels=True)
    assert result.float_accuracy == 1.0
    assert result.accuracy == result.top1_agreement
    assert result.top1_agreement is not None
    assert result.top1_agreement > 0.7


def test_a_softmax_over_samples_says_no_classes(tmp_path: Path) -> None:
    assert verified("Softmax over samples", tmp_path / "out", labels=False).top1_agreement is None
