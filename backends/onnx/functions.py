"""The epitomized float model as ONNX: every epitome op is a call of a function of the model itself.

The function (domain `epimc`) rebuilds the weights from the epitome, as the plan says, and
convolves.  So onnxruntime runs the epitomized float model, viewers show what it consists of, and
the file holds no weight twice.  Tensors have the names of the IR values behind a prefix, as in
the integer export; epitomes and biases are named behind the layer, as `%VALUE/epitome`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from typing import Any

import numpy as np
import onnx
from onnx import FunctionProto, ModelProto, NodeProto, helper

from epimc.backends.forms import window_attributes
from epimc.backends.onnx.float_ops import WRITERS as BETWEEN
from epimc.backends.onnx.fragments import write_softmax
from epimc.backends.onnx.graph import Graph
from epimc.ir.core.attributes import Ref
from epimc.ir.core.levels import CALIBRATED, EPI
from epimc.ir.core.module import Module
from epimc.ir.core.op import Op
from epimc.ir.dialects import epi, nn
from epimc.ir.epitome import plan
from epimc.ir.epitome.plan import Patch, Plan, Shape
from epimc.ir.semantics import integers
from epimc.ir.verifier import expect_level

DOMAIN = "epimc"
IDENTITY_KEY = "epimc.identity_plans"
WINDOW = ("strides", "pads", "dilations")
# The oldest that has an operator for every function that `nn.activation` knows.
OPSET, IR_VERSION = 20, 9

# The two places of a patch that an axis of the weights has: its first element, and how many.
PLACES = ((0, 1), (2, 3))


def export_floats(module: Module) -> ModelProto:
    """The graph of a module at level `epi` or `calibrated`.

    Raises:
        EpimcError: It is at another level.
    """
    expect_level(module, "The float ONNX export", EPI, CALIBRATED)
    graph = _FloatGraph(module)
    for op in module.ops:
        FLOAT_WRITERS[type(op)](graph, op)
    for name, value in module.outputs:
        graph.node("Identity", [graph.names[value]], name)
    return graph.model()


def has_identity_plans(properties: Mapping[str, str]) -> bool:
    """Whether every epitome of an exported float model with these metadata is the weights."""
    return properties.get(IDENTITY_KEY) == "true"


class _FloatGraph(Graph):
    """Collects nodes, initializers and functions."""

    def __init__(self, module: Module) -> None:
        super().__init__(module)
        # Unlike integers, floats need no op at a border: outputs are copies of values.
        self.names = {value: self.prefix + value.name for value in module.values()}
        self.names |= {value: name for name, value in module.inputs}
        self.functions: dict[bytes, FunctionProto] = {}
        self.stored: dict[Ref, str] = {}
        self.has_identity_plans = True

    def tensor(self, op: Op, key: str, ref: Ref) -> str:
        """The initializer of a stored tensor, which all ops that reference it share."""
        if ref not in self.stored:
            name = f"{self.names[op.output]}/{key}"
            self.stored[ref] = self.constant(name, self.module.tensor(ref))
        return self.stored[ref]

    def function(self, kind: str, inputs: list[str], nodes: list[NodeProto]) -> str:
        """The name of a function with this body; equal bodies are one function."""
        body = helper.make_function(
            DOMAIN,
            kind,
            inputs,
            ["y"],
            nodes,
            [helper.make_opsetid("", OPSET)],
            (*WINDOW, "group") if kind == "EpitomeConv" else (),
        )
        known = self.functions.setdefault(body.SerializeToString(deterministic=True), body)
        if known is body:
            body.name = f"{kind}_{len(self.functions)}"
        return str(known.name)

    def model(self) -> ModelProto:
        """The whole model."""
        model = super().model()
        model.ir_version, model.opset_import[0].version = IR_VERSION, OPSET
        model.opset_import.append(helper.make_opsetid(DOMAIN, 1))
        model.functions.extend(self.functions.values())
        state = "true" if self.has_identity_plans else "false"
        model.metadata_props.add(key=IDENTITY_KEY, value=state)
        return model


# --- epitomes -------------------------------------------------------------------------------------


def write_conv(graph: Graph, op: Op) -> None:
    """A call of the function that rebuilds the weights and convolves, or multiplies a vector."""
    assert isinstance(graph, _FloatGraph)
    assert isinstance(op, epi.Conv)
    name, vector = graph.names[op.output], len(op.output.type.shape) == 1
    inputs = [graph.input_of(op), graph.tensor(op, "epitome", op.epitome)]
    formal = ["x", "epitome"]
    if op.bias is not None:
        inputs.append(graph.tensor(op, "bias", op.bias))
        formal.append("bias")
    eo, ei, eh, ew = graph.module.tensors[op.epitome.name].type.shape
    body = _Rebuilding((eo, ei, eh, ew), op.window.kernel)
    weights = body.block(op.plan)
    operands = ["x", weights, *formal[2:]]
    last = body.matmul(operands) if vector else body.convolution(operands)
    kind = "EpitomeMatMul" if vector else "EpitomeConv"
    function = graph.function(kind, formal, [*body.nodes, last])
    attributes: dict[str, Any] = {}
    if not vector:
        attributes = {key: list(op.attributes[key]) for key in WINDOW} | {"group": op.groups}
    said = described(op.plan, op.weights_shape, (eo, ei, eh, ew))
    graph.node(function, inputs, name, domain=DOMAIN, doc_string=said, **attributes)
    identity = plan.identity(op.weights_shape)
    graph.has_identity_plans &= op.plan == identity and op.weights_shape == (eo, ei, eh, ew)


def described(patches: Plan, weights: Shape, epitome: Shape) -> str:
    """What a viewer shows of a call."""
    sizes = ["x".join(map(str, shape)) for shape in (weights, epitome)]
    count = f"{len(patches)} patch{'es' if len(patches) > 1 else ''}"
    return f"weights {sizes[0]} from an epitome {sizes[1]} by {count}"


class _Rebuilding:
    """The nodes that rebuild weights from an epitome: windows of it, concatenated.

    Blocks of equal contents are one tensor: outputs that wrap are concatenations of it.
    """

    def __init__(self, epitome: Shape, kernel: tuple[int, int]) -> None:
        self.epitome, self.kernel = epitome, kernel
        self.nodes: list[NodeProto] = []
        self.known: dict[Plan, str] = {}
        self.constants: dict[tuple[int, ...], str] = {}

    def constant(self, values: list[int]) -> str:
        """A list of integers, the same one for equal lists."""
        key = tuple(values)
        if key not in self.constants:
            self.constants[key] = self.node("Constant", [], value_ints=values)
        return self.constants[key]

    def node(self, kind: str, inputs: list[str], **attributes: Any) -> str:
        """Append a node; its result."""
        result = f"{kind.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [result], **attributes))
        return result

    def block(self, patches: Plan) -> str:
        """The tensor of a block of the weights that the patches tile."""
        key = moved_to_origin(patches)
        if key not in self.known:
            self.known[key] = self.window(key[0]) if len(key) == 1 else self.joined(key)
        return self.known[key]

    def joined(self, patches: Plan) -> str:
        """Several patches: concatenated along the outputs or the inputs, piece by piece."""
        for axis in (0, 1):
            pieces = list(apart(patches, axis))
            if len(pieces) > 1:
                return self.node("Concat", [self.block(piece) for piece in pieces], axis=axis)
        # Patches around a corner: cut those that cross one border, which parts the rest.
        border = min(patch.o0 + patch.on for patch in patches)
        return self.block(tuple(chain.from_iterable(cut(patch, border) for patch in patches)))

    def window(self, patch: Patch) -> str:
        """One window of the epitome."""
        firsts = (patch.eo, patch.ei, patch.dy, patch.dx)
        counts = (patch.on, patch.in_, *self.kernel)
        axes = [k for k in range(4) if counts[k] != self.epitome[k]]
        if not axes:
            return "epitome"
        bounds = ([firsts[k] for k in axes], [firsts[k] + counts[k] for k in axes], axes)
        return self.node("Slice", ["epitome", *map(self.constant, bounds)])

    @staticmethod
    def convolution(operands: list[str]) -> NodeProto:
        """The convolution, whose attributes are those of the call."""
        node = helper.make_node("Conv", operands, ["y"])
        kind = onnx.AttributeProto.INTS
        node.attribute.extend(
            onnx.AttributeProto(name=key, ref_attr_name=key, type=kind) for key in WINDOW
        )
        kind = onnx.AttributeProto.INT
        node.attribute.add(name="group", ref_attr_name="group", type=kind)
        return node

    def matmul(self, operands: list[str]) -> NodeProto:
        """The product with a vector."""
        x, weights, *bias = operands
        matrix = self.node("Flatten", [weights], axis=1)
        return helper.make_node("Gemm", [x, matrix, *bias], ["y"], transB=1)


def moved_to_origin(patches: Plan) -> Plan:
    """The patches, sorted, as those of a block of weights that begins at (0, 0)."""
    o, i = min(patch.o0 for patch in patches), min(patch.i0 for patch in patches)
    return tuple(sorted(patch._replace(o0=patch.o0 - o, i0=patch.i0 - i) for patch in patches))


def apart(patches: Plan, axis: int) -> Iterator[Plan]:
    """The patches between borders that none of them crosses, along an axis, in order."""
    first, count = PLACES[axis]
    piece: list[Patch] = []
    end = 0
    for patch in sorted(patches, key=lambda patch: patch[first]):
        if piece and patch[first] >= end:
            yield tuple(piece)
            piece = []
        piece.append(patch)
        end = max(end, patch[first] + patch[count])
    yield tuple(piece)


def cut(patch: Patch, border: int) -> Iterator[Patch]:
    """The patch, in two where the border between two outputs crosses it."""
    above = border - patch.o0
    if not 0 < above < patch.on:
        yield patch
        return
    yield patch._replace(on=above)
    yield patch._replace(o0=border, on=patch.on - above, eo=patch.eo + above)


# --- the other ops --------------------------------------------------------------------------------


def write_relu(graph: Graph, op: Op) -> None:
    """Relu."""
    graph.node("Relu", [graph.input_of(op)], graph.names[op.output])


def write_add(graph: Graph, op: Op) -> None:
    """Add."""
    graph.node("Add", [graph.input_of(op, 0), graph.input_of(op, 1)], graph.names[op.output])


def write_max_pool(graph: Graph, op: Op) -> None:
    """MaxPool."""
    assert isinstance(op, nn.MaxPool)
    attributes = window_attributes(op.window)
    graph.node("MaxPool", [graph.input_of(op)], graph.names[op.output], **attributes)


def write_average_pool(graph: Graph, op: Op) -> None:
    """AveragePool; where ONNX has none for it, sums by a convolution, times 1 / their counts.

    ONNX had dilations late, and has no way to count a part of the padding.
    """
    assert isinstance(op, nn.AveragePool)
    name, attributes = graph.names[op.output], window_attributes(op.window)
    source = graph.input_of(op)
    if op.dilations == (1, 1) and op.counted is None:
        del attributes["dilations"]
        graph.node("AveragePool", [source], name, count_include_pad=1, **attributes)
        return
    (channels, height, width), size = op.x.type.shape, op.kernel
    weights = graph.constant(f"{name}/weights", np.ones((channels, 1, *size), np.float32))
    counted = op.pads if op.counted is None else op.counted
    counts = integers.window_counts(op.window, counted, (height, width))
    share = graph.constant(f"{name}/share", (1 / counts).astype(np.float32)[None, None])
    total = graph.node("Conv", [source, weights], f"{name}/sum", group=channels, **attributes)
    graph.node("Mul", [total, share], name)


FLOAT_WRITERS: dict[type[Op], Callable[[Graph, Op], None]] = {
    epi.Conv: write_conv,
    nn.Relu: write_relu,
    nn.Add: write_add,
    nn.MaxPool: write_max_pool,
    nn.AveragePool: write_average_pool,
    nn.Softmax: write_softmax,
    **BETWEEN,
}
