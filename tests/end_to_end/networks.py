"""Random small networks and random small targets, for hypothesis."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from epimc.backends.crossbar.target import Target

Draw = st.DrawFn
Shape = tuple[int, ...]

MOST_ELEMENTS = 1500
OPSET = 13


@dataclass
class Network:
    """A graph that grows node by node.

    Attributes:
        random: Makes the weights.
        batch: Of the inputs: a number or a symbol.
        nodes: All nodes.
        constants: All initializers.
        inputs: Shapes of one sample by name.
        shapes: Shapes of one sample of everything that has been computed, inputs included.
    """

    random: np.random.Generator
    batch: int | str
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)
    inputs: dict[str, Shape] = field(default_factory=dict)
    shapes: dict[str, Shape] = field(default_factory=dict)

    def node(self, kind: str, inputs: list[str], shape: Shape, **attributes: Any) -> str:
        """Append a node; its output's name."""
        name = f"{kind.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], f"n/{name}", **attributes))
        self.shapes[name] = shape
        return name

    def constant(self, array: NDArray[Any]) -> str:
        """Append an initializer; its name."""
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(array.astype(np.float32), name))
        return name

    def normal(self, *shape: int) -> NDArray[Any]:
        """Weights that keep a layer's outputs in the range of its inputs."""
        fan = max(1, int(np.prod(shape[1:])))
        return np.asarray(self.random.standard_normal(shape) / np.sqrt(fan))

    def model(self, outputs: list[str]) -> onnx.ModelProto:
        """The model with these outputs."""
        inputs, results = (
            [helper.make_tensor_value_info(name, 1, [self.batch, *shapes[name]]) for name in names]
            for names, shapes in ((list(self.inputs), self.inputs), (outputs, self.shapes))
        )
        graph = helper.make_graph(self.nodes, "random", inputs, results, self.constants)
        opsets = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
        onnx.checker.check_model(model, full_check=True)
        return model

    def samples(self, count: int) -> dict[str, NDArray[np.float32]]:
        """Standard normal samples for all inputs."""
        return {
            name: self.random.standard_normal((count, *shape)).astype(np.float32)
            for name, shape in self.inputs.items()
        }


@dataclass(frozen=True)
class Geometry:
    """A sliding window with the shape of its result."""

    kernel: tuple[int, int]
    strides: tuple[int, int]
    pads: tuple[int, int, int, int]
    dilations: tuple[int, int]
    size: tuple[int, int]

    @property
    def attributes(self) -> dict[str, list[int]]:
        """As ONNX attributes."""
        return {
            "kernel_shape": list(self.kernel),
            "strides": list(self.strides),
            "pads": list(self.pads),
            "dilations": list(self.dilations),
        }


def geometry(draw: Draw, size: Shape, *, padded: bool = True, dilated: bool = True) -> Geometry:
    """A window that fits [height, width]; no window lies in the padding alone."""
    found: list[tuple[int, ...]] = []
    for length in size:
        dilation = draw(st.integers(1, 2)) if dilated else 1
        kernel = draw(st.integers(1, 3))
        most = min(kernel - 1, 2) if padded else 0
        first, last = draw(st.integers(0, most)), draw(st.integers(0, most))
        stride = draw(st.integers(1, 3))
        if length < (kernel - 1) * dilation + 1:
            kernel, dilation, first, last = 1, 1, 0, 0
        result = (length + first + last - (kernel - 1) * dilation - 1) // stride + 1
        found.append((kernel, stride, first, last, dilation, result))
    (ky, sy, top, bottom, dy, height), (kx, sx, left, right, dx, width) = found
    return Geometry((ky, kx), (sy, sx), (top, left, bottom, right), (dy, dx), (height, width))


def conv(draw: Draw, net: Network, x: str, window: Geometry, channels: int) -> str:
    """A convolution, perhaps with a bias and a batch normalization."""
    weights = net.normal(channels, net.shapes[x][0], *window.kernel)
    if draw(st.integers(0, 9)) == 0:
        weights[draw(st.integers(0, channels - 1))] = 0
    inputs = [x, net.constant(weights)]
    if draw(st.booleans()):
        inputs.append(net.constant(net.normal(channels)))
    y = net.node("Conv", inputs, (channels, *window.size), **window.attributes)
    if draw(st.booleans()):
        spread = net.random.uniform(0.5, 2, channels)
        numbers = (spread, net.normal(channels), net.normal(channels), spread[::-1])
        constants = [net.constant(array) for array in numbers]
        # A normalization can only be folded into a convolution that nobody else reads.
        y = net.node("BatchNormalization", [y, *constants], net.shapes.pop(y))
    return y


def perhaps_relu(draw: Draw, net: Network, x: str) -> str:
    """A relu behind it, or nothing."""
    return net.node("Relu", [x], net.shapes[x]) if draw(st.booleans()) else x


def add_conv(draw: Draw, net: Network, x: str) -> str:
    """A convolution."""
    window = geometry(draw, net.shapes[x][1:])
    return perhaps_relu(draw, net, conv(draw, net, x, window, draw(st.integers(1, 10))))


def add_two_convs(draw: Draw, net: Network, x: str) -> str:
    """The sum of two convolutions of one value."""
    window, channels = geometry(draw, net.shapes[x][1:]), draw(st.integers(1, 6))
    both = [conv(draw, net, x, window, channels) for _ in range(2)]
    return perhaps_relu(draw, net, net.node("Add", both, net.shapes[both[0]]))


