"""Models whose weights no ONNX file could hold: time and memory of every command.

    python benchmarks/large.py 4
    python benchmarks/large.py 4 --keep FOLDER

The model is a row of products, `x` [N, 8192] to [N, 16384] and back, with a relu between each two:
half a GiB of seeded weights a product, in a file of external data.  Each command runs in a process
of its own.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

OPSET, IR_VERSION = 13, 8
NARROW, WIDE = 8192, 16384

MODEL, WEIGHTS, SAMPLES, BUNDLE = "large.onnx", "large.weights", "x.npz", "bundle"


@dataclass(frozen=True)
class Run:
    """What a command took.

    Attributes:
        code: Its exit code.
        seconds: By the clock.
        processor: Seconds of processor time.
        peak: The most bytes of memory that it had at once.
    """

    code: int
    seconds: float
    processor: float
    peak: int


def shape_of(layer: int, narrow: int, wide: int) -> tuple[int, int]:
    """The weights of a layer: from narrow to wide, and back."""
    return (wide, narrow) if layer % 2 else (narrow, wide)


def write_model(folder: Path, layers: int, narrow: int = NARROW, wide: int = WIDE) -> Path:
    """Write the model, layer by layer; none but the weights of one are in memory."""
    nodes, tensors, x = [], [], "x"
    random = np.random.Generator(np.random.Philox(0))
    with (folder / WEIGHTS).open("wb") as file:
        for layer in range(layers):
            shape = shape_of(layer, narrow, wide)
            weights = random.standard_normal(shape, np.float32)
            weights *= np.float32((2 / shape[0]) ** 0.5)
            tensor = TensorProto(name=f"w{layer}", data_type=TensorProto.FLOAT, dims=shape)
            tensor.data_location = TensorProto.EXTERNAL
            place = {"location": WEIGHTS, "offset": file.tell(), "length": weights.nbytes}
            for key, value in place.items():
                tensor.external_data.add(key=key, value=str(value))
            tensors.append(tensor)
            file.write(weights.data)
            if layer:
                nodes.append(helper.make_node("Relu", [x], [f"r{layer}"], f"relu{layer}"))
                x = f"r{layer}"
            inputs, result = [x, f"w{layer}"], f"y{layer}"
            nodes.append(helper.make_node("MatMul", inputs, [result], f"product{layer}"))
            x = result
    last = shape_of(layers - 1, narrow, wide)[1]
    graph = helper.make_graph(
        nodes,
        "large",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", narrow])],
        [helper.make_tensor_value_info(x, TensorProto.FLOAT, ["N", last])],
        tensors,
    )
    opsets = [helper.make_opsetid("", OPSET)]
    path = folder / MODEL
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION), path)
    samples = np.random.default_rng(1).standard_normal((4, narrow)).astype(np.float32)
    np.savez(folder / SAMPLES, x=samples)
    return path


# Runs a command and writes its exit code, its seconds of the processor and its peak to a file.  A
# process begins with the peak of the one that starts it: so that must be a small one.
USAGE_OF = """
import os, sys
child = os.posix_spawn(sys.argv[2], sys.argv[2:], os.environ)
_, status, usage = os.wait4(child, 0)
code, processor = os.waitstatus_to_exitcode(status), usage.ru_utime + usage.ru_stime
with open(sys.argv[1], "w") as file:
    print(code, processor, usage.ru_maxrss, file=file)
"""


def measured(arguments: Sequence[str], folder: Path) -> Run:
    """Run one of epimc's commands in a folder."""
    usage = (folder / "usage.txt").resolve()
    command = [sys.executable, "-m", "epimc", *arguments]
    started = time.perf_counter()
    subprocess.run(
        [sys.executable, "-I", "-S", "-c", USAGE_OF, usage, *command], cwd=folder, check=True
    )
    seconds = time.perf_counter() - started
    code, processor, kilobytes = usage.read_text().split()
    usage.unlink()
    return Run(int(code), seconds, float(processor), int(kilobytes) * 1024)


def commands() -> list[list[str]]:
    """The commands, each with its arguments."""
    drawn = ["--calibration", SAMPLES]
    return [
        ["compile", MODEL, "-o", BUNDLE, *drawn],
        ["check", BUNDLE],
        ["run", BUNDLE, "--input", SAMPLES, "--output", "y.npz"],
        ["verify", BUNDLE],
    ]


def measure(folder: Path, layers: int, narrow: int, wide: int) -> int:
    """Print a line for each command; the exit code is 1 where one fails."""
    path = write_model(folder, layers, narrow, wide)
    size = sum(file.stat().st_size for file in (path, folder / WEIGHTS))
    print(f"{layers} products, {size} bytes", flush=True)
    for arguments in commands():
        run = measured(arguments, folder)
        times = f"{run.seconds:.1f} s ({run.processor:.1f} s of processor time)"
        print(f"{arguments[0]:>8}: {times}, {run.peak / 1e9:.2f} GB", flush=True)
        if run.code:
            return 1
    return 0


def main(arguments: list[str] | None = None) -> int:
    """Write a model and measure the commands on it."""
    parser = argparse.ArgumentParser(description="Time and memory of commands on a large model.")
    parser.add_argument("layers", type=int, help="products, of half a GiB of weights each")
    parser.add_argument("--narrow", type=int, default=NARROW, help="numbers of the input")
    parser.add_argument("--wide", type=int, default=WIDE, help="numbers of every other result")
    parser.add_argument("--keep", type=Path, help="an empty folder for all files")
    chosen = parser.parse_args(arguments)
    if chosen.keep is not None:
        return measure(chosen.keep, chosen.layers, chosen.narrow, chosen.wide)
    with tempfile.TemporaryDirectory() as folder:
        return measure(Path(folder), chosen.layers, chosen.narrow, chosen.wide)


if __name__ == "__main__":
    raise SystemExit(main())
