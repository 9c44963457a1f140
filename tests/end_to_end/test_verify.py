"""The example models: exact on every target, at every number of bits; near the float model at 8."""

from __future__ import annotations

import pytest

from epimc.backends.crossbar.summary import program_summary
from epimc.bundle.bundle import read_bundle
from epimc.verification.verify import verify
from tests.crossbars import program_in
from tests.end_to_end.conftest import Compile

LAYERS = {"mnist": 9, "fashion": 21}


@pytest.mark.parametrize(
    ("data", "target"), [("mnist", "epim-256"), ("fashion", "epim-256"), ("fashion", "tiny")]
)
def test_every_integer_is_exact_on_all_test_samples(
    data: str, target: str, compiled: Compile
) -> None:
    case = compiled(data, target)
    report = verify(read_bundle(case.bundle), case.test)
    assert report.samples == 500
    assert report.exact
    assert (report.mismatches, report.parameters) == (0, {})
    assert len(report.layers) == LAYERS[data]
    assert all(layer.elements >= 500 * 10 for layer in report.layers)
    assert report.top1_agreement is not None
    assert report.top1_agreement >= 0.99
    assert report.accuracy is not None
    assert report.float_accuracy is not None
    assert abs(report.accuracy - report.float_accuracy) <= 0.01
    (output,) = report.outputs
    assert output.cosine is not None
    assert output.cosine > 0.999
    assert output.sqnr_db is not None
    assert output.sqnr_db > 30


@pytest.mark.parametrize("data", ["mnist", "fashion"])
@pytest.mark.parametrize("target", ["epim-256", "tiny"])
@pytest.mark.parametrize(("weights", "activations"), [(4, 6), (2, 4), (8, 5)])
def test_few_bits_are_as_exact(
    data: str, target: str, weights: int, activations: int, compiled: Compile
) -> None:
    bundle = read_bundle(compiled(data, target, weights, activations).bundle)
    options = bundle.manifest.options
    assert (options.weight_bits, options.activation_bits) == (weights, activations)
    report = verify(bundle)
    assert report.samples == 16
    assert report.exact
    assert len(report.layers) == LAYERS[data]
    summary = program_summary(program_in(bundle))
    assert {layer.weight_bits for layer in summary.layers} == {weights}


def test_blazeface_is_exact(compiled: Compile) -> None:
    """Depthwise layers, asymmetric pads, channels last, pads of channels, four outputs."""
    case = compiled("blazeface")
    bundle = read_bundle(case.bundle)
    report = verify(bundle, case.test)
    assert report.exact
    assert len(report.outputs) == 4
    assert len(report.layers) == 93
    assert sum(layer.elements for layer in report.layers) == 2431616
    assert min(output.sqnr_db or 0 for output in report.outputs) > 10
    # conv + add + relu are rounded once, in one instruction for each row or run of rows.
    kept = [{kind for kind, _ in feature_map.nodes} for feature_map in program_in(bundle).maps]
    fused = [kinds for kinds in kept if {"Add", "Relu"} <= kinds]
    assert len(fused) == 16
    assert all("Conv" in kinds for kinds in fused)


@pytest.mark.parametrize(("target", "spilled"), [("epim-256", 0), ("tiny", 1)])
def test_uniform_epitomes_are_exact(target: str, spilled: int, compiled: Compile) -> None:
    case = compiled("fashion", target, epitome="uniform:256x32")
    bundle = read_bundle(case.bundle)
    report = verify(bundle, case.test)
    assert report.samples == 500
    assert report.exact
    assert len(report.layers) == LAYERS["fashion"]
    summary = program_summary(program_in(bundle))
    assert len(summary.spilled) == spilled
    assert summary.tiles == (1 if target == "epim-256" else 9)


def test_the_small_chip_needs_several_tiles_and_spills(compiled: Compile) -> None:
    program = program_in(read_bundle(compiled("fashion", "tiny").bundle))
    summary = program_summary(program)
    assert summary.tiles >= 4
    assert summary.spilled
    assert max(len(layer.tiles) for layer in summary.layers) >= 2
    used = {i.opcode for stream in program.streams for i in stream}
    moved = {"load", "store", "send", "recv"}
    assert moved | {"mvm", "requantize", "pool", "rearrange", "add"} <= used


def test_targets_give_the_same_integers(compiled: Compile) -> None:
    """Arrays, tiles and order are no part of the arithmetic."""
    reports = [
        verify(read_bundle(compiled("fashion", target).bundle)) for target in ("epim-256", "tiny")
    ]
    first, second = ([vars(output) for output in report.outputs] for report in reports)
    assert first == second
