"""The benchmarks run, on data of the right form."""

from __future__ import annotations

import gzip
import importlib.util
import json
import shutil
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from epimc.quantization.rounding import learned

ROOT = Path(__file__).parent.parent


def script(name: str) -> ModuleType:
    """A benchmark, imported from its file."""
    path = ROOT / "benchmarks" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"benchmarks_{name}", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    # Where dataclasses look for the types that they name.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The first test images of the examples, in the files that Fashion-MNIST publishes."""
    with np.load(ROOT / "examples" / "fashion-test.npz") as file:
        images, labels = file["input"][:50, 0], file["labels"][:50]
    pixels = np.rint((images * 0.353 + 0.286) * 255).astype(np.uint8)
    for name, array in (("images-idx3", pixels), ("labels-idx1", labels.astype(np.uint8))):
        header = bytes((0, 0, 8, array.ndim)) + np.array(array.shape, ">u4").tobytes()
        path = tmp_path / f"t10k-{name}-ubyte.gz"
        path.write_bytes(gzip.compress(header + array.tobytes()))
    return tmp_path


def test_accuracy(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    accuracy = script("accuracy")
    assert accuracy.main(["--data", str(data), "--limit", "100"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "fashion-resnet8.onnx on epim-256, W8A8, 50 images"
    shown = [float(line.split(":")[1].split()[0]) for line in lines[1:]]
    floats, program, difference, same = shown
    assert floats >= 84
    assert program >= 84
    assert difference == pytest.approx(program - floats)
    assert same >= 94


def test_accuracy_fails_when_too_much_is_lost(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--data", str(data), "--weight-bits", "2", "--activation-bits", "4"]
    assert script("accuracy").main(arguments) == 1
    assert capsys.readouterr().err.startswith("the program loses ")


def test_accuracy_names_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"error: .*t10k-images-idx3-ubyte\.gz"):
        script("accuracy").main(["--data", str(tmp_path)])


@pytest.mark.parametrize("more", [[], ["--leave-one-out"]])
def test_quantizers(more: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    folder = ROOT / "examples"
    arguments = [str(folder / "blazeface-front-128.onnx"), *more]
    for option, data in (("--calibration", "calibration"), ("--input", "test")):
        arguments += [option, str(folder / f"blazeface-{data}.npz")]
    assert script("quantizers").main(arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 + 4
    for line in lines[2:]:
        _, ours, peer, difference = line.split()
        assert float(difference) == pytest.approx(float(ours) - float(peer), abs=0.02)
        assert float(ours) > 10
        assert float(difference) > (2 if more else -0.5)


def test_quantizers_fails_when_an_output_is_much_worse(
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = ROOT / "examples"
    arguments = [str(folder / "mnist-conv.onnx"), "--limit=-100"]
    arguments += ["--calibration", str(folder / "mnist-test.npz")]
    arguments += ["--input", str(folder / "mnist-calibration.npz")]
    assert script("quantizers").main(arguments) == 1
    assert capsys.readouterr().err.startswith("an output is worse by ")


@pytest.mark.parametrize("network", ["tall", "deep", "wide", "spilled"])
def test_scaling(network: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert script("scaling").main([network, "3", "12", "--least", "0"]) == 0
    head, *lines = (line.split() for line in capsys.readouterr().out.splitlines())
    assert [head[0], head[1], head[-1]] == [network, "import", "all"]
    assert {"schedule", "allocate", "emit", "check"} < {*head}
    assert [line[0] for line in lines] == ["3", "12"]
    for line in lines:
        *stages, everything = map(float, line[1:])
        assert len(stages) == len(head) - 2
        # Each is rounded to hundredths.
        assert everything == pytest.approx(sum(stages), abs=0.005 * len(line))
        assert everything > 0


def test_large(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    arguments = ["2", "--narrow", "128", "--wide", "256", "--keep", str(tmp_path)]
    assert script("large").main(arguments) == 0
    assert (tmp_path / "large.weights").stat().st_size == 2 * 4 * 128 * 256
    lines = capfd.readouterr().out.splitlines()
    assert lines[0].startswith("2 products, 262")
    measured = [line.split() for line in lines if line.endswith(" GB")]
    assert [words[0] for words in measured] == ["compile:", "check:", "run:", "verify:"]
    assert all(0.01 < float(words[-2]) < 1 for words in measured)


def test_weights_are_few_times_in_memory(tmp_path: Path) -> None:
    """As they are, equalized and as integers, and some of them once more while a stage has them."""
    large = script("large")
    compile_, *_ = large.commands()
    peaks = []
    for width in (64, 2048):
        large.write_model(tmp_path, 2, width, width)
        run = large.measured(compile_, tmp_path)
        assert run.code == 0
        peaks.append(run.peak)
    assert peaks[1] - peaks[0] < 5 * (tmp_path / large.WEIGHTS).stat().st_size


def test_large_stops_at_a_command_that_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    large = script("large")
    monkeypatch.setattr(large, "SAMPLES", "none.npy")
    assert large.main(["1", "--narrow", "8", "--wide", "8", "--keep", str(tmp_path)]) == 1
    assert "check:" not in capfd.readouterr().out


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model that is good, with samples beside it, and one that is none."""
    folder = tmp_path / "models"
    (folder / "digits").mkdir(parents=True)
    shutil.copy(ROOT / "examples" / "mnist-conv.onnx", folder / "digits" / "model.onnx")
    shutil.copy(ROOT / "examples" / "mnist-calibration.npz", folder / "digits" / "samples.npz")
    (folder / "broken.onnx").write_bytes(b"no model")
    return folder


def test_models(
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    models, log = script("models"), tmp_path / "log.jsonl"
    assert models.main([str(folder), "--log", str(log), "--json"]) == 1
    broken, digits = json.loads(capsys.readouterr().out)
    assert (broken["name"], broken["compiles"], broken["exact"]) == ("broken", False, None)
    assert broken["said"][0].startswith("compile: error: ")
    assert (digits["name"], digits["compiles"], digits["exact"]) == ("digits", True, True)
    assert digits["sqnr_db"] > digits["peer_db"] > 20
    assert (digits["peer_opset"], digits["samples"]) == (13, "samples.npz")
    assert (digits["macs"], digits["nodes"], digits["bytes"]) == (1, 1, 1)
    assert digits["crossbars"] == 3
    assert digits["seconds"] > 0
    assert 0.05 < digits["gigabytes"] < 2
    # All is done: nothing runs again, and a line that was cut off is left out.
    with log.open("a") as file:
        file.write('{"name": "dig')
    monkeypatch.setattr(models, "measured", None)
    assert models.main([str(folder), "--log", str(log), "--resume"]) == 1
    table = capsys.readouterr().out.splitlines()
    assert table[1].split()[:2] == ["broken", "refused"]
    assert table[2].split()[:2] == ["digits", "yes"]
    assert table[-1] == "2 models: 1 compile, 1 exact"


def test_models_names_what_is_wrong(folder: Path, tmp_path: Path) -> None:
    models, log = script("models"), ["--log", str(tmp_path / "log")]
    for words, said in (
        (["--calibration", "other=x.npz"], "error: there is no model 'other' below "),
        (["--calibration", "x.npz"], "error: 'x.npz' is no NAME=FILE"),
        (["--shape", "digits:Input3=1xHx3"], "error: 'digits:Input3=1xHx3' is no NAME:INPUT="),
        (["--range", "digits=1,0"], "error: 'digits=1,0' is no NAME=LOW,HIGH"),
        (["--range", "digits=0"], "error: 'digits=0' is no NAME=LOW,HIGH"),
        (["--range", "other=0,1"], "error: there is no model 'other' below "),
    ):
        with pytest.raises(SystemExit, match=said):
            models.main([str(folder), *log, *words])


def test_models_that_take_too_long(folder: Path, tmp_path: Path) -> None:
    models = script("models")
    job = models.Job(
        "a", str(folder / "broken.onnx"), None, None, 64, None, {}, str(tmp_path / "bundle")
    )
    row = models.measured(job, 0.01, peer=True)
    assert row.said == ("compile: more than 0.01 s",)
    assert not row.good


def test_models_and_shapes_by_their_names(folder: Path) -> None:
    models = script("models")
    shapes = models.shapes_by_model({"a/b:x:0": "1x28"})
    assert shapes == {"a/b": {"x:0": (1, 28)}}
    assert models.models(folder) == {
        "broken": folder / "broken.onnx",
        "digits": folder / "digits" / "model.onnx",
    }


def drawn_model(kind: type[np.generic] = np.uint8) -> onnx.ModelProto:
    """`a` is an image in [-1, 1], `b` is quantized, `c` is neither."""
    scale, zero = np.array(0.5, np.float32), np.array(kind(3))
    nodes = [
        helper.make_node("QuantizeLinear", ["b", "scale", "zero"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["d"]),
        helper.make_node("Sum", ["a", "d", "c"], ["y"]),
    ]
    ports = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["N", 3, 4]) for n in "abcy"]
    constants = [
        numpy_helper.from_array(scale, "scale"),
        numpy_helper.from_array(zero, "zero"),
    ]
    graph = helper.make_graph(nodes, "drawn", ports[:3], ports[3:], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


@pytest.mark.parametrize(("kind", "expected"), [(np.uint8, (-1.5, 126)), (np.int8, (-65.5, 62))])
def test_ranges_that_models_declare(kind: type[np.generic], expected: tuple[float, float]) -> None:
    drawing, model = script("drawing"), drawn_model(kind)
    assert drawing.declared_ranges(model) == {"b": expected}
    for value, bounds in (("Normalized_1_1", (-1, 1)), ("NominalRange_0_255", (0, 255))):
        del model.metadata_props[:]
        model.metadata_props.add(key="Image.NominalPixelRange", value=value)
        assert drawing.declared_ranges(model) == {"a": bounds, "b": expected, "c": bounds}
    model.metadata_props[0].value = "unknown"
    assert drawing.declared_ranges(model) == {"b": expected}


def test_drawn_samples(tmp_path: Path) -> None:
    drawing = script("drawing")
    path, ranges = tmp_path / "model.onnx", {"a": (-1.0, 1.0), "b": (5.0, 6.0)}
    onnx.save(drawn_model(), path)
    shapes = drawing.input_shapes(path, {})
    assert shapes == {"a": (3, 4), "b": (3, 4), "c": (3, 4)}
    for name in ("first.npz", "again.npz"):
        drawing.write(tmp_path / name, 50, shapes, ranges)
    assert (tmp_path / "first.npz").read_bytes() == (tmp_path / "again.npz").read_bytes()
    with np.load(tmp_path / "first.npz") as file:
        a, b, c = (file[name] for name in "abc")
    assert {array.shape for array in (a, b, c)} == {(50, 3, 4)}
    assert {array.dtype for array in (a, b, c)} == {np.dtype(np.float32)}
    assert -1 <= a.min() < -0.9 < 0.9 < a.max() <= 1
    assert 5 <= b.min() < 5.1 < 5.9 < b.max() <= 6
    assert c.min() < -1
    assert c.max() > 1
    assert drawing.words(50, ["a", "b", "c"], ranges) == "50 in [-1, 1], in [5, 6], normal"


def test_models_without_samples(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "digits" / "samples.npz").unlink()
    (folder / "broken.onnx").unlink()
    arguments = [str(folder), "--log", str(tmp_path / "log.jsonl"), "--json"]
    assert script("models").main([*arguments, "--range", "digits=0,1", "--count", "4"]) == 0
    (digits,) = json.loads(capsys.readouterr().out)
    assert digits["samples"] == "4 in [0, 1]"
    assert digits["sqnr_db"] > 20
    assert digits["peer_db"] > 20


def test_a_peer_of_the_models_own_opset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    quantizers = script("quantizers")
    model = ROOT / "examples" / "mnist-conv.onnx"
    assert quantizers.convert(model, tmp_path / "a.onnx") == 13

    def fail(model: onnx.ModelProto, opset: int) -> onnx.ModelProto:
        raise RuntimeError(opset)

    monkeypatch.setattr(onnx.version_converter, "convert_version", fail)
    assert quantizers.convert(model, tmp_path / "b.onnx") == 8
    assert onnx.load(tmp_path / "b.onnx").opset_import[0].version == 8


def test_simulator(capsys: pytest.CaptureFixture[str]) -> None:
    simulator = script("simulator")
    words = ["--layer", "5x9-7-k3", "--layer", "8x6-4-k1-s2", "--batch", "2", "--turns", "1"]
    assert simulator.main(words) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == ["5x9-7-k3,", "batch", "2", "CPU", "ms", "wall", "ms", "ratio"]
    ways = list(simulator.WAYS)
    assert [line.strip().split("  ")[0] for line in lines[2 : 2 + len(ways)]] == ways
    assert lines[2 + len(ways)].endswith(" conversions clipped")
    assert lines[2].endswith("1.00")
    assert simulator.main([*words, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert {"processor", "vectors", "blas", "features"} < set(result)
    assert [layer["name"] for layer in result["figures"]] == ["5x9-7-k3", "8x6-4-k1-s2"]
    for layer in result["figures"]:
        assert all(way["cpu_ms"] > 0 < way["wall_ms"] for way in layer["ways"])
        for counts in layer["clipped"].values():
            assert counts["clipped"] <= counts["conversions"]
    with pytest.raises(SystemExit):
        simulator.main(["--layer", "5x9"])
    assert "error: '5x9' is no layer like 256x14-256-k3" in capsys.readouterr().err


def test_simulator_times_what_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours computes the layer that onnxruntime's float32 does."""
    simulator = script("simulator")
    layer = simulator.layer_of("6x7-9-k3-s2", 3)
    (floats,) = simulator.float_conv(layer)()
    convolutions = []

    class Watched(simulator.Convolution):  # type: ignore[misc, name-defined]
        def activations(self, x: Any, *rest: Any) -> None:
            out = np.empty((len(x), *self.shape), self.dtype)
            self.accumulate(x, out)
            convolutions.append(out)

    monkeypatch.setattr(simulator, "Convolution", Watched)
    simulator.ours(layer)()
    weights = layer.weights().astype(np.float32)
    # Outside the map ours has the zero point, theirs 0.
    inside = (slice(None), slice(None), slice(1, -1), slice(1, -1))
    expected = floats - 128 * weights.sum(axis=(1, 2, 3)).reshape(1, -1, 1, 1)
    sums = convolutions[0].transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(sums[inside], expected[inside])


def test_simulator_of_a_network(capsys: pytest.CaptureFixture[str]) -> None:
    simulator, model = script("simulator"), str(ROOT / "examples" / "fashion-resnet8.onnx")
    words = ["--network", model, "--path", "fused", "--turns", "1", "--batch", "1", "--batch", "3"]
    assert simulator.main(words) == 0
    lines = capsys.readouterr().out.splitlines()[1:]
    assert lines[0].startswith(f"{model}, batch 1")
    ways = ["onnxruntime, float32", "onnxruntime, 8 bits", "ours, fused"]
    assert [line.strip().split("  ")[0] for line in lines[1:4]] == ways
    assert lines[4].startswith("  fused: simulator made in 0.")
    assert lines[5].startswith(f"{model}, batch 3")


def test_converters(capsys: pytest.CaptureFixture[str]) -> None:
    folder = ROOT / "examples"
    arguments = [str(folder / "mnist-conv.onnx"), "--first", "40", "--bits", "4,9"]
    for option, data in (("--calibration", "calibration"), ("--data", "test")):
        arguments += [option, str(folder / f"mnist-{data}.npz")]
    converters = script("converters")
    assert converters.main(arguments) == 0
    head, *lines, last = capsys.readouterr().out.splitlines()
    assert head.split() == ["mapping", "range", "float", "integers", "4", "bits", "9", "bits"]
    assert last == "40 samples, top-1 in percent"
    assert [line.split()[:2] for line in lines] == [
        [mapping, adc_range] for mapping in converters.MAPPINGS for adc_range in converters.RANGES
    ]
    for line in lines:
        float_, integers, few, many = map(float, line.split()[2:])
        assert float_ == 100
        assert integers >= 97.5
        # Nine bits lose nothing.
        assert many == integers
        assert few <= many
    arguments += ["--mappings", "offset", "--ranges", "unit", "--json"]
    assert converters.main(arguments) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert [row["mapping"], row["range"]] == ["offset", "unit"]
    models = row["result"]["models"]
    assert [model["adc_bits"] for model in models] == [None, None, 4, 9]
    assert 100 * models[2]["top1"]["share"] == float(lines[2].split()[4])


def test_rounding(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learned, "STEPS", 20)
    folder = ROOT / "examples"
    arguments = [str(folder / "mnist-conv.onnx"), "--first", "40", "--bits", "3,6"]
    for option, data in (("--calibration", "calibration"), ("--data", "test")):
        arguments += [option, str(folder / f"mnist-{data}.npz")]
    rounding = script("rounding")
    assert rounding.main(arguments) == 0
    head, *lines, last = capsys.readouterr().out.splitlines()
    assert head.split() == ["bits", "technique", "top-1", "lost", "CPU-s"]
    assert last == "40 samples, top-1 in percent; the float model 100.00"
    for line, technique in zip(lines, rounding.TECHNIQUES, strict=True):
        assert line.startswith(f"W3A6    {technique}  ")
        top, lost, seconds = map(float, line.split()[-3:])
        assert top + lost == pytest.approx(100)
        assert top > 80
        assert seconds > 0


def test_converters_wants_labels(capsys: pytest.CaptureFixture[str]) -> None:
    folder = ROOT / "examples"
    samples = str(folder / "mnist-calibration.npz")
    arguments = [str(folder / "mnist-conv.onnx"), "--calibration", samples, "--data", samples]
    with pytest.raises(SystemExit, match="error: the data have no labels"):
        script("converters").main([*arguments, "--first", "2", "--bits", "8"])
    assert capsys.readouterr().out == ""


def test_simulator_clips_on_purpose() -> None:
    """Bit-serial it is no lossless case, and as many bits are set as it says."""
    simulator = script("simulator")
    layer = simulator.layer_of("64x4-8-k3", 1)
    for cell_bits in (1, 2):
        way = simulator.BitSerial(layer, cell_bits)
        assert way.conversions // 8 < way.clipped < way.conversions
        assert 0.7 < np.unpackbits(way.x).mean() < 0.8
        way()
        once = way.out.copy()
        way()
        np.testing.assert_array_equal(way.out, once)
