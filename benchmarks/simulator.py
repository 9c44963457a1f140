"""The simulator beside numpy and onnxruntime, on one thread, in one run.

    python benchmarks/simulator.py --layer 256x14-256-k3 --layer 3x224-64-k7-s2
    python benchmarks/simulator.py --network resnet18 --batch 1 --batch 8 --path fused --json

A layer CxS-N-kK-sT has C channels of S x S and N filters of K x K, padded by half of K, with a
stride of T.  Each way takes it from its source to its result: ours from 8-bit activations to the
8-bit activations behind the requantization, onnxruntime's QLinearConv as well, its Conv from
float32 to float32; numpy multiplies matrices of float32 of the layer's size, which are there
already.  Bit-serial, ours sends 8 input slices of a bit and all weight slices through arrays of
256 x 256 cells with 7-bit ADCs, whether they can clip or not; three of four bits of inputs and
cells are set, so that many do: how many is printed.  Where aihwkit is installed, its layer with the
default converters runs too.

A network is an ONNX file, or a name that benchmarks/topologies.py knows: our program of it for
`epim-256`, on each path, beside onnxruntime on the float32 model and on what its quantize_static
makes of it; all with the same drawn samples.  With it: what making a simulator takes of a program
that is there, and `epimc run` altogether, its start and its peak of memory included.

Times are the least of many turns, in which all ways alternate; ratios are to the first of them.
"""

from __future__ import annotations

import argparse
import ctypes
import importlib.util
import json
import logging
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

import epimc
from epimc.backends.crossbar.compiled.convolution import Convolution
from epimc.backends.crossbar.compiled.forms import best_form
from epimc.backends.crossbar.compiled.processor import features
from epimc.backends.crossbar.compiled.requantize import Rescaling
from epimc.backends.crossbar.compiled.serial import SerialProduct
from epimc.backends.crossbar.core.counts import SerialCounts
from epimc.backends.crossbar.core.program import Chip
from epimc.backends.crossbar.core.rounds import Array, OfatEntry, Round
from epimc.backends.crossbar.instructions.mvm import Mvm
from epimc.backends.crossbar.kernels.cells import column_sums
from epimc.backends.crossbar.kernels.layer_part import physical_columns
from epimc.ir.semantics.windows import Window
from epimc.runtime.session import host_of

OPSET, IR_VERSION = 13, 8
CALIBRATION = 4
PATHS = ("fused", "bit-serial")
# Rows and columns of an array, and what its sums are read with.
ARRAY, ADC_BITS = 256, 7
# A turn of one way takes at least so many seconds: clocks tick in coarse steps.
TURN = 0.002
DEFAULT = "256x14-256-k3"
TEXT = re.compile(r"(\d+)x(\d+)-(\d+)-k(\d+)(?:-s(\d+))?")
# Between this process and the one that is measured: a peak of memory counts what the process had
# that started it.
MEASURED = """
import resource, subprocess, sys
code = subprocess.call([sys.executable, *sys.argv[1:]], stdout=subprocess.DEVNULL)
usage = resource.getrusage(resource.RUSAGE_CHILDREN)
print(usage.ru_utime + usage.ru_stime, usage.ru_maxrss)
sys.exit(code)
"""

Way = Callable[[], object]


@dataclass(frozen=True)
class Layer:
    """A convolution with random numbers.

    Attributes:
        name: As it was asked for.
        channels: Of the source.
        size: Its rows and columns.
        filters: Channels of the result.
        kernel: Rows and columns of a filter.
        stride: Both ways.
        batch: Samples.
    """

    name: str
    channels: int
    size: int
    filters: int
    kernel: int
    stride: int
    batch: int

    @property
    def window(self) -> Window:
        """Padded by half of the kernel."""
        pad = self.kernel // 2
        return Window((self.kernel,) * 2, (self.stride,) * 2, (pad,) * 4)

    @property
    def result_size(self) -> int:
        """Rows and columns of the result."""
        return self.window.output_size(self.size, 0)

    def weights(self) -> NDArray[np.int8]:
        """[filters, channels, kernel, kernel]."""
        shape = (self.filters, self.channels, self.kernel, self.kernel)
        return np.random.default_rng(0).integers(-127, 128, shape).astype(np.int8)

    def source(self) -> NDArray[np.uint8]:
        """[batch, channels, size, size]."""
        shape = (self.batch, self.channels, self.size, self.size)
        return np.random.default_rng(1).integers(0, 256, shape).astype(np.uint8)


