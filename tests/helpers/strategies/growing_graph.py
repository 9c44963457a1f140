"""A random ONNX graph that grows node by node, and the windows of its convolutions and pools."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import helper, numpy_helper

Draw = st.DrawFn
Shape = tuple[int, ...]


@dataclass
class GrowingGraph:
    """A graph that grows node by node.

    Attributes:
        random: Makes the weights.
        batch: Of the inputs: a number or a symbol.
        opset: Of the operators.
        nodes: All nodes.
        constants: All initializers.
        inputs: Shapes of one sample by name.
        shapes: Shapes of one sample of what later nodes may read, inputs included.
    """

    random: np.random.Generator
    batch: int | str
    opset: int
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)
    inputs: dict[str, Shape] = field(default_factory=dict)
    shapes: dict[str, Shape] = field(default_factory=dict)

    def input(self, shape: Shape) -> str:
        """Declare an input; its name."""
        name = f"x{len(self.inputs)}"
        self.inputs[name] = self.shapes[name] = shape
        return name

    def node(self, kind: str, inputs: list[str], shape: Shape, **attributes: Any) -> str:
        """Append a node; its output's name."""
        name = f"{kind.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], f"n/{name}", **attributes))
        self.shapes[name] = shape
        return name

    def constant(self, array: NDArray[Any]) -> str:
        """Append an initializer of floats; its name."""
        return self.store(array.astype(np.float32))

    def store(self, array: NDArray[Any]) -> str:
        """Append an initializer as it is; its name."""
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def normal(self, *shape: int) -> NDArray[Any]:
        """Weights that keep a layer's outputs in the range of its inputs."""
        fan = max(1, int(np.prod(shape[1:])))
        return np.asarray(self.random.standard_normal(shape) / np.sqrt(fan))

    def alike(self, x: str) -> list[str]:
        """The values of the shape of x, itself included."""
        return [name for name, shape in self.shapes.items() if shape == self.shapes[x]]

    def model(self, outputs: list[str]) -> onnx.ModelProto:
        """The model with these outputs."""
        inputs, results = (
            [helper.make_tensor_value_info(name, 1, [self.batch, *shapes[name]]) for name in names]
            for names, shapes in ((list(self.inputs), self.inputs), (outputs, self.shapes))
        )
        graph = helper.make_graph(self.nodes, "random", inputs, results, self.constants)
        opsets = [helper.make_opsetid("", self.opset)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=9)
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
    """A sliding window with the size of its result."""

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


def geometry(draw: Draw, size: Shape, *, dilated: bool = True) -> Geometry:
    """A window that fits [height, width]; no window lies in the padding alone."""
    sides: list[tuple[int, ...]] = []
    for length in size:
        dilation = draw(st.integers(1, 2)) if dilated else 1
        kernel = draw(st.integers(1, 3))
        most = min(kernel - 1, 2)
        first, last = draw(st.integers(0, most)), draw(st.integers(0, most))
        stride = draw(st.integers(1, 3))
        if length < (kernel - 1) * dilation + 1:
            kernel, dilation, first, last = 1, 1, 0, 0
        result = (length + first + last - (kernel - 1) * dilation - 1) // stride + 1
        sides.append((kernel, stride, first, last, dilation, result))
    (ky, sy, top, bottom, dy, height), (kx, sx, left, right, dx, width) = sides
    return Geometry((ky, kx), (sy, sx), (top, left, bottom, right), (dy, dx), (height, width))


def same_size(size: Shape, kernel: int) -> Geometry:
    """A square window of an odd kernel that keeps [height, width]."""
    pad = kernel // 2
    return Geometry((kernel, kernel), (1, 1), (pad, pad, pad, pad), (1, 1), (size[0], size[1]))
