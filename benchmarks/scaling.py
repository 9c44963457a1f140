"""How the time of each stage of compiling grows with the size of a network.

    python benchmarks/scaling.py tall 5000 10000 20000
    python benchmarks/scaling.py deep 500 1000 2000

Every network has one size that grows while the rest of it stays small, so that a stage whose time
grows faster than that size stands out: its column more than doubles where the size doubles.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from epimc.backends.crossbar.target.schema import load_target
from epimc.compiler.compiler import compile_model
from epimc.compiler.options import Request
from epimc.ir.observers import CompileObserver, Step
from epimc.samples.samples import write_samples

OPSET, IR_VERSION = 13, 8


class Network:
    """Collects nodes; every method appends some and returns the name of their result."""

    def __init__(self, shape: tuple[int, int, int]) -> None:
        """Start with one input `x` of this shape [C, H, W]."""
        self.shape = shape
        self.random = np.random.default_rng(0)
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """One node."""
        name = f"{kind.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], name, **attributes))
        return name

    def conv(self, x: str, cin: int, cout: int, size: tuple[int, int]) -> str:
        """A convolution that keeps the size of the map, and a relu."""
        weights = self.random.standard_normal((cout, cin, *size)) / np.sqrt(cin * size[0] * size[1])
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(weights.astype(np.float32), name))
        pads = [size[0] // 2, size[1] // 2] * 2
        return self.node("Relu", self.node("Conv", x, name, kernel_shape=list(size), pads=pads))

    def model(self, output: str) -> onnx.ModelProto:
        """The whole model."""
        graph = helper.make_graph(
            self.nodes,
            "scaling",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", *self.shape])],
            [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)],
            self.weights,
        )
        opsets = [helper.make_opsetid("", OPSET)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)


def tall(size: int) -> onnx.ModelProto:
    """Three convolutions along a signal of `size` rows."""
    net = Network((1, size, 1))
    x = net.conv("x", 1, 2, (3, 1))
    x = net.conv(x, 2, 2, (3, 1))
    return net.model(net.conv(x, 2, 1, (3, 1)))


def deep(size: int) -> onnx.ModelProto:
    """`size` small convolutions, one after the other."""
    net = Network((2, 4, 4))
    x = "x"
    for _ in range(size):
        x = net.conv(x, 2, 2, (3, 3))
    return net.model(x)


def wide(size: int) -> onnx.ModelProto:
    """Concatenations of 100 branches each, `size` branches in all, which a convolution joins."""
    net = Network((2, 4, 4))
    parts = []
    for first in range(0, size, 100):
        branches = [net.conv("x", 2, 2, (1, 1)) for _ in range(first, min(first + 100, size))]
        joined = net.node("Concat", *branches, axis=1)
        parts.append(net.conv(joined, 2 * len(branches), 2, (1, 1)))
    return net.model(net.node("Concat", *parts, axis=1) if len(parts) > 1 else parts[0])


def spilled(size: int) -> onnx.ModelProto:
    """`size` maps that wait long for their second reader, more than fit into a buffer."""
    net = Network((2, 8, 8))
    kept, x = [], "x"
    for _ in range(size):
        x = net.conv(x, 2, 2, (3, 3))
        kept.append(x)
    for earlier in kept[-2::-1]:
        x = net.node("Add", x, earlier)
    return net.model(x)


NETWORKS: dict[str, tuple[Callable[[int], onnx.ModelProto], int]] = {
    "tall": (tall, 2**20),
    "deep": (deep, 2**20),
    "wide": (wide, 2**20),
    "spilled": (spilled, 2**12),
}
"""Each network, and the bytes of a tile's buffer on the chip for which it is compiled."""


class Seconds(CompileObserver):
    """Keeps the seconds of each stage, by its name."""

    def __init__(self) -> None:
        """None yet."""
        self.stages: dict[str, float] = {}

    def stage_finished(self, step: Step) -> None:
        """Keep them."""
        self.stages[step.name] = step.seconds


def stage_seconds(name: str, size: int) -> dict[str, float]:
    """Seconds of each stage of compiling a network, in order, and of `all`."""
    build, buffer_bytes = NETWORKS[name]
    target = load_target("epim-256")
    tile = target.tile.model_copy(update={"buffer_bytes": buffer_bytes})
    with tempfile.TemporaryDirectory() as folder:
        model, chip = Path(folder) / "model.onnx", Path(folder) / "target.toml"
        samples = Path(folder) / "samples.npz"
        network = build(size)
        onnx.save(network, model)
        shape = [dim.dim_value for dim in network.graph.input[0].type.tensor_type.shape.dim][1:]
        drawn = np.random.default_rng(1).standard_normal((1, *shape)).astype(np.float32)
        write_samples(samples, {"x": drawn})
        chip.write_text(target.model_copy(update={"tile": tile}).to_toml(), encoding="utf-8")
        times = Seconds()
        compile_model(Request(model, target=str(chip), calibration=samples), [times])
    return {**times.stages, "all": sum(times.stages.values())}


def table(name: str, sizes: list[int], least: float) -> list[str]:
    """One line a size: the seconds of each stage that takes `least` of them at some size."""
    rows = [stage_seconds(name, size) for size in sizes]
    shown = [s for s in rows[0] if s == "all" or max(row[s] for row in rows) >= least]
    lines = [f"{name:>8}" + "".join(f"{stage:>11}" for stage in shown)]
    for size, row in zip(sizes, rows, strict=True):
        lines.append(f"{size:>8}" + "".join(f"{row[stage]:>11.2f}" for stage in shown))
    return lines


def main(arguments: list[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Seconds of each stage against a network's size.")
    parser.add_argument("network", choices=sorted(NETWORKS))
    parser.add_argument("sizes", type=int, nargs="+")
    parser.add_argument("--least", type=float, default=0.05, help="seconds of a stage to be shown")
    chosen = parser.parse_args(arguments)
    print("\n".join(table(chosen.network, chosen.sizes, chosen.least)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
