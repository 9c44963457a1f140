"""Write well-known networks as ONNX files, with seeded random weights.

    python benchmarks/topologies.py resnet50 -o resnet50.onnx

The topologies are those of the papers; the weights are drawn so that activations keep their scale
(He et al., arXiv 1502.01852), and batch normalizations are not trivial.  Same name and seed, same
bytes.  Input `input` [N, 3, 224, 224], output [N, 1000]; of `vgg8` [N, 3, 32, 32] and [N, 10].
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET, IR_VERSION = 13, 8
CLASSES = 1000

# Width and height of the input, and classes, where they are not those of ImageNet.
SMALL = {"vgg8": (32, 10)}


class Network:
    """Collects nodes; every method appends some and returns the name of their result."""

    def __init__(self, seed: int) -> None:
        """Start with nothing but a random generator."""
        self.random = np.random.Generator(np.random.Philox(seed))
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def constant(self, values: np.ndarray[Any, Any]) -> str:
        """A float32 initializer."""
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(values.astype(np.float32), name))
        return name

    def node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """One node."""
        name = f"{kind.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], name, **attributes))
        return name

    def conv(
        self,
        x: str,
        cin: int,
        cout: int,
        kernel: int,
        stride: int = 1,
        groups: int = 1,
        pad: int | None = None,
    ) -> str:
        """A convolution with a bias, and `same` padding unless another is stated."""
        fan_in = cin // groups * kernel * kernel
        shape = (cout, cin // groups, kernel, kernel)
        weight = self.constant(self.random.standard_normal(shape) * np.sqrt(2 / fan_in))
        bias = self.constant(self.random.standard_normal(cout) * 0.1)
        pads, size = [kernel // 2 if pad is None else pad] * 4, [kernel, kernel]
        strides = [stride, stride]
        return self.node(
            "Conv", x, weight, bias, kernel_shape=size, strides=strides, pads=pads, group=groups
        )

    def norm(self, x: str, channels: int, gain: float = 1.0) -> str:
        """An inference batch normalization."""
        draw = self.random
        values = (
            draw.uniform(0.5, 1.5, channels) * gain,
            draw.standard_normal(channels) * 0.1,
            draw.standard_normal(channels) * 0.1,
            draw.uniform(0.5, 1.5, channels),
        )
        return self.node("BatchNormalization", x, *(self.constant(v) for v in values))

    def relu(self, x: str) -> str:
        """max(x, 0)."""
        return self.node("Relu", x)

    def relu6(self, x: str) -> str:
        """min(max(x, 0), 6)."""
        bounds = [self.constant(np.array(bound)) for bound in (0.0, 6.0)]
        return self.node("Clip", x, *bounds)

    def max_pool(self, x: str, kernel: int, stride: int, pad: int = 0) -> str:
        """A max-pool."""
        size, strides = [kernel, kernel], [stride, stride]
        return self.node("MaxPool", x, kernel_shape=size, strides=strides, pads=[pad] * 4)

    def classify(self, x: str, features: int) -> str:
        """Global average, then a linear layer."""
        return self.linear(
            self.node("Flatten", self.node("GlobalAveragePool", x)), features, CLASSES
        )

    def linear(self, x: str, features: int, outputs: int) -> str:
        """A linear layer."""
        draw = self.random.standard_normal
        weight = self.constant(draw((outputs, features)) * np.sqrt(2 / features))
        return self.node("Gemm", x, weight, self.constant(draw(outputs) * 0.1), transB=1)

    def model(self, name: str, output: str, side: int, classes: int) -> onnx.ModelProto:
        """The whole model."""
        describe = helper.make_tensor_value_info
        graph = helper.make_graph(
            self.nodes,
            name,
            [describe("input", TensorProto.FLOAT, ["N", 3, side, side])],
            [describe(output, TensorProto.FLOAT, ["N", classes])],
            self.weights,
        )
        opsets = [helper.make_opsetid("", OPSET)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)


def resnet(net: Network, blocks: tuple[int, ...], bottleneck: bool) -> str:
    """ResNet v1 (arXiv 1512.03385), stride in the 3x3 convolutions."""
    x = net.max_pool(net.relu(net.norm(net.conv("input", 3, 64, 7, 2), 64)), 3, 2, 1)
    channels = 64
    for stage, (count, width) in enumerate(zip(blocks, (64, 128, 256, 512), strict=True)):
        for block in range(count):
            stride = 2 if stage and not block else 1
            out = width * 4 if bottleneck else width
            y = basic_path(net, x, channels, width, stride, bottleneck)
            if stride != 1 or channels != out:
                x = net.norm(net.conv(x, channels, out, 1, stride), out)
            x, channels = net.relu(net.node("Add", y, x)), out
    return net.classify(x, channels)


def basic_path(
    net: Network, x: str, channels: int, width: int, stride: int, bottleneck: bool
) -> str:
    """The residual path of a ResNet block, up to its addition."""
    if not bottleneck:
        y = net.relu(net.norm(net.conv(x, channels, width, 3, stride), width))
        return net.norm(net.conv(y, width, width, 3), width, 0.5)
    y = net.relu(net.norm(net.conv(x, channels, width, 1), width))
    y = net.relu(net.norm(net.conv(y, width, width, 3, stride), width))
    return net.norm(net.conv(y, width, width * 4, 1), width * 4, 0.5)


def vgg(net: Network, repeats: int) -> str:
    """VGG (arXiv 1409.1556): with 3 repeats VGG-16, configuration D; with 4 VGG-19, E."""
    x, channels = "input", 3
    for count, width in ((2, 64), (2, 128), (repeats, 256), (repeats, 512), (repeats, 512)):
        for _ in range(count):
            x, channels = net.relu(net.conv(x, channels, width, 3)), width
        x = net.max_pool(x, 2, 2)
    x = net.node("Flatten", x)
    x = net.relu(net.linear(x, 512 * 49, 4096))
    return net.linear(net.relu(net.linear(x, 4096, 4096)), 4096, CLASSES)


def vgg8(net: Network) -> str:
    """The VGG8 for CIFAR-10 that MNSIM 2.0 comes with."""
    x, channels = "input", 3
    for width in (128, 256, 512):
        x = net.relu(net.conv(x, channels, width, 3))
        x = net.max_pool(net.relu(net.conv(x, width, width, 3)), 2, 2)
        channels = width
    # Without padding: 4x4 becomes 2x2, and then one.
    x = net.relu(net.conv(x, channels, 1024, 3, pad=0))
    x = net.node("Flatten", net.max_pool(x, 2, 2))
    return net.linear(x, 1024, 10)


def squeezenet(net: Network) -> str:
    """SqueezeNet 1.1 (arXiv 1602.07360)."""
    x = net.max_pool(net.relu(net.conv("input", 3, 64, 3, 2)), 3, 2)
    channels = 64
    stages = (((16, 64), (16, 64)), ((32, 128), (32, 128)),
              ((48, 192), (48, 192), (64, 256), (64, 256)))  # fmt: skip
    for index, stage in enumerate(stages):
        for squeezed, width in stage:
            y = net.relu(net.conv(x, channels, squeezed, 1))
            left = net.relu(net.conv(y, squeezed, width, 1))
            right = net.relu(net.conv(y, squeezed, width, 3))
            x, channels = net.node("Concat", left, right, axis=1), 2 * width
        if index < 2:
            x = net.max_pool(x, 3, 2)
    x = net.relu(net.conv(net.node("Dropout", x), channels, CLASSES, 1))
    return net.node("Flatten", net.node("GlobalAveragePool", x))


def mobilenet_v2(net: Network) -> str:
    """MobileNetV2 (arXiv 1801.04381, table 2)."""
    x, channels = net.relu6(net.norm(net.conv("input", 3, 32, 3, 2), 32)), 32
    stages = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1),
              (6, 160, 3, 2), (6, 320, 1, 1))  # fmt: skip
    for expansion, out, count, first_stride in stages:
        for block in range(count):
            stride, wide, y = first_stride if block == 0 else 1, channels * expansion, x
            if expansion != 1:
                y = net.relu6(net.norm(net.conv(y, channels, wide, 1), wide))
            y = net.relu6(net.norm(net.conv(y, wide, wide, 3, stride, groups=wide), wide))
            y = net.norm(net.conv(y, wide, out, 1), out)
            x = net.node("Add", x, y) if stride == 1 and channels == out else y
            channels = out
    x = net.relu6(net.norm(net.conv(x, channels, 1280, 1), 1280))
    return net.classify(x, 1280)


TOPOLOGIES: dict[str, Callable[[Network], str]] = {
    "resnet18": lambda net: resnet(net, (2, 2, 2, 2), bottleneck=False),
    "resnet50": lambda net: resnet(net, (3, 4, 6, 3), bottleneck=True),
    "resnet101": lambda net: resnet(net, (3, 4, 23, 3), bottleneck=True),
    "vgg8": vgg8,
    "vgg16": lambda net: vgg(net, 3),
    "vgg19": lambda net: vgg(net, 4),
    "squeezenet": squeezenet,
    "mobilenet_v2": mobilenet_v2,
}


def build(name: str, seed: int = 0) -> onnx.ModelProto:
    """One of the topologies, checked."""
    net = Network(seed)
    output = TOPOLOGIES[name](net)
    model = net.model(name, output, *SMALL.get(name, (224, CLASSES)))
    onnx.checker.check_model(model)
    return model


def main(arguments: list[str] | None = None) -> None:
    """Write one model."""
    parser = argparse.ArgumentParser(description="Write a well-known network as an ONNX file.")
    parser.add_argument("name", choices=sorted(TOPOLOGIES))
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    onnx.save(build(options.name, options.seed), options.output)


if __name__ == "__main__":
    main()