def add_residual(draw: Draw, net: Network, x: str) -> str:
    """The sum of a value with a convolution of it, of its size."""
    channels, *size = net.shapes[x]
    window = Geometry((3, 3), (1, 1), (1, 1, 1, 1), (1, 1), (size[0], size[1]))
    both = [x, conv(draw, net, x, window, channels)]
    total = net.node("Add", draw(st.permutations(both)), net.shapes[x])
    return perhaps_relu(draw, net, total)


def add_long_skip(draw: Draw, net: Network, x: str) -> str:
    """The sum of a value with what several convolutions make of it: its rows are kept for long."""
    channels, height, width = net.shapes[x]
    window = Geometry((3, 3), (1, 1), (1, 1, 1, 1), (1, 1), (height, width))
    y = x
    for _ in range(draw(st.integers(3, 6))):
        y = perhaps_relu(draw, net, conv(draw, net, y, window, channels))
    return perhaps_relu(draw, net, net.node("Add", [y, x], net.shapes[x]))


def add_sum(draw: Draw, net: Network, x: str) -> str:
    """The sum with a value of the same shape, perhaps with itself."""
    equal = [name for name, shape in net.shapes.items() if shape == net.shapes[x]]
    y = net.node("Add", [x, draw(st.sampled_from(equal))], net.shapes[x])
    return perhaps_relu(draw, net, y)


def add_relu(draw: Draw, net: Network, x: str) -> str:
    """A relu."""
    return net.node("Relu", [x], net.shapes[x])


def add_max_pool(draw: Draw, net: Network, x: str) -> str:
    """Maxima."""
    window = geometry(draw, net.shapes[x][1:])
    return net.node("MaxPool", [x], (net.shapes[x][0], *window.size), **window.attributes)


def add_average_pool(draw: Draw, net: Network, x: str) -> str:
    """Means."""
    window = geometry(draw, net.shapes[x][1:], dilated=False)
    attributes: dict[str, Any] = {**window.attributes, "count_include_pad": 1}
    del attributes["dilations"]
    return net.node("AveragePool", [x], (net.shapes[x][0], *window.size), **attributes)


def add_global_pool(draw: Draw, net: Network, x: str) -> str:
    """A mean or maximum over the whole map."""
    kind = draw(st.sampled_from(["GlobalAveragePool", "GlobalMaxPool"]))
    return net.node(kind, [x], (net.shapes[x][0], 1, 1))


STEPS = (
    add_conv,
    add_conv,
    add_two_convs,
    add_residual,
    add_long_skip,
    add_long_skip,
    add_sum,
    add_relu,
    add_max_pool,
    add_average_pool,
)


def add_classifier(draw: Draw, net: Network, x: str) -> str:
    """Flatten and one or two matmuls, perhaps behind a global pool."""
    if draw(st.booleans()):
        x = add_global_pool(draw, net, x)
    size = int(np.prod(net.shapes[x]))
    x = net.node("Flatten", [x], (size,), axis=1)
    for _ in range(draw(st.integers(1, 2))):
        classes = draw(st.integers(1, 12))
        inputs = [x, net.constant(net.normal(classes, net.shapes[x][0]))]
        if draw(st.booleans()):
            inputs.append(net.constant(net.normal(classes)))
        x = perhaps_relu(draw, net, net.node("Gemm", inputs, (classes,), transB=1))
    return x


@st.composite
def networks(draw: Draw) -> tuple[onnx.ModelProto, dict[str, NDArray[np.float32]]]:
    """A model, and samples for its inputs."""
    seed = draw(st.integers(0, 2**32 - 1))
    batches: list[int | str] = ["N", "N", 1, 3]
    net = Network(np.random.default_rng(seed), draw(st.sampled_from(batches)))
    shape = tuple(draw(st.tuples(st.integers(1, 5), st.integers(4, 14), st.integers(4, 10))))
    for number in range(draw(st.sampled_from([1, 1, 2]))):
        net.inputs[f"x{number}"] = net.shapes[f"x{number}"] = shape
    x = "x0"
    if len(net.inputs) == 2:
        x = net.node("Add", ["x0", add_conv_of_same_size(draw, net, "x1")], shape)
    for step in draw(st.lists(st.sampled_from(STEPS), min_size=2, max_size=7)):
        x = step(draw, net, x)
    if draw(st.booleans()):
        x = add_classifier(draw, net, x)
    others = [name for name in net.shapes if name not in (*net.inputs, x)]
    more = draw(st.lists(st.sampled_from(others), max_size=2, unique=True)) if others else []
    if draw(st.booleans()):
        more = []
    return net.model([x, *more]), net.samples(5)


def add_conv_of_same_size(draw: Draw, net: Network, x: str) -> str:
    """A 1x1 convolution that keeps the shape."""
    channels, height, width = net.shapes[x]
    window = Geometry((1, 1), (1, 1), (0, 0, 0, 0), (1, 1), (height, width))
    return conv(draw, net, x, window, channels)


@st.composite
def small_targets(draw: Draw) -> Target:
    """A target with small arrays and few of them on a tile; its ADC is always lossless."""
    return Target.from_dict(
        {
            "schema": 1,
            "name": "drawn",
            "crossbar": {
                "rows": draw(st.integers(9, 48)),
                "columns": draw(st.integers(8, 48)),
                "cell_bits": draw(st.integers(1, 4)),
                "mapping": draw(st.sampled_from(["offset", "twos_complement", "differential"])),
            },
            "converters": {"dac_bits": draw(st.integers(1, 4)), "adc_bits": 16},
            "tile": {"crossbars": draw(st.integers(1, 12)), "buffer_bytes": 8},
            "memory": {"off_chip_bytes": 2**24},
        }
    )
