"""Small ONNX networks with convolutions in groups."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

Array = NDArray[Any]


class GroupedNetwork:
    """A small ONNX network, written layer by layer."""

    def __init__(self, size: int, channels: int) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, Array] = {}
        self.random = np.random.default_rng(5)
        self.shape = ("N", channels, size, size)

    def conv(
        self, x: str, inputs: int, outputs: int, kernel: int, stride: int = 1, group: int = 1,
        relu: bool = True,
    ) -> str:  # fmt: skip
        """A convolution with a bias, and a Relu unless told otherwise."""
        name = f"conv{len(self.nodes)}"
        fan = inputs // group * kernel * kernel
        weights = self.random.standard_normal((outputs, inputs // group, kernel, kernel))
        self.constants[f"{name}.w"] = weights * np.sqrt(2 / fan)
        self.constants[f"{name}.b"] = self.random.standard_normal(outputs) * 0.1
        self.nodes.append(
            helper.make_node(
                "Conv", [x, f"{name}.w", f"{name}.b"], [name], name=name,
                strides=[stride, stride], pads=[kernel // 2] * 4, group=group,
            )
        )  # fmt: skip
        return self.op("Relu", name) if relu else name

    def op(self, kind: str, *inputs: str, output: str = "") -> str:
        """Any other node."""
        name = output or f"{kind.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], name=name))
        return name

    def save(self, path: Path, output: str) -> None:
        """Write the model with global average pooling behind `output`."""
        self.op("Flatten", self.op("GlobalAveragePool", output), output="y")
        tensors = [numpy_helper.from_array(a.astype(np.float32), n)
                   for n, a in self.constants.items()]  # fmt: skip
        info = helper.make_tensor_value_info
        graph = helper.make_graph(
            self.nodes, "net", [info("x", 1, self.shape)], [info("y", 1, None)], tensors
        )
        opsets = [helper.make_opsetid("", 13)]
        onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)


def mobile(path: Path) -> None:
    """MobileNetV2's blocks: expand, depthwise, project; with a residual, then with a stride."""
    net = GroupedNetwork(10, 3)
    x = net.conv("x", 3, 8, 3, 2)
    h = net.conv(net.conv(x, 8, 24, 1), 24, 24, 3, group=24)
    x = net.op("Add", x, net.conv(h, 24, 8, 1, relu=False))
    h = net.conv(net.conv(x, 8, 40, 1), 40, 40, 3, 2, group=40)
    net.save(path, net.conv(h, 40, 12, 1, relu=False))


def grouped(path: Path) -> None:
    """Four groups of several channels, then a depthwise layer with two outputs a channel."""
    net = GroupedNetwork(6, 4)
    x = net.conv("x", 4, 16, 1)
    x = net.conv(x, 16, 24, 3, group=4)
    net.save(path, net.conv(x, 24, 48, 3, 2, group=24))


GROUPED_NETWORKS = {"mobile": mobile, "grouped": grouped}