@dataclass
class Times:
    """The least seconds of a call.

    Attributes:
        cpu: Of the processor, of all threads.
        wall: Of the clock.
    """

    cpu: float = field(default=float("inf"))
    wall: float = field(default=float("inf"))


def layer_of(text: str, batch: int) -> Layer:
    """The layer of its name; `argparse` reports what is none."""
    parts = TEXT.fullmatch(text)
    if not parts:
        raise argparse.ArgumentTypeError(f"{text!r} is no layer like {DEFAULT} or {DEFAULT}-s2")
    channels, size, filters, kernel, stride = (int(part or 1) for part in parts.groups())
    return Layer(text, channels, size, filters, kernel, stride, batch)


def products(layer: Layer) -> Way:
    """numpy: float32 matrices of the layer's size."""
    random = np.random.default_rng(2)
    rows, columns = layer.channels * layer.kernel**2, layer.batch * layer.result_size**2
    a = random.random((layer.filters, rows), np.float32)
    b = random.random((rows, columns), np.float32)
    return lambda: a @ b


def rescaling_of(channels: int) -> Rescaling:
    """Some requantization to 8 bits."""
    multipliers, shifts = np.full((1, channels), 2**20 + 1), np.full(channels, 34)
    offsets = np.zeros(channels, np.int64)
    return Rescaling(multipliers, shifts, offsets, [0], 128, 0, 255, np.dtype(np.uint8))


def ours(layer: Layer) -> Way:
    """The fused kernel, with its requantization."""
    weights, channels = layer.weights(), layer.filters
    constant = -128 * weights.reshape(channels, -1).sum(axis=1, dtype=np.int64)
    dims = (layer.channels, layer.size, layer.size)
    convolution = Convolution(weights, constant, layer.window, 1, dims, 128, 8)
    rescaling = rescaling_of(channels)
    x = np.ascontiguousarray(layer.source().transpose(0, 2, 3, 1))
    out = np.empty((layer.batch, *convolution.shape), np.uint8)
    return lambda: convolution.activations(x, rescaling, [], out)


def dense(random: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Bytes, three of four of whose bits are set."""
    bits = random.random((*shape, 8)) < 0.75
    return np.packbits(bits, axis=-1)[..., 0]


def part_of(layer: Layer, cell_bits: int) -> Mvm:
    """The layer on arrays, whole channels in each."""
    area = layer.kernel**2
    rows = layer.channels * area
    levels = dense(np.random.default_rng(3), (rows, layer.filters))
    weights = (levels.astype(np.int16) - 128).astype(np.int8)
    entry = OfatEntry(0, layer.filters, 0, 1, False)
    rounds = (Round(((0, layer.channels),), ((0, rows),), (entry,)),)
    bias = np.zeros(layer.filters, np.int64)
    table = Mvm(
        *(0, 0, 1, layer.window, "w", weights, 8, "offset", cell_bits, rounds, ()),
        corrections=np.zeros((1, 0), np.int64),
        bias=bias,
    )
    height, columns = ARRAY // area * area, physical_columns(table)
    corners = [
        (row, column) for row in range(0, rows, height) for column in range(0, columns, ARRAY)
    ]
    arrays = tuple(
        Array(number, row, min(height, rows - row), column, min(ARRAY, columns - column))
        for number, (row, column) in enumerate(corners)
    )
    table = replace(table, arrays=arrays)
    return replace(table, corrections=column_sums(table))


class BitSerial:
    """The layer through arrays and ADCs, with its requantization.

    Attributes:
        clipped: Conversions that were clipped.
        conversions: All that were made.
    """

    def __init__(self, layer: Layer, cell_bits: int) -> None:
        """Program the cells."""
        part = part_of(layer, cell_bits)
        chip = Chip(1, len(part.arrays), ARRAY, ARRAY, cell_bits, 1, ADC_BITS, 0, 0)
        dims = (layer.channels, layer.size, layer.size)
        self.product = SerialProduct(part, dims, 8, 128, chip, forced=True)
        self.rescaling = rescaling_of(layer.filters)
        shape = (layer.batch, layer.result_size, layer.result_size, layer.filters)
        self.sums, self.out = np.empty(shape, np.int64), np.empty(shape, np.uint8)
        if self.product.bound < 2**31:
            self.sums = self.sums.astype(np.int32)
        source = (layer.batch, layer.size, layer.size, layer.channels)
        self.x = dense(np.random.default_rng(4), source)
        counts = SerialCounts()
        self.product.add(self.x, self.sums, counts)
        columns = sum(array.columns for array in part.arrays)
        self.conversions = 8 * columns * layer.batch * layer.result_size**2
        self.clipped = counts.take().clipped

    def __call__(self) -> None:
        """Compute the layer."""
        self.sums.fill(0)
        self.product.add(self.x, self.sums)
        self.rescaling([self.sums], self.out)


def analog(layer: Layer) -> Way:
    """aihwkit: a layer on tiles with its default converters and noise, of torch alone."""
    torch, nn, configs = map(
        importlib.import_module, ("torch", "aihwkit.nn", "aihwkit.simulator.configs")
    )
    torch.set_num_threads(1)
    convolution = nn.AnalogConv2d(
        *(layer.channels, layer.filters, layer.kernel, layer.stride, layer.kernel // 2),
        rpu_config=configs.TorchInferenceRPUConfig(),
    ).eval()
    x = torch.from_numpy(layer.source().astype(np.float32) / 255)

    def run() -> object:
        with torch.no_grad():
            return convolution(x)

    return run


def session(
    layer: Layer, kind: str, inputs: dict[str, Any], dtype: int
) -> onnxruntime.InferenceSession:
    """onnxruntime on one node, whose first input `x` is the model's; the others are constants."""
    pad = layer.kernel // 2
    node = helper.make_node(kind, ["x", *inputs], ["y"], pads=[pad] * 4, strides=[layer.stride] * 2)
    shape = [layer.batch, layer.channels, layer.size, layer.size]
    graph = helper.make_graph(
        [node],
        kind,
        [helper.make_tensor_value_info("x", dtype, shape)],
        [helper.make_tensor_value_info("y", dtype, [None] * 4)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in inputs.items()],
    )
    opsets = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)
    return on_one_thread(model.SerializeToString())


