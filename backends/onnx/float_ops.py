"""The float operators between layers as ONNX nodes, for the float form of level `epi`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from epimc.backends.onnx.graph import Graph, channelwise
from epimc.ir.core.op import Op
from epimc.ir.dialects import elementwise, moves, nn
from epimc.ir.semantics.functions import FUNCTIONS
from epimc.ir.semantics.layouts import indices

# ONNX's operators for the functions, with what ONNX calls alpha and beta.
NODES: dict[str, tuple[str, dict[str, str]]] = {
    "abs": ("Abs", {}),
    "celu": ("Celu", {"alpha": "alpha"}),
    "elu": ("Elu", {"alpha": "alpha"}),
    "erf": ("Erf", {}),
    "exp": ("Exp", {}),
    "gelu": ("Gelu", {}),
    "gelu_tanh": ("Gelu", {}),
    "hard_sigmoid": ("HardSigmoid", {"alpha": "alpha", "beta": "beta"}),
    "hard_swish": ("HardSwish", {}),
    "leaky_relu": ("LeakyRelu", {"alpha": "alpha"}),
    "mish": ("Mish", {}),
    "selu": ("Selu", {"alpha": "alpha", "beta": "gamma"}),
    "sigmoid": ("Sigmoid", {}),
    "softplus": ("Softplus", {}),
    "softsign": ("Softsign", {}),
    "tanh": ("Tanh", {}),
    "thresholded_relu": ("ThresholdedRelu", {"alpha": "alpha"}),
}


def write_sub(graph: Graph, op: Op) -> None:
    """Sub."""
    graph.node("Sub", [graph.input_of(op, 0), graph.input_of(op, 1)], graph.names[op.output])


def write_multiply(graph: Graph, op: Op) -> None:
    """Mul, which broadcasts as `nn.multiply` does."""
    graph.node("Mul", [graph.input_of(op, 0), graph.input_of(op, 1)], graph.names[op.output])


def write_affine(graph: Graph, op: Op) -> None:
    """Mul and Add of one number a channel."""
    assert isinstance(op, nn.ChannelAffine)
    name, rank = graph.names[op.output], len(op.output.type.shape)
    scale, offset = (
        channelwise(values.astype(np.float32), rank) for values in op.as_affine(graph.module.tensor)
    )
    factor = graph.constant(f"{name}/scale", scale)
    scaled = graph.node("Mul", [graph.input_of(op), factor], f"{name}/scaled")
    graph.node("Add", [scaled, graph.constant(f"{name}/offset", offset)], name)


def write_clip(graph: Graph, op: Op) -> None:
    """Clip; a bound that is left out is an empty name."""
    assert isinstance(op, elementwise.Clip)
    name = graph.names[op.output]
    bounds = [
        "" if value is None else graph.constant(f"{name}/{key}", np.float32(value))
        for key, value in (("low", op.low), ("high", op.high))
    ]
    graph.node("Clip", [graph.input_of(op), *bounds], name)


def write_activation(graph: Graph, op: Op) -> None:
    """The function's own operator; a slope for each channel is a PRelu."""
    assert isinstance(op, elementwise.Activation)
    name, source = graph.names[op.output], graph.input_of(op)
    if op.alphas is not None:
        slopes = channelwise(graph.module.tensor(op.alphas), len(op.output.type.shape))
        graph.node("PRelu", [source, graph.constant(f"{name}/slope", slopes[0])], name)
        return
    kind, parameters = NODES[op.function]
    defaults = dict(FUNCTIONS[op.function].parameters)
    attributes = {
        onnx_name: defaults[key] if op.attributes[key] is None else op.attributes[key]
        for key, onnx_name in parameters.items()
    }
    if op.function == "gelu_tanh":
        attributes["approximate"] = "tanh"
    graph.node(kind, [source], name, **attributes)


def write_concat(graph: Graph, op: Op) -> None:
    """Concat along a dim behind the batch."""
    assert isinstance(op, moves.Concat)
    sources = [graph.names[operand] for operand in op.operands]
    graph.node("Concat", sources, graph.names[op.output], axis=op.axis + 1)


def write_select(graph: Graph, op: Op) -> None:
    """Gather along every dim of the operand's map where there is something to choose."""
    assert isinstance(op, moves.Select)
    name, source, rank = graph.names[op.output], graph.input_of(op), len(op.output.type.shape)
    chosen = [(axis, runs) for axis, runs in enumerate(op.selection.runs) if runs]
    for axis, runs in chosen:
        numbers = graph.constant(f"{name}/chosen/{axis}", indices(runs))
        result = name if axis == chosen[-1][0] else f"{name}/taken/{axis}"
        # Of a matrix, which is a map of one row, the columns are the second dim.
        source = graph.node("Gather", [source, numbers], result, axis=min(axis + 1, rank))


def write_constant(graph: Graph, op: Op) -> None:
    """The tensor, expanded to as many samples as the first input has."""
    assert isinstance(op, moves.Constant)
    name = graph.names[op.output]
    values = graph.module.tensor(op.value).astype(np.float32)
    shape = graph.node("Shape", [graph.module.inputs[0][0]], f"{name}/input_shape")
    ends = [graph.constant(f"{name}/{key}", np.array([k])) for k, key in enumerate(("from", "to"))]
    samples = graph.node("Slice", [shape, *ends], f"{name}/samples")
    sizes = graph.constant(f"{name}/dims", np.array(op.output.type.shape))
    dims = graph.node("Concat", [samples, sizes], f"{name}/sizes", axis=0)
    graph.node("Expand", [graph.constant(f"{name}/values", values[None]), dims], name)


def write_pad(graph: Graph, op: Op) -> None:
    """Pad with zeros."""
    assert isinstance(op, moves.Pad)
    name = graph.names[op.output]
    (before, after), (top, left, bottom, right) = op.channels, op.pads
    widths = np.array([0, before, top, left, 0, after, bottom, right])
    pads = graph.constant(f"{name}/pads", widths)
    zero = graph.constant(f"{name}/zero", np.zeros((), np.float32))
    graph.node("Pad", [graph.input_of(op), pads, zero], name, mode="constant")


def write_rearrange(graph: Graph, op: Op) -> None:
    """Transpose and Reshape, or Flatten, as far as they change something."""
    assert isinstance(op, nn.Rearrange)
    name, source = graph.names[op.output], graph.input_of(op)
    if not op.move.keeps_order:
        result = name if op.move.only_permutes else f"{name}/permuted"
        perm = [0, *(axis + 1 for axis in op.perm)]
        source = graph.node("Transpose", [source], result, perm=perm)
    if source == name:
        return
    if len(op.shape) == 1:
        graph.node("Flatten", [source], name, axis=1)
    else:
        shape = graph.constant(f"{name}/shape", np.array([-1, *op.shape]))
        graph.node("Reshape", [source, shape], name)


WRITERS: dict[type[Op], Callable[[Graph, Op], None]] = {
    nn.Affine: write_affine,
    elementwise.Sub: write_sub,
    elementwise.Multiply: write_multiply,
    elementwise.Clip: write_clip,
    elementwise.Activation: write_activation,
    moves.Concat: write_concat,
    moves.Select: write_select,
    moves.Constant: write_constant,
    moves.Pad: write_pad,
    nn.Rearrange: write_rearrange,
}
