"""A bundle whose weights were learned block by block, beside one whose were compensated."""

from __future__ import annotations

from pathlib import Path

import pytest

import epimc
from epimc.quantization.rounding import learned
from epimc.quantization.rounding.options import Effort
from tests.end_to_end.conftest import EXAMPLES


def test_a_learned_bundle_is_exact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learned, "STEPS", 100)
    shares, integers = [], []
    efforts: list[Effort] = ["good", "best"]
    for effort in efforts:
        session = epimc.compile(
            EXAMPLES / "mnist-conv.onnx",
            tmp_path / effort,
            calibration=EXAMPLES / "mnist-calibration.npz",
            weight_bits=2,
            effort=effort,
        )
        assert epimc.verify(session).exact
        test = EXAMPLES / "mnist-test.npz"
        (model,) = epimc.evaluate(session, test, of=["integers"], jobs=1).models
        assert model.top1 is not None
        shares.append(model.top1.share)
        integers.append((tmp_path / effort / "reference" / "integer.onnx").read_bytes())
    assert integers[0] != integers[1]
    # Of 250 images one or two may change their class by chance.
    assert shares[1] > shares[0] - 0.01