def on_one_thread(model: Path | bytes) -> onnxruntime.InferenceSession:
    """onnxruntime on a model, with all of its optimizations."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def float_conv(layer: Layer) -> Way:
    """onnxruntime: Conv of float32."""
    runs = session(layer, "Conv", {"w": layer.weights().astype(np.float32)}, TensorProto.FLOAT)
    x = layer.source().astype(np.float32)
    return lambda: runs.run(None, {"x": x})


def integer_conv(layer: Layer) -> Way:
    """onnxruntime: QLinearConv of 8-bit integers, which rounds and may saturate otherwise."""
    one = np.float32(1)
    inputs = {
        "x_scale": one,
        "x_zero": np.uint8(128),
        "w": layer.weights(),
        "w_scale": one,
        "w_zero": np.int8(0),
        "y_scale": np.float32(2**14),
        "y_zero": np.uint8(128),
    }
    runs = session(layer, "QLinearConv", inputs, TensorProto.UINT8)
    x = layer.source()
    return lambda: runs.run(None, {"x": x})


WAYS: dict[str, Callable[[Layer], Way]] = {
    "numpy, float32 matrices": products,
    "ours, fused": ours,
    "ours, bit-serial, 1-bit cells": lambda layer: BitSerial(layer, 1),
    "ours, bit-serial, 2-bit cells": lambda layer: BitSerial(layer, 2),
    "onnxruntime, QLinearConv": integer_conv,
    "onnxruntime, float32 Conv": float_conv,
}
if importlib.util.find_spec("aihwkit"):
    WAYS["aihwkit, analog layer"] = analog


def measured(ways: dict[str, Way], turns: int) -> dict[str, Times]:
    """The least times of each of some ways, which take turns."""
    calls = {}
    for name, way in ways.items():
        # The first call makes what later ones use.
        way()
        begin = time.perf_counter()
        way()
        calls[name] = max(1, int(TURN / max(time.perf_counter() - begin, 1e-7)))
    times = {name: Times() for name in ways}
    for _ in range(turns):
        for name, way in ways.items():
            cpu, wall = time.process_time(), time.perf_counter()
            for _ in range(calls[name]):
                way()
            best, count = times[name], calls[name]
            best.cpu = min(best.cpu, (time.process_time() - cpu) / count)
            best.wall = min(best.wall, (time.perf_counter() - wall) / count)
    return times


def processor() -> str:
    """What the machine calls its processor."""
    path = Path("/proc/cpuinfo")
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    names = re.findall(r"^model name\s*: (.*)$", text, re.MULTILINE)
    return names[0] if names else "unknown processor"


def vectors() -> str:
    """The vector instructions that kernels use."""
    best = best_form(256)
    return f"{best.instruction or 'portable loops'}, {best.positions} x {best.outputs} sums"


def blas() -> str:
    """The core that OpenBLAS has chosen its kernels for, once it is held to one thread."""
    folder = Path(np.__file__).parent.parent / "numpy.libs"
    for path in folder.glob("libscipy_openblas64_*"):
        library = ctypes.CDLL(str(path))
        library.scipy_openblas_set_num_threads64_(1)
        name = library.scipy_openblas_get_corename64_
        name.restype = ctypes.c_char_p
        return f"OpenBLAS for {name().decode()}"
    return "another BLAS than OpenBLAS, on as many threads as it likes"


def figures(name: str, batch: int, ways: dict[str, Way], turns: int) -> dict[str, Any]:
    """All ways of one thing to do; ratios are to the first."""
    times = measured(ways, turns)
    unit = next(iter(times.values()))
    rows = [
        {
            "way": way,
            "cpu_ms": 1000 * spent.cpu,
            "wall_ms": 1000 * spent.wall,
            "cpu_ratio": spent.cpu / unit.cpu,
        }
        for way, spent in times.items()
    ]
    clipped = {
        name: {"clipped": way.clipped, "conversions": way.conversions}
        for name, way in ways.items()
        if isinstance(way, BitSerial)
    }
    return {"name": name, "batch": batch, "ways": rows, "clipped": clipped}


def beside(name: str) -> ModuleType:
    """A file of this folder, imported."""
    path = Path(__file__).with_name(f"{name}.py")
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@dataclass(frozen=True)
class Network:
    """A network, compiled.

    Attributes:
        name: As it was asked for.
        session: Of the program; makes simulators.
        bundle: The program's folder.
        floats: The model.
        integers: What onnxruntime's quantization makes of it, None where it cannot.
        shapes: Of a sample, by input.
        adc_bits: Of the simulated ADCs, None for the target's.
    """

    name: str
    session: epimc.Session
    bundle: Path
    floats: Path
    integers: Path | None
    shapes: dict[str, tuple[int, ...]]
    adc_bits: int | None

    def samples(self, count: int) -> dict[str, Any]:
        """Standard normal samples."""
        random = np.random.default_rng(1)
        return {
            name: random.standard_normal((count, *shape), np.float32)
            for name, shape in self.shapes.items()
        }

    def simulator(self, path: str) -> Any:
        """One more, on one path."""
        bundle = self.session.bundle
        options: dict[str, Any] = {"path": path}
        if self.adc_bits is not None:
            options["adc_bits"] = self.adc_bits
        return bundle.program.executor(host_of(bundle), **options)


def compiled(name: str, folder: Path, adc_bits: int | None) -> Network:
    """A network by its file or its name in `topologies`, compiled and quantized into a folder."""
    topologies, drawing, peer = (beside(file) for file in ("topologies", "drawing", "quantizers"))
    model = Path(name)
    if name in topologies.TOPOLOGIES:
        model = folder / "model.onnx"
        onnx.save(topologies.build(name), model)
    shapes = drawing.input_shapes(model, {})
    drawing.write(folder / "samples.npz", CALIBRATION, shapes, {})
    session = epimc.compile(model, folder / "bundle", calibration=folder / "samples.npz")
    converted = folder / "converted.onnx"
    peer.convert(model, converted)
    # It advises at every call to run another tool first.
    logging.disable(logging.WARNING)
    try:
        integers = peer.quantize(converted, peer.read(folder / "samples.npz"), folder)
    # It raises what its parts raise; a network that it cannot do has no such figure.
    except Exception:
        integers = None
    finally:
        logging.disable(logging.NOTSET)
    return Network(name, session, folder / "bundle", model, integers, shapes, adc_bits)


def network_ways(network: Network, paths: list[str], batch: int) -> dict[str, Way]:
    """onnxruntime on a network, and ours on each path, on a batch."""
    samples = network.samples(batch)
    models = {"onnxruntime, float32": network.floats, "onnxruntime, 8 bits": network.integers}
    ways: dict[str, Way] = {}
    for name, model in models.items():
        if model is not None:
            ways[name] = running(on_one_thread(model), samples)
    for path in paths:
        ways[f"ours, {path}"] = running(network.simulator(path), samples)
    return ways


def running(runs: Any, samples: dict[str, Any]) -> Way:
    """Runs of a session of onnxruntime, or of a simulator."""
    if isinstance(runs, onnxruntime.InferenceSession):
        return lambda: runs.run(None, samples)
    return lambda: runs.run(samples, ())


def command(network: Network, path: str, batch: int) -> dict[str, float]:
    """`epimc run` in a process of its own: its seconds and its peak of memory."""
    with tempfile.TemporaryDirectory() as folder:
        samples, results = Path(folder) / "x.npz", Path(folder) / "y.npz"
        np.savez(samples, allow_pickle=False, **network.samples(batch))
        words = ["run", str(network.bundle), "--input", str(samples), "--path", path]
        if network.adc_bits is not None:
            words += ["--adc-bits", str(network.adc_bits)]
        spent = subprocess.run(
            [sys.executable, "-c", MEASURED, "-m", "epimc", *words, "--output", str(results)],
            stdout=subprocess.PIPE,
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
            check=True,
            text=True,
        )
    seconds, kilobytes = map(float, spent.stdout.split())
    return {"cpu_s": seconds, "peak_mb": kilobytes / 1024}


def network_figures(
    name: str, paths: list[str], batches: list[int], turns: int, adc_bits: int | None
) -> list[dict[str, Any]]:
    """All of a network, for each batch."""
    with tempfile.TemporaryDirectory() as folder:
        network = compiled(name, Path(folder), adc_bits)
        results = []
        for batch in batches:
            result = figures(name, batch, network_ways(network, paths, batch), turns)
            result["making"] = {}
            result["command"] = {}
            for path in paths:
                spent = measured({path: partial(network.simulator, path)}, 3)
                result["making"][path] = spent[path].cpu
                result["command"][path] = command(network, path, batch)
            results.append(result)
    return results


def table(result: dict[str, Any]) -> list[str]:
    """Figures as lines."""
    head = f"{result['name']}, batch {result['batch']}"
    lines = [f"{head:<34}{'CPU ms':>10}{'wall ms':>10}{'ratio':>8}"]
    for row in result["ways"]:
        numbers = f"{row['cpu_ms']:>10.3f}{row['wall_ms']:>10.3f}{row['cpu_ratio']:>8.2f}"
        lines.append(f"  {row['way']:<32}{numbers}")
    for name, counts in result["clipped"].items():
        numbers = f"{counts['clipped']:,} of {counts['conversions']:,} conversions clipped"
        lines.append(f"  {name}: {numbers}")
    for path, seconds in result.get("making", {}).items():
        spent = result["command"][path]
        run = f"epimc run {spent['cpu_s']:.2f} CPU s, {spent['peak_mb']:.0f} MB"
        lines.append(f"  {path}: simulator made in {seconds:.3f} CPU s; {run}")
    return lines


def main(arguments: list[str] | None = None) -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(description="Times of the simulator's kernels, and of others.")
    parser.add_argument("--layer", action="append", default=[], help=f"such as {DEFAULT}")
    parser.add_argument("--network", action="append", default=[], help="an ONNX file, or a name")
    parser.add_argument("--batch", action="append", type=int, help="samples; 1 if none is stated")
    parser.add_argument("--path", action="append", choices=PATHS, help="of networks; both")
    parser.add_argument("--adc-bits", type=int, help="of networks; else the target's")
    parser.add_argument("--turns", type=int, default=30, help="of each way")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args(arguments)
    texts = chosen.layer or ([] if chosen.network else [DEFAULT])
    batches = chosen.batch or [1]
    try:
        layers = [layer_of(text, batch) for text in texts for batch in batches]
    except argparse.ArgumentTypeError as error:
        parser.error(str(error))
    machine = {"processor": processor(), "vectors": vectors(), "blas": blas()}
    results = []
    for layer in layers:
        ways = {name: make(layer) for name, make in WAYS.items()}
        results.append(figures(layer.name, layer.batch, ways, chosen.turns))
    paths = chosen.path or list(PATHS)
    for name in chosen.network:
        results += network_figures(name, paths, batches, chosen.turns, chosen.adc_bits)
    if chosen.json:
        print(json.dumps({**machine, "features": sorted(features()), "figures": results}))
        return 0
    print("; ".join(machine.values()))
    for result in results:
        print("\n".join(table(result)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
