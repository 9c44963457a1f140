"""An ONNX graph in the making: nodes, constants, names, and what the metadata tell of it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, helper, numpy_helper

from epimc.ir.core import Module, Op, Value

OPSET = 13
IR_VERSION = 8
BATCH = "N"
PREFIX_KEY = "epimc.integer_prefix"
WIRING_KEY = "epimc.wiring"
SCALE_KEY = "SCALE_TENSOR"  # ONNX's own word for it, in annotations of quantized tensors.


def integer_prefix(borders: Iterable[str]) -> str:
    """What the names of integer tensors begin with, so that they meet no name of the user's."""
    names, prefix = list(borders), "%"
    while any(name.startswith(prefix) for name in names):
        prefix += "%"
    return prefix


class Graph:
    """Collects nodes and initializers."""

    def __init__(self, module: Module) -> None:
        """Start an empty graph for a module."""
        self.module = module
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}
        self.prefix = integer_prefix(name for name, _ in (*module.inputs, *module.outputs))
        self.names = {value: self.prefix + value.name for value in module.values()}
        # Graph inputs and outputs keep the names of the user's model.
        self.names |= {value: name for name, value in module.inputs}
        self.names |= {value: name for name, value in module.outputs}

    def constant(self, name: str, array: NDArray[Any] | np.generic) -> str:
        """Add an initializer; returns its name."""
        # np.asarray keeps scalars scalars, which onnxruntime demands of zero points.
        self.constants[name] = numpy_helper.from_array(np.asarray(array), name)
        return name

    def node(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        """Add a node with one output; returns the output's name."""
        self.nodes.append(
            helper.make_node(kind, inputs, [output], f"{output}/{kind}", **attributes)
        )
        return output

    def input_of(self, op: Op, index: int = 0) -> str:
        """The tensor of an operand."""
        return self.names[op.operands[index]]

    def annotations(self) -> Iterator[onnx.TensorAnnotation]:
        """What one step of each tensor of activations stands for."""
        for value in self.module.values():
            if value.type.is_activation:
                name = self.names[value]
                scale = self.constant(f"{name}.scale", np.float32(value.type.scale or 1.0))
                entry = onnx.StringStringEntryProto(key=SCALE_KEY, value=scale)
                yield onnx.TensorAnnotation(tensor_name=name, quant_parameter_tensor_names=[entry])

    def model(self) -> ModelProto:
        """The whole model, made once: the constants are handed over to it."""
        annotations = list(self.annotations())
        graph = helper.make_graph(
            self.nodes,
            self.module.name,
            [self.border(name, value) for name, value in self.module.inputs],
            [self.border(name, value) for name, value in self.module.outputs],
        )
        graph.quantization_annotation.extend(annotations)
        opsets = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(graph, opset_imports=opsets, producer_name="epimc")
        model.ir_version = IR_VERSION
        props = {PREFIX_KEY: self.prefix, WIRING_KEY: json.dumps(self.wiring())}
        helper.set_model_props(model, props)
        # Each of them is copied, which must not double a large model.
        for name in list(self.constants):
            model.graph.initializer.append(self.constants.pop(name))
        return model

    def wiring(self) -> dict[str, list[str]]:
        """What each value is computed from, by name; outputs behind `=> `."""
        module = self.module
        found = {op.output.name: [v.name for v in op.operands] for op in module.ops}
        found |= {
            f"=> {name}": found.pop(value.name, [value.name]) for name, value in module.outputs
        }
        return found | {value.name: [f"<= {name}"] for name, value in module.inputs}

    @staticmethod
    def border(name: str, value: Value) -> onnx.ValueInfoProto:
        """An input or output of the graph, for any number of samples."""
        shape: list[str | int | None] = [BATCH, *value.type.shape]
        whole = value.type.is_activation
        element = onnx.TensorProto.UINT8 if whole else onnx.TensorProto.FLOAT
        return helper.make_tensor_value_info(name, element, shape)


def channelwise(values: NDArray[Any], rank: int) -> NDArray[Any]:
    """[…, C] as […, 1, C, 1, …] to broadcast over [N, C, …] of `rank` per-sample dimensions."""
    shape = (*values.shape[:-1], 1, values.shape[-1], *(1,) * (rank - 1))
    return values.reshape(shape)
