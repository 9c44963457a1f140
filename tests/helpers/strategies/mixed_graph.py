"""A random graph of tensors of any type and rank, that grows node by node."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto as T
from onnx import helper, numpy_helper

from epimc.support.port_types import PortType

Dims: TypeAlias = tuple[int | str, ...]
"""Sizes in ONNX; the symbol of a free batch may be the first."""

REALS = (T.FLOAT, T.FLOAT16, T.DOUBLE)


@dataclass(frozen=True)
class Kind:
    """What a tensor is.

    Attributes:
        element: Of ONNX.
        dims: None where they depend on the data: there are two.
        is_list: Whether it is a sequence of such tensors.
    """

    element: int
    dims: Dims | None
    is_list: bool = False

    @property
    def is_real(self) -> bool:
        """Whether it is one tensor of float32 of known shape, not empty and of rank 1 at least."""
        return self.element == T.FLOAT and bool(self.dims) and not self.is_list

    @property
    def inner(self) -> tuple[int, ...]:
        """The sizes behind axis 0."""
        assert self.dims
        return tuple(int(size) for size in self.dims[1:])

    def like(self, element: int) -> Kind:
        """The same with other elements."""
        return Kind(element, self.dims)

    def info(self, name: str) -> onnx.ValueInfoProto:
        """The declaration of an output."""
        dims = ("rows", "columns") if self.dims is None else self.dims
        if self.is_list:
            return helper.make_tensor_sequence_value_info(name, self.element, dims)
        return helper.make_tensor_value_info(name, self.element, dims)


@dataclass
class MixedGraph:
    """A graph that grows node by node.

    Attributes:
        random: Makes the weights.
        opset: Of the operators.
        kinds: All tensors that nodes may read, by name.
        nodes: All nodes.
        constants: All initializers.
        inputs: The names of the inputs.
    """

    random: np.random.Generator
    opset: int
    kinds: dict[str, Kind] = field(default_factory=dict)
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)
    inputs: list[str] = field(default_factory=list)

    def input(self, element: int, dims: Dims) -> str:
        """Declare an input; its name."""
        name = f"x{len(self.inputs)}"
        self.inputs.append(name)
        self.kinds[name] = Kind(element, dims)
        return name

    def node(
        self, operator: str, inputs: Sequence[str], kind: Kind, *more: Kind, **attributes: Any
    ) -> str:
        """Append a node with a result of each kind; the name of the first."""
        name = f"{operator.lower()}{len(self.nodes)}"
        names = [name, *(f"{name}_{k}" for k in range(1, 1 + len(more)))]
        node = helper.make_node(operator, list(inputs), names, f"n/{name}", **attributes)
        self.nodes.append(node)
        self.kinds.update(zip(names, (kind, *more), strict=True))
        return name

    def constant(self, array: Any, element: int = T.FLOAT) -> str:
        """Append an initializer; its name."""
        name = f"c{len(self.constants)}"
        numbers = np.asarray(array, helper.tensor_dtype_to_np_dtype(element))
        self.constants.append(numpy_helper.from_array(numbers, name))
        return name

    def normal(self, *shape: int) -> NDArray[Any]:
        """Weights that keep a product in the range of its inputs."""
        fan = max(1, int(np.prod(shape[:-1])))
        return np.asarray(self.random.standard_normal(shape) / np.sqrt(fan))

    def which(self, fits: Callable[[Kind], bool]) -> list[str]:
        """The tensors that fit, the newest last."""
        return [name for name, kind in self.kinds.items() if fits(kind)]

    def model(self, outputs: Sequence[str]) -> onnx.ModelProto:
        """The model with these outputs."""
        inputs = [
            helper.make_tensor_value_info(name, self.kinds[name].element, self.kinds[name].dims)
            for name in self.inputs
        ]
        results = [self.kinds[name].info(name) for name in outputs]
        graph = helper.make_graph(self.nodes, "mixed", inputs, results, self.constants)
        opsets = [helper.make_opsetid("", self.opset)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
        onnx.checker.check_model(model)
        return model


def drawn(random: np.random.Generator, kind: PortType, count: int) -> NDArray[Any]:
    """Samples of an input that is a tensor: of texts, decimal numbers."""
    shape = (count, *(kind.shape or ()))
    element = kind.kind.removeprefix("tensor(").removesuffix(")")
    if element == "string":
        return random.integers(-40, 40, shape).astype(str).astype(object)
    if element == "bool":
        return random.integers(0, 2, shape).astype(bool)
    if element in ("uint8", "int64"):
        return random.integers(0, 200, shape).astype(element)
    name = {"float": "float32", "double": "float64"}.get(element, element)
    return random.standard_normal(shape).astype(name)
