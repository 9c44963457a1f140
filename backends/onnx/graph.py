"""An ONNX graph in the making: nodes, constants, names, and what the metadata tell of it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from epimc.backends.forms import Claim, Constant, Node, Tensor, scale_of, zero_point_of
from epimc.backends.onnx.large import LARGE, LargeModel, beside, flat
from epimc.ir.core.module import Module
from epimc.ir.core.op import Op
from epimc.ir.core.types import TensorType
from epimc.support.port_types import PortType

OPSET = 13
IR_VERSION = 8
BATCH = "N"
PREFIX_KEY = "epimc.integer_prefix"
ROLES_KEY = "epimc.roles"

# ONNX's own words for what its annotations of quantized tensors name.
SCALE_KEY, ZERO_POINT_KEY = "SCALE_TENSOR", "ZERO_POINT_TENSOR"


def integer_prefix(borders: Iterable[str]) -> str:
    """What the names of integer tensors begin with, so that they meet no name of the user's."""
    names, prefix = list(borders), "%"
    while any(name.startswith(prefix) for name in names):
        prefix += "%"
    return prefix


class Graph:
    """Collects nodes and initializers.

    Attributes:
        constants: The initializers by name.
        tensors: The bytes of those that are large, which are not copied.
    """

    def __init__(self, module: Module) -> None:
        """Start an empty graph for a module."""
        self.module = module
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}
        self.tensors: dict[str, NDArray[Any]] = {}
        # Of what the host runs, where there is any.
        self.opsets: dict[str, int] = {}
        self.prefix = integer_prefix(name for name, _ in (*module.inputs, *module.outputs))
        self.names = {value: self.prefix + value.name for value in module.values()}
        # Graph inputs and outputs keep the names of the user's model.
        self.names |= {value: name for name, value in module.inputs}
        self.names |= {value: name for name, value in module.outputs}

    def constant(self, name: str, array: NDArray[Any] | np.generic) -> str:
        """Add an initializer; returns its name."""
        if array.nbytes >= LARGE:
            kind = helper.np_dtype_to_tensor_dtype(array.dtype)
            tensor = onnx.TensorProto(data_type=kind, dims=array.shape, name=name)
            self.constants[name], self.tensors[name] = beside(tensor), flat(np.asarray(array))
        else:
            # np.asarray keeps scalars scalars, which onnxruntime demands of zero points.
            self.constants[name] = numpy_helper.from_array(np.asarray(array), name)
        return name

    def node(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        """Add a node with one output; returns the output's name."""
        self.nodes.append(node_proto(kind, inputs, output, attributes))
        return output

    def input_of(self, op: Op, index: int = 0) -> str:
        """The tensor of an operand."""
        return self.names[op.operands[index]]

    def properties(self) -> dict[str, str]:
        """The metadata of the model."""
        return {PREFIX_KEY: self.prefix}

    def model(self) -> LargeModel:
        """The whole model, made once: the constants are handed over to it."""
        graph = helper.make_graph(
            self.nodes,
            self.module.name,
            [border(n, v.type) for n, v in self.module.inputs],
            [border(n, v.type) for n, v in self.module.outputs],
        )
        opsets = [helper.make_opsetid(*entry) for entry in ({"": OPSET} | self.opsets).items()]
        model = helper.make_model(graph, opset_imports=opsets, producer_name="epimc")
        model.ir_version = IR_VERSION
        helper.set_model_props(model, self.properties())
        # Each of them is copied, which must not double a large model.
        for name in list(self.constants):
            model.graph.initializer.append(self.constants.pop(name))
        return LargeModel(model, self.tensors)


class IntegerGraph(Graph):
    """Collects forms, and declares what each initializer is."""

    def __init__(self, module: Module) -> None:
        """Start an empty graph for a quantized module."""
        super().__init__(module)
        self.roles: dict[str, Tensor] = {}

    def write(self, claims: Iterable[Claim]) -> None:
        """Add the constants and nodes of a form."""
        for claim in claims:
            if isinstance(claim, Constant):
                name = claim.tensor.name(self.prefix)
                self.roles[name] = claim.tensor
                self.constant(name, claim.array.astype(claim.element, copy=False))
            else:
                self.nodes.append(proto_of(claim, self.prefix))

    def properties(self) -> dict[str, str]:
        """Those of every graph, and the roles: [value, role] or [value, role, key] by name."""
        declared = {
            name: [part for part in tensor if part is not None]
            for name, tensor in self.roles.items()
        }
        return {**super().properties(), ROLES_KEY: json.dumps(declared)}

    def model(self) -> LargeModel:
        """The whole model, with annotations of all activations."""
        model = super().model()
        model.proto.graph.quantization_annotation.extend(
            annotation(value.name, self.prefix)
            for value in self.module.values()
            if value.type.is_activation
        )
        return model


def node_proto(
    kind: str, inputs: Iterable[str], output: str, attributes: Mapping[str, Any]
) -> onnx.NodeProto:
    """A node with one output, named after it."""
    return helper.make_node(kind, list(inputs), [output], f"{output}/{kind}", **attributes)


def proto_of(node: Node, prefix: str) -> onnx.NodeProto:
    """A node of a form as the graph has it."""
    inputs = [tensor.name(prefix) for tensor in node.inputs]
    return node_proto(node.kind, inputs, node.result.name(prefix), node.attributes)


def annotation(value: str, prefix: str) -> onnx.TensorAnnotation:
    """Names the constants that say what an activation stands for."""
    tensors = ((SCALE_KEY, scale_of(value)), (ZERO_POINT_KEY, zero_point_of(value)))
    entries = [
        onnx.StringStringEntryProto(key=key, value=tensor.name(prefix)) for key, tensor in tensors
    ]
    return onnx.TensorAnnotation(
        tensor_name=Tensor(value).name(prefix), quant_parameter_tensor_names=entries
    )


def border(name: str, kind: TensorType) -> onnx.ValueInfoProto:
    """An input or output of a graph: of reals for any number of samples."""
    return port(name, PortType.parse(kind.host) if kind.is_host else PortType(dims=kind.shape))


def port(name: str, kind: PortType) -> onnx.ValueInfoProto:
    """An input or output of a graph."""
    info = onnx.ValueInfoProto(name=name, type=type_proto(kind.kind))
    if kind.is_tensor and kind.dims is not None:
        tensor = info.type.tensor_type
        tensor.shape.SetInParent()
        for size in [BATCH] * kind.samples_first + [*kind.dims]:
            dim = tensor.shape.dim.add()
            if isinstance(size, str):
                dim.dim_param = size
            elif size is not None:
                dim.dim_value = size
    return info


KINDS = re.compile(r"(tensor|sparse_tensor|seq|optional|map)\((.*)\)")


def type_proto(kind: str) -> onnx.TypeProto:
    """A type as onnxruntime says it, without shapes.

    Raises:
        ValueError: There is no such type.
    """
    match = KINDS.fullmatch(kind)
    if match is None:
        raise ValueError(f"'{kind}' is no type of ONNX")
    outer, inner = match.groups()
    result = onnx.TypeProto()
    if outer == "seq":
        result.sequence_type.elem_type.CopyFrom(type_proto(inner))
    elif outer == "optional":
        result.optional_type.elem_type.CopyFrom(type_proto(inner))
    elif outer == "map":
        key, _, value = inner.partition(",")
        result.map_type.key_type = element(key)
        result.map_type.value_type.CopyFrom(type_proto(value))
    else:
        result.tensor_type.elem_type = element(inner)
    return result


def element(name: str) -> int:
    """ONNX's number of an element type as onnxruntime says it; ValueError for none."""
    # Where it has other words than ONNX.
    said = {"float": "FLOAT", "double": "DOUBLE"}.get(name, name.upper())
    return int(onnx.TensorProto.DataType.Value(said))


def channelwise(values: NDArray[Any], rank: int) -> NDArray[Any]:
    """[…, C] as […, 1, C, 1, …] to broadcast over [N, C, …] of `rank` per-sample dimensions."""
    shape = (*values.shape[:-1], 1, values.shape[-1], *(1,) * (rank - 1))
    return values.reshape(shape)
