"""The integer ONNX export: a quantized module as a plain graph that onnxruntime runs exactly.

Every operator is one that onnxruntime's CPU kernels compute without saturation or rounding of
their own: ConvInteger (u8 x s8, padding with the zero point), int64 arithmetic, MaxPool on u8.
A matmul is a 1x1 ConvInteger, since MatMulInteger saturates for u8 x s8.  Tensors have the names
of the IR values behind a prefix, so every layer's integers can be compared.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto

from epimc.backends.onnx.fragments import inlined
from epimc.backends.onnx.graph import Graph, channelwise
from epimc.backends.onnx.reading import EXPANDED, PERMUTED
from epimc.ir import integers
from epimc.ir.core import Module, Op
from epimc.ir.dialects import epi, moves, nn
from epimc.ir.levels import QUANTIZED, expect_level
from epimc.ir.printer import refused
from epimc.ir.types import map_move
from epimc.layouts import indices

# ConvInteger accumulates in int32.
MAXIMUM_PARTIAL_SUM = 2**31 - 1


def export_integers(module: Module) -> ModelProto:
    """The graph of a module at level `quantized`.

    Raises:
        EpimcError: It is at another level, or a layer is too large for the graph's operators.
    """
    expect_level(module, "The integer ONNX export", QUANTIZED)
    graph = Graph(module)
    for op in module.ops:
        WRITERS[type(op)](graph, op)
    return graph.model()


def export_fragment(module: Module) -> ModelProto:
    """The model of a host call: a module from activations to activations, on reals inside."""
    graph = Graph(module)
    for op in module.ops:
        FRAGMENT_WRITERS[type(op)](graph, op)
    return graph.model()


def write_quantize(graph: Graph, op: Op) -> None:
    """QuantizeLinear, clipped where there are fewer than 8 bits."""
    kind, name = op.output.type, graph.names[op.output]
    scale = graph.constant(f"{name}.scale", np.float32(kind.scale or 1.0))
    zero = graph.constant(f"{name}.zero_point", np.uint8(kind.zero_point))
    whole = kind.bits == 8
    result = name if whole else f"{name}.wide"
    graph.node("QuantizeLinear", [graph.input_of(op), scale, zero], result)
    if not whole:
        low = graph.constant(f"{name}.low", np.uint8(0))
        high = graph.constant(f"{name}.high", np.uint8(2**kind.bits - 1))
        graph.node("Clip", [result, low, high], name)


def write_dequantize(graph: Graph, op: Op) -> None:
    """DequantizeLinear."""
    kind, source = op.operands[0].type, graph.input_of(op)
    # Named behind the value: an output has the user's name, which may end as another one's begins.
    scale = graph.constant(f"{source}.out.scale", np.float32(kind.scale or 1.0))
    zero = graph.constant(f"{source}.out.zero_point", np.uint8(kind.zero_point))
    graph.node("DequantizeLinear", [source, scale, zero], graph.names[op.output])


def window_attributes(window: integers.Window) -> dict[str, Any]:
    """The attributes of Conv and pool nodes."""
    return {
        "kernel_shape": list(window.kernel),
        "strides": list(window.strides),
        "pads": list(window.pads),
        "dilations": list(window.dilations),
    }


def write_conv(graph: Graph, op: Op) -> None:
    """ConvInteger over the rebuilt weights, to int64, plus the bias."""
    assert isinstance(op, epi.Conv)
    name, x, rank = graph.names[op.output], op.operands[0], len(op.output.type.shape)
    source = graph.input_of(op)
    if rank == 1:
        shape = graph.constant(f"{name}.map", np.array([-1, x.type.shape[0], 1, 1]))
        source = graph.node("Reshape", [source, shape], f"{name}.x")
    weights = op.weights(graph.module.tensor).astype(np.int8, copy=False)
    zero = graph.constant(f"{name}.x_zero_point", np.uint8(x.type.zero_point))
    edges = block_edges(weights, x.type.bits)
    if op.groups > 1 and len(edges) > 2:
        raise refused(op, "A group has more inputs than the integer reference can sum up.")
    attributes = {**window_attributes(op.window), "group": op.groups}
    wide = convolve_in_parts(graph, name, source, weights, zero, edges, attributes)
    if rank == 1:
        shape = graph.constant(f"{name}.vector", np.array([-1, op.shape[0]]))
        wide = graph.node("Reshape", [wide, shape], f"{name}.y")
    bias = np.zeros(op.shape[0], np.int64) if op.bias is None else graph.module.tensor(op.bias)
    added = graph.constant(f"{name}.bias", channelwise(bias, rank))
    graph.node("Add", [wide, added], name)


def block_edges(weights: NDArray[np.int8], bits: int) -> list[int]:
    """Where to cut the input channels so that int32 holds the sum over each block."""
    magnitude = np.zeros(weights.shape[1], np.int64)
    for part in integers.pieces(len(weights), weights[0].size):
        sums = np.abs(weights[part].astype(np.int64)).sum(axis=(2, 3))
        np.maximum(magnitude, sums.max(axis=0), out=magnitude)
    blocks = np.cumsum(magnitude * (2**bits - 1)) // (MAXIMUM_PARTIAL_SUM // 2)
    return [0, *(np.flatnonzero(np.diff(blocks)) + 1).tolist(), weights.shape[1]]


def convolve_in_parts(
    graph: Graph,
    name: str,
    source: str,
    weights: NDArray[np.int8],
    zero: str,
    edges: list[int],
    attributes: dict[str, Any],
) -> str:
    """ConvInteger over the blocks of input channels between `edges`, added in int64."""
    total = ""
    for index, (first, end) in enumerate(pairwise(edges)):
        tag = "" if len(edges) == 2 else f".{index}"
        part = source
        if tag:
            bounds = [graph.constant(f"{name}.{key}{tag}", np.array([value]))
                      for key, value in (("first", first), ("end", end), ("axis", 1))]  # fmt: skip
            part = graph.node("Slice", [source, *bounds], f"{name}.x{tag}")
        weight = graph.constant(f"{name}.weight{tag}", weights[:, first:end])
        graph.node("ConvInteger", [part, weight, zero], f"{name}.i32{tag}", **attributes)
        wide = graph.node(
            "Cast", [f"{name}.i32{tag}"], f"{name}.i64{tag}", to=onnx.TensorProto.INT64
        )
        total = graph.node("Add", [total, wide], f"{name}.sum{tag}") if total else wide
    return total


def write_sum_pool(graph: Graph, op: Op) -> None:
    """A depthwise ConvInteger with ones; the shares of the windows, where they differ."""
    assert isinstance(op, epi.SumPool)
    name, kind = graph.names[op.output], op.operands[0].type
    ones = graph.constant(f"{name}.ones", np.ones((kind.shape[0], 1, *op.kernel), np.int8))
    zero = graph.constant(f"{name}.x_zero_point", np.uint8(kind.zero_point))
    attributes = {**window_attributes(op.window), "group": kind.shape[0]}
    graph.node("ConvInteger", [graph.input_of(op), ones, zero], f"{name}.i32", **attributes)
    total = name if op.counted is None else f"{name}.total"
    graph.node("Cast", [f"{name}.i32"], total, to=onnx.TensorProto.INT64)
    if op.counted is not None:
        _, shares = integers.window_shares(op.window, op.counted, kind.shape[1:])
        graph.node("Mul", [total, graph.constant(f"{name}.shares", shares)], name)


def write_requantize(graph: Graph, op: Op) -> None:
    """Int64 multiply-add, floor division (a - Mod(a, d)) / d, bounds."""
    assert isinstance(op, epi.Requantize)
    name, rank = graph.names[op.output], len(op.output.type.shape)
    multipliers = graph.module.tensor(op.multipliers)
    shifts = graph.module.tensor(op.shifts)
    total = ""
    for k in range(len(op.operands)):
        factor = graph.constant(f"{name}.multipliers.{k}", channelwise(multipliers[k], rank))
        term = graph.node("Mul", [centred(graph, op, k), factor], f"{name}.term{k}")
        total = graph.node("Add", [total, term], f"{name}.sum{k}") if total else term
    offsets = op.added(graph.module.tensor)
    if offsets.any():
        offset = graph.constant(f"{name}.offset", channelwise(offsets, rank))
        total = graph.node("Add", [total, offset], f"{name}.moved")
    half = graph.constant(f"{name}.half", channelwise(np.left_shift(1, shifts - 1), rank))
    divisor = graph.constant(f"{name}.divisor", channelwise(np.left_shift(1, shifts), rank))
    total = graph.node("Add", [total, half], f"{name}.rounded")
    rest = graph.node("Mod", [total, divisor], f"{name}.rest")
    whole = graph.node("Sub", [total, rest], f"{name}.whole")
    steps = graph.node("Div", [whole, divisor], f"{name}.steps")
    kind = op.output.type
    zero = graph.constant(f"{name}.zero_point", np.int64(kind.zero_point))
    shifted = graph.node("Add", [steps, zero], f"{name}.shifted")
    clipped = clip(graph, name, shifted, op.low, op.high)
    graph.node("Cast", [clipped], name, to=onnx.TensorProto.UINT8)


def clip(graph: Graph, name: str, value: str, low: int, high: int) -> str:
    """An int64 tensor between bounds.

    Comparisons are exact; Clip, Min and Max take a value from 2^31 to 2^32 - 1 for a negative one.
    """
    bounds = (("low", "Less", low), ("high", "Greater", high))
    for key, comparison, number in bounds:
        bound = graph.constant(f"{name}.{key}", np.int64(number))
        beyond = graph.node(comparison, [value, bound], f"{name}.{key}.beyond")
        value = graph.node("Where", [beyond, bound, value], f"{name}.{key}.clipped")
    return value


def centred(graph: Graph, op: Op, index: int) -> str:
    """A term as int64 less its zero point."""
    source, kind = graph.input_of(op, index), op.operands[index].type
    if kind.element == "i64":
        return source
    base = f"{graph.names[op.output]}.x{index}"
    wide = graph.node("Cast", [source], f"{base}.i64", to=onnx.TensorProto.INT64)
    zero = graph.constant(f"{base}.zero_point", np.int64(kind.zero_point))
    return graph.node("Sub", [wide, zero], f"{base}.centred")


def write_max_pool(graph: Graph, op: Op) -> None:
    """MaxPool on u8."""
    assert isinstance(op, nn.MaxPool)
    attributes = window_attributes(op.window)
    graph.node("MaxPool", [graph.input_of(op)], graph.names[op.output], **attributes)


def write_multiply(graph: Graph, op: Op) -> None:
    """Int64, each operand less its zero point."""
    factors = [centred(graph, op, index) for index in (0, 1)]
    graph.node("Mul", factors, graph.names[op.output])


def write_lookup(graph: Graph, op: Op) -> None:
    """Gather over the whole table, the rows of which lie one behind the other."""
    assert isinstance(op, epi.LookUp)
    name = graph.names[op.output]
    values = graph.module.tensor(op.table)
    index = graph.node("Cast", [graph.input_of(op)], f"{name}.i64", to=onnx.TensorProto.INT64)
    if len(values) > 1:
        starts = channelwise(np.arange(len(values)) * values.shape[1], len(op.output.type.shape))
        first = graph.constant(f"{name}.rows", starts)
        index = graph.node("Add", [index, first], f"{name}.index")
    table = graph.constant(f"{name}.values", values.ravel())
    graph.node("Gather", [table, index], name, axis=0)


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
        numbers = graph.constant(f"{name}.chosen.{axis}", indices(runs))
        result = name if axis == chosen[-1][0] else f"{name}.part.{axis}"
        source = graph.node("Gather", [source, numbers], result, axis=min(axis + 1, rank))


def write_constant(graph: Graph, op: Op) -> None:
    """The tensor, expanded to as many samples as the first input has."""
    assert isinstance(op, moves.Constant)
    name, kind = graph.names[op.output], op.output.type
    values = graph.module.tensor(op.value).astype(np.float32 if kind.element == "f32" else np.uint8)
    shape = graph.node("Shape", [graph.module.inputs[0][0]], f"{name}.input_shape")
    ends = [graph.constant(f"{name}.{key}", np.array([k])) for k, key in enumerate(("from", "to"))]
    samples = graph.node("Slice", [shape, *ends], f"{name}.samples")
    sizes = graph.constant(f"{name}.sizes", np.array(kind.shape))
    whole = graph.node("Concat", [samples, sizes], f"{name}{EXPANDED}", axis=0)
    graph.node("Expand", [graph.constant(f"{name}.values", values[None]), whole], name)


def write_pad(graph: Graph, op: Op) -> None:
    """Pad with the zero point."""
    assert isinstance(op, moves.Pad)
    name = graph.names[op.output]
    (before, after), (top, left, bottom, right) = op.channels, op.pads
    widths = np.array([0, before, top, left, 0, after, bottom, right])
    pads = graph.constant(f"{name}.pads", widths)
    zero = graph.constant(f"{name}.zero_point", np.uint8(op.output.type.zero_point))
    graph.node("Pad", [graph.input_of(op), pads, zero], name, mode="constant")


def write_rearrange(graph: Graph, op: Op) -> None:
    """Transpose over the dims of the operand's map, between two reshapes."""
    assert isinstance(op, nn.Rearrange)
    name, move = graph.names[op.output], map_move(op.move)
    source = graph.constant(f"{name}.source", np.array([-1, *move.source]))
    cut = graph.node("Reshape", [graph.input_of(op), source], f"{name}.map")
    perm = [0, *(axis + 1 for axis in move.perm)]
    moved = graph.node("Transpose", [cut], f"{name}{PERMUTED}", perm=perm)
    shape = graph.constant(f"{name}.shape", np.array([-1, *op.shape]))
    graph.node("Reshape", [moved, shape], name)


