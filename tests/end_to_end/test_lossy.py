"""A chip whose ADC is too narrow: everybody is told, and the results differ."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import epimc
from epimc.backends.crossbar.target.schema import Target, load_target
from epimc.cli.main import main
from tests.end_to_end.conftest import EXAMPLES, Compile


@pytest.fixture(scope="module")
def lossy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The target file of `tiny` with an ADC of 4 bits."""
    data: dict[str, Any] = load_target("tiny").to_dict()
    data["name"] = "lossy"
    data["converters"] = {**data["converters"], "adc_bits": 4}
    path = tmp_path_factory.mktemp("lossy") / "lossy.toml"
    path.write_text(Target.from_dict(data).to_toml(), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def bundle(lossy: Path) -> Path:
    """The digits, compiled for it."""
    folder = lossy.parent / "bundle"
    epimc.compile(
        EXAMPLES / "mnist-conv.onnx",
        folder,
        target=lossy,
        calibration=EXAMPLES / "mnist-calibration.npz",
    )
    return folder


def test_compile_warns(lossy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["compile", str(EXAMPLES / "mnist-conv.onnx"), "-o", str(tmp_path / "out")]
    arguments += ["--target", str(lossy)]
    assert main([*arguments, "--calibration", str(EXAMPLES / "mnist-calibration.npz")]) == 0
    out, err = capsys.readouterr()
    assert err == (
        "warning: the ADC of target 'lossy' is not lossless: results will not be exact\n"
    )
    assert out.splitlines()[-2:] == [
        "The ADC is not lossless: results differ from the integer reference.",
        "on the chip: 100.0 % of 786560 MACs, 11 of 11 nodes, 100.0 % of the bytes",
    ]


def test_verify_tells_the_loss_of_converters_from_mistakes(
    bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All integers are right but for what the converters make of them."""
    assert main(["verify", str(bundle), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["exact"] is True
    assert report["mismatches"] == 0
    losses = report["converter_losses"]
    assert [loss["name"] for loss in losses] == [layer["name"] for layer in report["layers"]]
    assert losses[0]["elements"] == report["layers"][0]["elements"]
    assert any(loss["changed"] and loss["max_difference"] > 0 for loss in losses)
    # What users get has the loss.
    lossless = epimc.verify(bundle, path="fused")
    assert lossless.outputs[0].sqnr_db is not None
    assert lossless.converter_losses is not None
    assert not any(loss.changed for loss in lossless.converter_losses)
    assert report["outputs"][0]["sqnr_db"] < lossless.outputs[0].sqnr_db
    assert main(["verify", str(bundle)]) == 0
    out = capsys.readouterr().out
    assert "against onnxruntime, but for what the converters lose" in out
    assert "What the converters change, and hand on to the layers behind:" in out


def test_check_and_run_take_it(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is a right program for a bad chip."""
    assert main(["check", str(bundle)]) == 0
    samples = bundle / "reference" / "samples.npz"
    result = tmp_path / "y.npz"
    assert main(["run", str(bundle), "--input", str(samples), "--output", str(result)]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("target", ["epim-256", "tiny"])
def test_both_paths_agree_where_the_adc_is_lossless(target: str, compiled: Compile) -> None:
    case = compiled("mnist", target)
    with np.load(case.test) as file:
        images = {"Input3": file["Input3"][:20]}
    fused, serial = (
        epimc.load(case.bundle, path=path).run(None, images) for path in ("fused", "bit-serial")
    )
    np.testing.assert_array_equal(fused[0], serial[0])


def test_the_fused_path_is_what_a_better_adc_would_give(bundle: Path, compiled: Compile) -> None:
    case = compiled("mnist", "tiny")
    with np.load(case.test) as file:
        images = {"Input3": file["Input3"][:20]}
    exact = epimc.load(case.bundle).run(None, images)
    fused, automatic = (
        epimc.load(bundle, path=path).run(None, images) for path in ("fused", "auto")
    )
    np.testing.assert_array_equal(fused[0], exact[0])
    assert (automatic[0] != exact[0]).any()
