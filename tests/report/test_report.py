"""What the report says of a bundle's quantization, and how."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import helper, numpy_helper

import epimc
from epimc.cli.main import main
from epimc.report.picture import picture_of
from epimc.report.results import QuantizationReport, ValueHistogram, share
from epimc.report.weights import figures_of, quantized_weights
from epimc.support.diagnostics import EpimcError
from epimc.support.version import VERSION

Array = NDArray[Any]


def model(channels: int = 4) -> onnx.ModelProto:
    """Two convolutions that are added up, a relu, and a pool."""
    random = np.random.default_rng(1)
    a, b = (random.standard_normal((channels, 3, 3, 3)).astype(np.float32) for _ in range(2))
    # Scales far apart, and an output channel of zeros.
    a[0] *= 16
    b[2] = 0
    nodes = [
        helper.make_node("Conv", ["x", "a"], ["p"], "one", pads=[1] * 4),
        helper.make_node("Conv", ["x", "b"], ["q"], "other", pads=[1] * 4),
        helper.make_node("Add", ["p", "q"], ["s"], "sum"),
        helper.make_node("Relu", ["s"], ["r"], "relu"),
        helper.make_node("GlobalAveragePool", ["r"], ["y"], "pool"),
    ]
    inputs = [helper.make_tensor_value_info("x", 1, ["N", 3, 6, 6])]
    outputs = [helper.make_tensor_value_info("y", 1, None)]
    stored = [numpy_helper.from_array(a, "a"), numpy_helper.from_array(b, "b")]
    graph = helper.make_graph(nodes, "small", inputs, outputs, stored)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compiled with ranges that clip."""
    folder = tmp_path_factory.mktemp("report") / "bundle"
    samples = np.random.default_rng(0).standard_normal((12, 3, 6, 6)).astype(np.float32)
    epimc.compile(
        model(),
        folder,
        target="tiny",
        weight_bits=4,
        observer="percentile",
        percentile=95.0,
        calibration=samples,
    )
    return folder


@pytest.fixture(scope="module")
def report(bundle: Path) -> QuantizationReport:
    """Of the bundle."""
    result = epimc.inspect(bundle, quantization=True)
    assert isinstance(result, QuantizationReport)
    return result


def test_layers_are_those_of_verify(report: QuantizationReport, bundle: Path) -> None:
    losses = epimc.verify(bundle, layers=True).layer_errors
    assert losses is not None
    assert [layer.name for layer in report.layers] == [loss.name for loss in losses]
    for layer, loss in zip(report.layers, losses, strict=True):
        assert layer.sqnr_alone_db == loss.sqnr_alone_db
        assert layer.sqnr_accumulated_db == loss.sqnr_accumulated_db
        assert layer.clipped_share == loss.outside_share
    alone = [layer.sqnr_alone_db or 0 for layer in report.layers]
    assert alone == sorted(alone)


def test_weights_stand_beside_the_map_they_are_summed_up_in(report: QuantizationReport) -> None:
    (relu,) = (layer for layer in report.layers if layer.weights)
    assert [node.name for node in relu.nodes] == ["one", "other", "sum", "relu"]
    one, other = sorted(relu.weights, key=lambda weights: weights.nodes[0].name)
    assert (one.nodes[0].name, other.nodes[0].name) == ("one", "other")
    assert one.bits == other.bits == 4
    assert one.granularity == "column"
    assert one.scales == 4
    # The channel of zeros has no scale that counts.
    assert 8 < one.scale_spread < 32
    assert 1 < other.scale_spread < 4
    # Nothing is clipped by the largest weight; 4 bits leave 7 steps on each side.
    assert one.clipped_share == other.clipped_share == 0
    assert 15 < (one.sqnr_db or 0) < 25


def test_what_is_clipped(report: QuantizationReport) -> None:
    relu = report.only("relu").layer
    # 95 % at each end are those of the relu's zeros and of its largest 5 %.
    assert 0.02 < relu.clipped_share < 0.08
    counts, edges = relu.histogram.counts, relu.histogram.edges
    assert sum(counts) == 12 * 4 * 6 * 6
    assert edges[0] == relu.low == 0
    assert edges[-1] > relu.high
    beyond = sum(c for c, low in zip(counts, edges, strict=False) if low >= relu.high)
    assert beyond <= relu.clipped_share * sum(counts) * 1.001
    assert beyond > 0


def test_weights_that_are_clipped_are_counted(bundle: Path) -> None:
    from epimc.bundle.bundle import read_bundle
    from epimc.report.weights import FLOATS, INTEGERS, dumped, layers

    read = read_bundle(bundle)
    floats, integers = dumped(read, FLOATS), dumped(read, INTEGERS)
    (op, *_), (real, *_) = layers(integers), layers(floats)
    weights = floats.tensor(real.attributes["epitome"]).copy()
    kept = figures_of(op, integers, weights)
    weights[1, 0, 0, 0] *= 1000
    clipped = figures_of(op, integers, weights)
    assert kept.clipped_share == 0
    assert clipped.clipped_share == 1 / weights.size
    assert (clipped.sqnr_db or 0) < 1 < (kept.sqnr_db or 0)
    assert set(quantized_weights(read)) == {layer.name for layer in report_layers(bundle)}


