"""Small networks of the operators between convolutions, each as an ONNX model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

Array = NDArray[Any]


class Network:
    """A model built node by node; every method returns the name of its result."""

    def __init__(self, shapes: Mapping[str, Sequence[int]], batch: int | str = "N") -> None:
        """Declare the inputs by name, with the shapes of one sample."""
        self.random = np.random.default_rng(0)
        self.inputs = [helper.make_tensor_value_info(k, 1, [batch, *s]) for k, s in shapes.items()]
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, array: Array) -> str:
        """A constant tensor."""
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def node(self, op_type: str, *inputs: str, **attributes: Any) -> str:
        """An operator."""
        name = f"{op_type.lower()}{len(self.nodes)}"
        node = helper.make_node(op_type, inputs, [name], name, **attributes)
        self.nodes.append(node)
        return name

    def floats(self, *shape: int, scale: float = 1.0) -> Array:
        """Random float32 numbers."""
        return (self.random.standard_normal(shape) * scale).astype(np.float32)

    def conv(self, x: str, cin: int, cout: int, size: int = 3, **attributes: Any) -> str:
        """A convolution that keeps the size of the map, with a bias."""
        weight = self.constant(self.floats(cout, cin, size, size, scale=(cin * size**2) ** -0.5))
        bias = self.constant(self.floats(cout, scale=0.1))
        given = {"pads": [size // 2] * 4, **attributes}
        return self.node("Conv", x, weight, bias, **given)

    def model(self, *outputs: str) -> onnx.ModelProto:
        """The model with these outputs."""
        results = [helper.make_tensor_value_info(name, 1, None) for name in outputs]
        graph = helper.make_graph(self.nodes, "graph", self.inputs, results, self.constants)
        opsets = [helper.make_opsetid("", 20)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=9)


def fire() -> onnx.ModelProto:
    """Two fire modules as in SqueezeNet: a squeeze, two expansions side by side; then a classifier.

    The second one's concatenation is also read by a shortcut and through a pool.
    """
    net = Network({"x": (3, 10, 9)})
    x, channels = net.node("Relu", net.conv("x", 3, 6)), 6
    for _ in range(2):
        squeezed = net.node("Relu", net.conv(x, channels, 4, 1))
        parts = [net.node("Relu", net.conv(squeezed, 4, 5, size)) for size in (1, 3)]
        x, channels = net.node("Concat", *parts, axis=1), 10
    shortcut = net.conv(x, 10, 10, 1)
    x = net.node("Concat", net.node("Add", x, shortcut), x, axis=1)
    x = net.node("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    x = net.node("ReduceMean", net.conv(x, 20, 7, 1), net.constant(np.array([2, 3])), keepdims=0)
    return net.model(net.node("Concat", x, net.node("Tanh", x), axis=1))


def prelu() -> onnx.ModelProto:
    """Slopes for each channel, and padded shortcuts as blazeface has them."""
    # A constant beside a map fixes the batch.
    net = Network({"x": (3, 8, 8)}, batch=1)
    x = net.node("PRelu", net.conv("x", 3, 5), net.constant(net.floats(5, 1, 1, scale=0.3)))
    pooled = net.node("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    zeros = net.constant(np.zeros((1, 3, 4, 4), np.float32))
    grown = net.node("Concat", pooled, zeros, axis=1)
    pads = net.constant(np.array([0, 0, 0, 0, 0, 0, 1, 1]))
    padded = net.node("Pad", x, pads)
    x = net.node("Add", net.conv(padded, 5, 8, strides=[2, 2], pads=[0] * 4), grown)
    x = net.node("LeakyRelu", x, alpha=0.2)
    pads = net.constant(np.array([0, 1, 1, 2, 0, 2, 0, 1]))
    framed = net.node("Pad", x, pads)
    return net.model(net.node("PRelu", framed, net.constant(np.array([0.5], np.float32))))


def relu6() -> onnx.ModelProto:
    """Bounded activations, residuals that are added and subtracted, norms that nothing takes."""
    net = Network({"x": (4, 7, 7)})
    bounds = [net.constant(np.array(value, np.float32)) for value in (0, 6)]
    names = [net.constant(net.floats(4)) for _ in range(3)]
    normed = net.node(
        "BatchNormalization", "x", *names, net.constant(net.random.uniform(0.5, 2, 4)
                                                        .astype(np.float32))
    )  # fmt: skip
    x = net.node("Clip", net.conv(normed, 4, 4), *bounds)
    x = net.node("Sub", net.conv(x, 4, 4), x)
    scale = net.constant(np.array([1.5, 0.0, -2.0, 1e-9], np.float32).reshape(4, 1, 1))
    x = net.node("Add", net.node("Mul", x, scale), normed)
    x = net.node("Clip", net.node("Neg", x), net.constant(np.array(-2.5, np.float32)), "")
    halves = net.node("Div", net.node("Sub", bounds[1], x), net.constant(np.array(2, np.float32)))
    return net.model(net.node("Relu", normed), halves)


def gate() -> onnx.ModelProto:
    """Squeeze-excite, swish as a product, a square that is added; a vector becomes a map."""
    net = Network({"x": (6, 6, 5)})
    x = net.conv("x", 6, 6)
    x = net.node("Mul", x, net.node("Sigmoid", x))
    squeezed = net.node("Flatten", net.node("GlobalAveragePool", x))
    weight = net.constant(net.floats(6, 6, scale=0.5))
    excited = net.node("HardSigmoid", net.node("Gemm", squeezed, weight), alpha=0.3)
    axes = net.constant(np.array([2, 3]))
    gates = net.node("Unsqueeze", excited, axes)
    gated = net.node("Mul", gates, x)
    x = net.node("Add", net.node("Mul", gated, gated), net.conv(gated, 6, 6, 1))
    return net.model(net.node("Gelu", x), gated)


def means() -> onnx.ModelProto:
    """Means over clipped and rounded windows; attention over places, as in CBAM."""
    net = Network({"x": (4, 9, 8)})
    x = net.node("Relu", net.conv("x", 4, 6))
    window = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
    mean = net.node("AveragePool", x, **window)
    x = net.node("Relu", net.node("Add", mean, net.conv(x, 6, 6)))
    x = net.node("AveragePool", x, kernel_shape=[2, 2], strides=[2, 3], ceil_mode=1)
    axes = net.constant(np.array([1]))
    seen = [net.node(kind, x, axes) for kind in ("ReduceMean", "ReduceMax")]
    place = net.node("Sigmoid", net.conv(net.node("Concat", *seen, axis=1), 2, 1))
    x = net.node("Mul", place, x)
    shift = net.node("GlobalMaxPool", x)
    summed = net.node(
        "ReduceSum", net.node("Sub", shift, x), net.constant(np.array([2])), keepdims=0
    )
    return net.model(net.node("ReduceMin", x, axes), summed)


def moved() -> onnx.ModelProto:
    """Halves that go different ways and are shuffled; constants beside and on maps; borders."""
    # A constant beside a map fixes the batch.
    net = Network({"x": (4, 6, 7)}, batch=1)
    net.nodes.append(helper.make_node("Split", ["x"], ["a", "b"], "split", axis=1, num_outputs=2))
    b = net.node("Gather", "b", net.constant(np.array([1, 0, 1])), axis=1)
    a = net.node("Max", net.conv("a", 2, 3), b)
    x = net.node("Concat", a, net.constant(net.floats(1, 3, 2, 7)), b, axis=2)
    x = net.node("Add", x, net.constant(net.floats(3, 14, 7)))
    x = net.node("Mul", net.constant(net.floats(14, 7)), x)
    edges = net.constant(np.array([0, 0, 1, 2, 0, 0, 3, 0]))
    x = net.node("Pad", x, edges, mode="reflect")
    x = net.node("Pad", net.conv(x, 3, 4), edges, net.constant(np.array(0.5, np.float32)))
    ends = [net.constant(np.array(numbers)) for numbers in ([3, -2], [-4, 0], [2, 3], [1, -2])]
    cut = net.node("Slice", x, *ends)
    wide = net.node("Concat", cut, net.node("Neg", cut), axis=-1)
    shape = net.constant(np.array([1, 4, 2, 3]))
    grown = net.node("Expand", net.node("GlobalMaxPool", x), shape)
    return net.model(net.node("Softplus", wide), grown)


def last() -> onnx.ModelProto:
    """Channels last: concatenations, biases, slopes and pads along the last axis."""
    net = Network({"x": (8, 7, 3)})

    def conv(x: str, cin: int, cout: int, size: int = 3) -> str:
        first = net.node("Transpose", x, perm=[0, 3, 1, 2])
        return net.node("Transpose", net.conv(first, cin, cout, size), perm=[0, 2, 3, 1])

    x = net.node("Add", conv("x", 3, 4), net.constant(net.floats(4)))
    x = net.node("PRelu", x, net.constant(net.floats(1, 1, 4, scale=0.2)))
    x = net.node("Concat", x, conv(x, 4, 2), axis=3)
    x = net.node("Pad", x, net.constant(np.array([0, 1, 0, 0, 0, 1, 2, 2])))
    halves = [net.constant(np.array(numbers)) for numbers in ([2], [7], [3])]
    x = net.node("Slice", x, *halves)
    return net.model(net.node("Mul", conv(x, 5, 2, 1), net.constant(net.floats(2))))


def grown() -> onnx.ModelProto:
    """Shuffled channels; maps made smaller by blocks and larger by both ways, beside a shortcut."""
    net = Network({"x": (4, 6, 8)})
    x = net.node("Relu", net.conv("x", 4, 6))
    for shape, perm in (([0, 2, 3, 6, 8], [0, 2, 1, 3, 4]), ([0, 6, 6, 8], [0, 1, 2, 3])):
        x = net.node("Reshape", x, net.constant(np.array(shape)))
        x = net.node("Transpose", x, perm=perm)
    blocks = net.node("SpaceToDepth", net.conv(x, 6, 2), blocksize=2)
    small = net.node("HardSwish", net.conv(blocks, 8, 8))
    scales = net.constant(np.array([1, 1, 2, 2], np.float32))
    nearest = net.node("Resize", small, "", scales, mode="nearest")
    places = net.node("DepthToSpace", small, blocksize=2, mode="CRD")
    x = net.node("Concat", nearest, places, x, axis=1)
    return net.model(net.conv(x, 16, 3, 1))


def functions() -> onnx.ModelProto:
    """Functions without an importer of their own, alone and in chains; an exported Gelu."""
    net = Network({"x": (4, 6, 5)})
    x = net.conv("x", 4, 4)
    halves = net.node("Div", x, net.constant(np.array(np.sqrt(2), np.float32)))
    one = net.constant(np.array(1, np.float32))
    x = net.node("Mul", x, net.node("Add", net.node("Erf", halves), one))
    positive = net.node("Add", net.node("Abs", net.conv(x, 4, 4)), one)
    logs = net.node("Log", positive)
    waves = net.node("Relu", net.node("Sin", net.conv(logs, 4, 4)))
    cubes = net.node("Pow", net.node("Sub", waves, logs), net.constant(np.array(3, np.float32)))
    inverse = net.node("Div", one, net.node("Sqrt", positive))
    return net.model(net.conv(cubes, 4, 4), inverse)


def signal() -> onnx.ModelProto:
    """One axis: convolutions and pools; a decoder, whose kernel is not a multiple of its stride."""
    net = Network({"x": (3, 24)})

    def layer(op_type: str, x: str, shape: tuple[int, ...], **attributes: Any) -> str:
        weight = net.constant(net.floats(*shape, scale=0.3))
        bias = net.constant(net.floats(shape[op_type == "ConvTranspose"], scale=0.1))
        return net.node(op_type, x, weight, bias, **attributes)

    x = net.node("Relu", layer("Conv", "x", (4, 3, 5), pads=[2, 2]))
    shortcut = x = net.node("MaxPool", x, kernel_shape=[2], strides=[2])
    x = net.node("Relu", layer("Conv", x, (4, 2, 3), pads=[2, 2], dilations=[2], group=2))
    x = net.node("Add", x, shortcut)
    means = net.node("AveragePool", x, kernel_shape=[3], strides=[2], pads=[1, 0])
    x = net.node("Sigmoid", layer("ConvTranspose", means, (4, 3, 5), strides=[4], pads=[1, 0]))
    return net.model(x, net.node("GlobalMaxPool", means))


def decoder() -> onnx.ModelProto:
    """Maps made larger by transposed convolutions: dense, in groups, with more and with less."""
    net = Network({"x": (4, 5, 4)})

    def larger(x: str, shape: tuple[int, ...], group: int = 1, **attributes: Any) -> str:
        weight = net.constant(net.floats(*shape, scale=0.4))
        bias = net.constant(net.floats(shape[1] * group, scale=0.1))
        return net.node("ConvTranspose", x, weight, bias, strides=[2, 2], group=group, **attributes)

    x = net.node("Relu", larger("x", (4, 6, 4, 4), pads=[1, 1, 1, 1]))
    names = [net.constant(net.random.uniform(0.5, 2, 6).astype(np.float32)) for _ in range(4)]
    x = net.node("BatchNormalization", larger(x, (6, 1, 2, 2), 6), *names)
    y = net.node("Concat", net.node("Relu", x), x, axis=1)
    y = larger(y, (12, 2, 3, 3), pads=[1, 1, 1, 1], output_padding=[1, 0])
    return net.model(net.node("Tanh", y), x)


def mixer() -> onnx.ModelProto:
    """Tokens of patches, mixed among each other and each by itself, as in MLP-Mixer."""
    net = Network({"x": (3, 6, 8)})
    patches = net.node("Relu", net.conv("x", 3, 8, 2, strides=[2, 2], pads=[0] * 4))
    flat = net.node("Reshape", patches, net.constant(np.array([0, 8, -1])))
    x = net.node("Transpose", flat, perm=[0, 2, 1])
    among = net.node("MatMul", net.constant(net.floats(12, 12, scale=0.3)), x)
    x = net.node("Add", net.node("Add", among, net.constant(net.floats(12, 1))), x)
    wide = net.node("MatMul", x, net.constant(net.floats(8, 16, scale=0.3)))
    wide = net.node("Relu", net.node("Add", wide, net.constant(net.floats(16, scale=0.3))))
    narrow = net.node("MatMul", wide, net.constant(net.floats(16, 8, scale=0.3)))
    x = net.node("Add", net.node("Add", narrow, net.constant(net.floats(8, scale=0.3))), x)
    heads = net.node("Reshape", x, net.constant(np.array([0, 12, 2, 4])))
    mixed = net.node(
        "Einsum", heads, net.constant(net.floats(2, 4, 3, scale=0.5)), equation="nthd,hde->nhte"
    )
    last = net.node("Flatten", mixed)
    return net.model(net.node("Gemm", last, net.constant(net.floats(72, 5, scale=0.1))), narrow)


def folded() -> onnx.ModelProto:
    """A batch of 1 among other axes: halves of shuffled channels, and rows for a Gemm."""
    net = Network({"x": (3, 6, 6)}, batch=1)
    x = net.node("Relu", net.conv("x", 3, 8))
    x = net.node("Reshape", x, net.constant(np.array([4, 2, 36])))
    x = net.node("Transpose", x, perm=[1, 0, 2])
    x = net.node("Reshape", x, net.constant(np.array([2, -1, 4, 6, 6])))
    left, right = (net.node("Gather", x, net.constant(np.array(k)), axis=0) for k in (0, 1))
    x = net.node("Concat", net.conv(left, 4, 4, 1), right, axis=1)
    rows = net.node("Transpose", x, perm=[2, 3, 1, 0])
    rows = net.node("Reshape", rows, net.constant(np.array([-1, 8])))
    weight, offset = net.constant(net.floats(8, 5, scale=0.3)), net.constant(net.floats(5))
    rows = net.node("LeakyRelu", net.node("Gemm", rows, weight, offset), alpha=0.3)
    return net.model(net.node("Reshape", rows, net.constant(np.array([1, 36, 5]))))


NETWORKS: dict[str, Callable[[], onnx.ModelProto]] = {
    "fire": fire,
    "prelu": prelu,
    "relu6": relu6,
    "gate": gate,
    "means": means,
    "moved": moved,
    "last": last,
    "grown": grown,
    "signal": signal,
    "decoder": decoder,
    "mixer": mixer,
    "folded": folded,
}

# Their tables are onnxruntime's, in float32: another processor may round one of them otherwise.
EVALUATED: dict[str, Callable[[], onnx.ModelProto]] = {"functions": functions}
