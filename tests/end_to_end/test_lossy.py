"""A chip whose ADC is too narrow: everybody is told, and the results differ."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import epimc
from epimc.backends.crossbar.backend import CrossbarProgram
from epimc.backends.crossbar.core.program import Program
from epimc.backends.crossbar.instructions.mvm import Mvm
from epimc.backends.crossbar.kernels.bit_serial import bit_serial
from epimc.backends.crossbar.summary import CrossbarLayer, layer_summaries, loss_warnings
from epimc.backends.crossbar.target.schema import Target, load_target
from epimc.bundle.bundle import read_bundle
from epimc.cli.main import main
from epimc.support.diagnostics import EpimcError
from tests.backends.crossbar.programs import PROGRAMS
from tests.crossbars import counts_of, program_in
from tests.end_to_end.conftest import EXAMPLES, Compile
from tests.golden_programs import hosted


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
    arguments += ["--target", str(lossy), "--effort", "fast"]
    assert main([*arguments, "--calibration", str(EXAMPLES / "mnist-calibration.npz")]) == 0
    out, err = capsys.readouterr()
    assert err == (
        "warning: the ADC of target 'lossy' is not lossless: results will not be exact\n"
        "warning: Convolution28: sums of columns reach 141, its ADC reads up to 15: "
        "off by up to 126\n"
        "warning: Convolution110: sums of columns reach 159, its ADC reads up to 15: "
        "off by up to 144\n"
        "warning: Times212: sums of columns reach 195, its ADC reads up to 15: off by up to 180\n"
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
    assert lossless.converter_losses is None
    assert report["outputs"][0]["sqnr_db"] < lossless.outputs[0].sqnr_db
    assert main(["verify", str(bundle)]) == 0
    out = capsys.readouterr().out
    assert "exact, converters apart: 9 layers" in out
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


def converters_of(folder: Path, **converters: int | str) -> Path:
    """The target file of `tiny` with an ADC of 6 bits and other converters."""
    data: dict[str, Any] = load_target("tiny").to_dict()
    data["converters"] = {**data["converters"], "adc_bits": 6, **converters}
    path = folder / "target.toml"
    path.write_text(Target.from_dict(data).to_toml(), encoding="utf-8")
    return path


def compiled_for(target: Path) -> Program:
    """The digits for a target, as their bundle is read."""
    epimc.compile(
        EXAMPLES / "mnist-conv.onnx",
        target.parent / "bundle",
        target=target,
        calibration=EXAMPLES / "mnist-calibration.npz",
        effort="fast",
    )
    return program_in(read_bundle(target.parent / "bundle"))


@pytest.mark.parametrize(
    ("converters", "steps", "sums"),
    [
        ({}, [1, 1, 1], [141, 159, 195]),
        # 32 word lines of two bits in two-bit cells reach 288; in steps of 5 six bits do.
        ({"adc_range": "worst"}, [5, 5, 5], [141, 159, 195]),
        ({"adc_range": "worst", "rows_per_read": 8}, [2, 2, 2], [57, 66, 66]),
        ({"adc_range": "weights"}, [3, 3, 4], [141, 159, 195]),
        ({"adc_range": 100}, [2, 2, 2], [141, 159, 195]),
        ({"adc_range": "calibrated"}, [3, 2, 2], [141, 159, 195]),
        ({"rows_per_read": 7}, [1, 1, 1], [48, 60, 57]),
    ],
)
def test_the_range_sets_the_step(
    tmp_path: Path, converters: dict[str, int | str], steps: list[int], sums: list[int]
) -> None:
    program = compiled_for(converters_of(tmp_path, **converters))
    layers = layer_summaries(program)
    assert [layer.adc_step for layer in layers] == steps
    assert [layer.highest_sum for layer in layers] == sums
    lossless = [layer.adc_step == 1 and layer.highest_sum < 64 for layer in layers]
    assert [layer.adc_error == 0 for layer in layers] == lossless


def test_groups_of_rows_are_counted(tmp_path: Path) -> None:
    """The plan, the counters and the path itself read as often."""
    target = converters_of(tmp_path, rows_per_read=7)
    program = compiled_for(target)
    tables = list(program.tables_of(Mvm))
    counts = counts_of(epimc.plan(EXAMPLES / "mnist-conv.onnx", target=target))
    for table, layer in zip(tables, counts.layers, strict=True):
        reads = [read for each in bit_serial(table, 8, 0, program.chip).reads for read in each]
        assert max(len(read.positions) for read in reads) <= 7
        slices = -(-program.maps[table.source].bits // program.chip.dac_bits)
        events = table.position_events(program)
        assert events.array_reads == slices * len(reads)
        assert events.adc_conversions == slices * sum(len(read.cells) for read in reads)
        assert layer.reads_per_position == len(reads)


def test_of_many_lossy_layers_some_are_named() -> None:
    layers = [CrossbarLayer(f"l{k}", (), (1, 1), 1, 8, 1, 1, (0,), 100 + k, 3, k) for k in range(9)]
    assert list(loss_warnings(layers, 4, "t"))[1:] == [
        *(
            f"l{k}: sums of columns reach {100 + k}, its ADC reads up to 45 in steps of 3: "
            f"off by up to {k}"
            for k in range(1, 6)
        ),
        "3 other layers: off by up to 8",
    ]


def test_a_calibrated_range_is_one_of_its_bits(tmp_path: Path) -> None:
    compiled_for(converters_of(tmp_path, adc_range="calibrated"))
    program = read_bundle(tmp_path / "bundle").program
    assert isinstance(program, CrossbarProgram)
    steps = [layer.adc_step for layer in layer_summaries(program.program)]
    same = layer_summaries(program.with_adc_bits(6).program)
    assert [layer.adc_step for layer in same] == steps
    with pytest.raises(EpimcError) as caught:
        program.executor(adc_bits=4)
    assert str(caught.value) == (
        "error: The range of these ADCs was calibrated for 6 bits, not for 4.\n"
        "  hint: Compile for a target whose ADCs have as many bits."
    )


def test_converters_that_would_lose_too_much_are_refused() -> None:
    program = PROGRAMS["conv"]()
    layer, rescaling = program.tables
    assert isinstance(layer, Mvm)
    biased = replace(layer, bias=np.array([0, 0, 0, 8_388_400_000]))
    program = replace(program, tables=(biased, rescaling))
    compiled = CrossbarProgram(program, load_target("epim-256"))
    assert compiled.problems() == []
    with pytest.raises(EpimcError) as caught:
        compiled.executor(adc_bits=1)
    assert str(caught.value) == (
        "error: With 1-bit ADCs the program would compute wrong numbers.\n"
        "  note: error: Its accumulators times its multipliers may exceed 63 bits.\n"
        "    --> table 1 (requantize of 'y')\n"
        "  hint: Use ADCs that lose less."
    )


def test_the_fused_path_has_no_adc(bundle: Path) -> None:
    with pytest.raises(EpimcError, match="The fused path reads no ADC"):
        epimc.load(bundle, path="fused", adc_bits=4)


def test_calibration_runs_the_host_s_part(tmp_path: Path) -> None:
    """One of three layers is behind a softmax: its activations come from the host."""
    hosted(tmp_path / "net.onnx")
    target = converters_of(tmp_path, adc_bits=3, adc_range="calibrated")
    epimc.compile(tmp_path / "net.onnx", tmp_path / "bundle", target=target)
    program = program_in(read_bundle(tmp_path / "bundle"))
    steps = [layer.adc_step for layer in layer_summaries(program)]
    assert len(steps) == 3
    assert min(steps) > 1
