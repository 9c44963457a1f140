"""The simulator's kernels beside numpy's and onnxruntime's, on one thread, in one run.

    python benchmarks/simulator.py
    python benchmarks/simulator.py --layer 64x56-64-k3 --layer 3x224-64-k7-s2 --batch 8 --json

A layer CxS-N-kK-sT has C channels of S x S and N filters of K x K, padded by half of K, with a
stride of T.  Each way takes it from its source to its result: ours from 8-bit activations to the
8-bit activations behind the requantization, onnxruntime's QLinearConv as well, its Conv from
float32 to float32; numpy multiplies matrices of float32 of the layer's size, which are there
already.  Times are the least of many turns, in which all ways alternate; ratios are to numpy's.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from epimc.backends.crossbar.compiled.convolution import Convolution
from epimc.backends.crossbar.compiled.forms import best_form
from epimc.backends.crossbar.compiled.processor import features
from epimc.backends.crossbar.compiled.requantize import Rescaling
from epimc.ir.semantics.windows import Window

OPSET, IR_VERSION = 13, 8
# A turn of one way takes at least so many seconds: clocks tick in coarse steps.
TURN = 0.002
DEFAULT = "256x14-256-k3"
TEXT = re.compile(r"(\d+)x(\d+)-(\d+)-k(\d+)(?:-s(\d+))?")

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


def ours(layer: Layer) -> Way:
    """The fused kernel, with its requantization."""
    weights, channels = layer.weights(), layer.filters
    constant = -128 * weights.reshape(channels, -1).sum(axis=1, dtype=np.int64)
    dims = (layer.channels, layer.size, layer.size)
    convolution = Convolution(weights, constant, layer.window, 1, dims, 128, 8)
    multipliers, shifts = np.full((1, channels), 2**20 + 1), np.full(channels, 34)
    offsets = np.zeros(channels, np.int64)
    rescaling = Rescaling(multipliers, shifts, offsets, [0], 128, 0, 255, np.dtype(np.uint8))
    x = np.ascontiguousarray(layer.source().transpose(0, 2, 3, 1))
    out = np.empty((layer.batch, *convolution.shape), np.uint8)
    return lambda: convolution.activations(x, rescaling, [], out)


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
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


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
    "onnxruntime, QLinearConv": integer_conv,
    "onnxruntime, float32 Conv": float_conv,
}


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


def figures(layer: Layer, turns: int) -> dict[str, Any]:
    """All ways on one layer."""
    times = measured({name: make(layer) for name, make in WAYS.items()}, turns)
    unit = times["numpy, float32 matrices"]
    rows = [
        {
            "way": name,
            "cpu_ms": 1000 * spent.cpu,
            "wall_ms": 1000 * spent.wall,
            "cpu_ratio": spent.cpu / unit.cpu,
        }
        for name, spent in times.items()
    ]
    return {"layer": layer.name, "batch": layer.batch, "ways": rows}


def table(result: dict[str, Any]) -> list[str]:
    """The figures of a layer as lines."""
    head = f"{result['layer']}, batch {result['batch']}"
    lines = [f"{head:<32}{'CPU ms':>9}{'wall ms':>9}{'ratio':>8}"]
    for row in result["ways"]:
        numbers = f"{row['cpu_ms']:>9.3f}{row['wall_ms']:>9.3f}{row['cpu_ratio']:>8.2f}"
        lines.append(f"  {row['way']:<30}{numbers}")
    return lines


def main(arguments: list[str] | None = None) -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(description="Times of the simulator's kernels, and of others.")
    parser.add_argument("--layer", action="append", help=f"such as {DEFAULT}; several may be named")
    parser.add_argument("--batch", type=int, default=1, help="samples")
    parser.add_argument("--turns", type=int, default=30, help="of each way")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args(arguments)
    try:
        layers = [layer_of(text, chosen.batch) for text in chosen.layer or [DEFAULT]]
    except argparse.ArgumentTypeError as error:
        parser.error(str(error))
    machine = {"processor": processor(), "vectors": vectors(), "blas": blas()}
    results = [figures(layer, chosen.turns) for layer in layers]
    if chosen.json:
        features_ = sorted(features())
        print(json.dumps({**machine, "features": features_, "layers": results}))
        return 0
    print("; ".join(machine.values()))
    for result in results:
        print("\n".join(table(result)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
