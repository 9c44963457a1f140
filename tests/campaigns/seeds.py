"""What cases start from: small models, and bundles that are compiled of them once."""

from __future__ import annotations

import contextlib
import gc
import io
import json
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import onnx

from epimc.cli.main import main
from epimc.compiler.drawing import drawn_samples
from epimc.frontend import import_proto
from epimc.samples.samples import write_samples
from epimc.support.files import read_bytes
from epimc.support.sample_types import Shaped
from tests.helpers.onnx_networks import NETWORKS, Network

SAMPLES = 3
BUNDLED = ("hosted", "fire", "moved", "gate")
OPTIONS = ("--target", "tiny", "--weight-bits", "4", "--activation-bits", "6")


def hosted() -> onnx.ModelProto:
    """Two calls of the host around a layer, values of other types between them, and a layer."""
    net = Network({"x": (3, 6, 5)})
    shares = net.node("Softmax", net.node("Relu", net.conv("x", 3, 4)), axis=1)
    large = net.node("Greater", shares, net.constant(np.array(0.25, np.float32)))
    x = net.node("Where", large, net.conv(shares, 4, 4, 1), shares)
    x = net.node("GlobalAveragePool", net.conv(x, 4, 5))
    return net.model(net.node("Flatten", x))


def functions() -> onnx.ModelProto:
    """One of every function of each element, and what is left of the operators."""
    net = Network({"x": (4, 6, 6)})
    x = net.conv("x", 4, 4)
    for op_type in ("Abs", "Elu", "Erf", "Selu", "Sigmoid", "Softsign", "Mish", "Exp", "Celu"):
        x = net.node(op_type, x)
    x = net.node("Add", x, net.node("Pow", "x", net.constant(np.array(2, np.float32))))
    x = net.node("Tile", x, net.constant(np.array([1, 1, 2, 1])))
    x = net.node("AveragePool", x, kernel_shape=[2, 2], strides=[2, 2], count_include_pad=1)
    flat = net.node("Reshape", x, net.constant(np.array([0, -1])))
    x = net.node("MatMul", flat, net.constant(net.floats(72, 5, scale=0.1)))
    return net.model(net.node("Sum", x, x, x), net.node("Min", x, flat[:0] or x))


@cache
def models() -> dict[str, onnx.ModelProto]:
    """The models by name."""
    made = {name: network() for name, network in NETWORKS.items()}
    return {"hosted": hosted(), "functions": functions(), **made}


def save_samples(model: onnx.ModelProto, path: Path) -> None:
    """Write some standard normal samples for a model."""
    inputs = [Shaped.of(port) for port in import_proto(model, "model").inputs]
    write_samples(path, dict(drawn_samples(inputs, SAMPLES, 0).inputs))


def prepare(folder: Path) -> None:
    """Make all that cases start from, unless it is there: models, samples, bundles, outputs, dumps.

    Raises:
        RuntimeError: What must compile does not.
    """
    if (folder / "ready").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    for name, model in models().items():
        onnx.save(model, folder / f"{name}.onnx")
        save_samples(model, folder / f"{name}.npz")
    for name in BUNDLED:
        compiled(folder, name, folder / name, *OPTIONS, "--dump-ir", str(folder / f"{name}-ir"))
        samples, results = (str(folder / f"{name}{end}.npz") for end in ("", "-out"))
        if main(["run", str(folder / name), "--input", samples, "--output", results]):
            raise RuntimeError(f"'{name}' does not run")
    (folder / "ready").write_text(json.dumps(sorted(models())))


def warm_up(folder: Path) -> None:
    """Use everything once in this process, so that forked ones need not import and prepare it.

    Args:
        folder: What `prepare` has made.
    """
    with (
        tempfile.TemporaryDirectory() as name,
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        place = Path(name)
        compiled(folder, "hosted", place / "out", *OPTIONS, "--dump-ir", str(place / "ir"))
        bundle, samples = str(place / "out"), str(folder / "hosted.npz")
        for words in (
            ("verify", bundle),
            ("check", bundle),
            ("inspect", bundle),
            ("run", bundle, "--input", samples, "--output", str(place / "y.npz")),
            ("plan", str(folder / "hosted.onnx")),
            ("targets", "tiny"),
            ("opt", str(min((place / "ir").glob("*.epi")))),
            ("disasm", str(place / "out" / "program.bin")),
        ):
            main([*words])
    # What is there already is never collected, so that no page of it is copied for that.
    gc.collect()
    gc.freeze()


def compiled(folder: Path, name: str, output: Path, *options: str) -> None:
    """Compile one of the models; raises RuntimeError where that fails."""
    samples = ["--calibration", str(folder / f"{name}.npz")]
    if main(["compile", str(folder / f"{name}.onnx"), "-o", str(output), *samples, *options]):
        raise RuntimeError(f"'{name}' does not compile")


def outputs(path: Path) -> dict[str, bytes]:
    """The bytes of all arrays in a file of outputs, by name."""
    arrays = np.load(io.BytesIO(read_bytes(path)), allow_pickle=False)
    return {name: arrays[name].tobytes() for name in arrays.files}