def write_softmax(graph: Graph, op: Op) -> None:
    """Softmax on reals."""
    assert isinstance(op, nn.Softmax)
    graph.node("Softmax", [graph.input_of(op)], graph.names[op.output], axis=op.axis + 1)


def write_host(graph: Graph, op: Op) -> None:
    """The nodes of the fragment."""
    assert isinstance(op, epi.Host)
    operands = [graph.names[operand] for operand in op.operands]
    fragment = graph.module.tensor(op.fragment).tobytes()
    part = inlined(fragment, operands, graph.names[op.output])
    graph.nodes += part.nodes
    graph.constants |= {constant.name: constant for constant in part.constants}


WRITERS: dict[type[Op], Callable[[Graph, Op], None]] = {
    epi.Quantize: write_quantize,
    epi.Dequantize: write_dequantize,
    epi.Conv: write_conv,
    epi.SumPool: write_sum_pool,
    epi.Requantize: write_requantize,
    nn.MaxPool: write_max_pool,
    epi.Multiply: write_multiply,
    epi.LookUp: write_lookup,
    moves.Concat: write_concat,
    moves.Select: write_select,
    moves.Constant: write_constant,
    moves.Pad: write_pad,
    nn.Rearrange: write_rearrange,
    epi.Host: write_host,
}

FRAGMENT_WRITERS: dict[type[Op], Callable[[Graph, Op], None]] = {
    epi.Quantize: write_quantize,
    epi.Dequantize: write_dequantize,
    nn.Softmax: write_softmax,
}