def test_layers_of_their_own_bits(tmp_path: Path) -> None:
    samples = np.random.default_rng(0).standard_normal((12, 3, 6, 6)).astype(np.float32)
    mixed = "mixed:2..8,crossbars=7"
    session = epimc.compile(
        model(32), tmp_path / "out", target="tiny", weight_bits=mixed, calibration=samples
    )
    own = session.bundle.manifest.options.layer_bits
    assert len(set(own.values())) == 2
    (relu,) = report_layers(tmp_path / "out")
    assert {f"{each.name}.acc": each.bits for each in relu.weights} == own
    made = epimc.inspect(tmp_path / "out", quantization=True)
    low, high = sorted(set(own.values()))
    assert str(made).split("\n")[0] == (
        f"weights of {low} to {high} bits, 8-bit activations on 12 samples, the worst layers first"
    )
    summary = epimc.inspect(tmp_path / "out")
    assert str(summary).split("\n")[0] == (
        f"small.onnx for tiny, by epimc {VERSION}: weights of {low} to {high} bits "
        "(see --quantization), 8-bit activations"
    )
    said: Any = summary.to_json()
    assert said["weight_bits"] == [low, high]
    assert said["manifest"]["options"]["layer_bits"] == own


def test_layers_that_all_have_the_bits_of_a_file(tmp_path: Path) -> None:
    plans = tmp_path / "layers.toml"
    plans.write_text("default_weight_bits = 3\n")
    session = epimc.compile(model(32), tmp_path / "out", target="tiny", epitome=str(plans))
    options = session.bundle.manifest.options
    assert (options.weight_bits, options.widths) == (8, (3,))
    assert ": 3-bit weights, 8-bit activations\n" in str(epimc.inspect(tmp_path / "out"))


def report_layers(bundle: Path) -> list[Any]:
    """The layers with weights."""
    made = epimc.inspect(bundle, quantization=True)
    assert isinstance(made, QuantizationReport)
    return [layer for layer in made.layers if layer.weights]


def test_the_text(report: QuantizationReport) -> None:
    lines = str(report).split("\n")
    assert lines[0] == "W4A8 on 12 samples, the worst layers first"
    assert lines[2].split("  ")[0] == "layer"
    assert any(line.startswith(("  + other", "  + one")) for line in lines)
    assert max(map(len, lines)) <= 100


def test_one_layer_has_a_histogram(report: QuantizationReport) -> None:
    text = str(report.only("sum"))
    assert "feature map:" in text
    assert "# clipped" in text
    with pytest.raises(EpimcError) as caught:
        report.only("poool")
    assert str(caught.value) == (
        "error: There is no layer 'poool' that keeps activations.\n  hint: Did you mean 'pool'?"
    )


def test_json_has_all_histograms(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(bundle), "--quantization", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["kind"] == "quantization"
    assert all(sum(layer["histogram"]["counts"]) for layer in document["layers"])


@pytest.mark.parametrize(
    ("part", "text"), [(0.0, "0"), (1e-6, "<0.01%"), (0.5, "50.00%"), (1.0, "100.00%")]
)
def test_shares(part: float, text: str) -> None:
    assert share(part) == text


def test_edges_of_a_histogram() -> None:
    assert ValueHistogram(-1.0, 1.0, (1, 2, 3, 4)).edges == [-1.0, -0.5, 0.0, 0.5, 1.0]


# --- the picture


@pytest.mark.parametrize(("kind", "start"), [("svg", b"<?xml"), ("png", b"\x89PNG")])
def test_a_picture_is_the_same_each_time(
    report: QuantizationReport, kind: str, start: bytes
) -> None:
    picture = picture_of(report, kind)
    assert picture.startswith(start)
    assert picture == picture_of(report, kind)


def test_the_command_writes_a_picture(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "report.svg"
    assert main(["inspect", str(bundle), "--quantization", "--picture", str(place)]) == 0
    assert b"</svg>" in place.read_bytes()
    assert "the worst layers first" in capsys.readouterr().out


def refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """What a command says that refuses its arguments."""
    assert main(words) == 2
    return capsys.readouterr().err


def test_a_picture_without_matplotlib(
    bundle: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    words = ["inspect", str(bundle), "--quantization", "--picture", "report.svg"]
    assert refused(words, capsys) == (
        "error: A picture is made by matplotlib, which is not installed.\n"
        "  hint: Install the extra 'pictures': pip install 'epimc[pictures]'.\n"
    )


def test_what_is_wrong_with_the_arguments(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(bundle)
    assert refused(["inspect", folder, "--layer", "one"], capsys) == (
        "error: --layer and --picture are for --quantization.\n"
    )
    words = ["inspect", folder, "--quantization", "--picture", "report.pdf"]
    assert refused(words, capsys) == (
        "error: The picture 'report.pdf' would be of no known format.\n"
        "  hint: Name a file that ends in .svg or .png.\n"
    )
    words = ["inspect", folder, "--quantization", "--shape", "x=1x3x6x6"]
    assert refused(words, capsys) == (
        "error: --quantization is for a bundle, whose inputs are set when a model is compiled.\n"
    )


@pytest.mark.parametrize("part", ["ir", "reference"])
def test_a_bundle_without_what_the_report_needs(
    bundle: Path, part: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(bundle, tmp_path / "bundle")
    shutil.rmtree(tmp_path / "bundle" / part)
    said = refused(["inspect", str(tmp_path / "bundle"), "--quantization"], capsys)
    assert f"has no '{part}/" in said
    assert said.endswith("hint: Compile the model again.\n")
