"""The integer ONNX export: a quantized module as a plain graph that onnxruntime runs exactly.

What the graph has for each op, `forms.py` says; here its numbers are taken from the ops.  Tensors
have the names of the IR values behind a prefix, so every layer's integers can be compared.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from onnx import ModelProto

from epimc.backends import forms
from epimc.backends.forms import Term
from epimc.backends.onnx.fragments import write_inlined
from epimc.backends.onnx.graph import IntegerGraph
from epimc.ir.core.levels import QUANTIZED
from epimc.ir.core.module import Module
from epimc.ir.core.op import Op, Value
from epimc.ir.core.types import as_map, map_move
from epimc.ir.dialects import epi, moves, nn
from epimc.ir.text.printer import refused
from epimc.ir.verifier import expect_level


def export_integers(module: Module) -> ModelProto:
    """The graph of a module at level `quantized`.

    Raises:
        EpimcError: It is at another level, or a layer is too large for the graph's operators.
    """
    expect_level(module, "The integer ONNX export", QUANTIZED)
    graph = IntegerGraph(module)
    for op in module.ops:
        kind = op.output.type
        if kind.is_activation:
            graph.write(forms.activation(op.output.name, kind.scale or 1.0, kind.zero_point))
        WRITERS[type(op)](graph, op)
    return graph.model()


def term_of(operand: Value) -> Term:
    """An operand of a sum or product."""
    return operand.name, operand.type.zero_point if operand.type.element != "i64" else None


def write_quantize(graph: IntegerGraph, op: Op) -> None:
    """An input at the border."""
    kind, port = op.output.type, graph.input_of(op)
    dims = as_map(kind.shape)
    graph.write(forms.quantized_input(port, op.output.name, kind.bits, dims))


def write_dequantize(graph: IntegerGraph, op: Op) -> None:
    """An output at the border."""
    (x,), port = op.operands, graph.names[op.output]
    graph.write(forms.dequantized_output(port, x.name, x.type.shape))


def write_conv(graph: IntegerGraph, op: Op) -> None:
    """Over the rebuilt weights."""
    assert isinstance(op, epi.Conv)
    (x,) = op.operands
    weights = op.weights(graph.module.tensor).astype(np.int8, copy=False)
    edges = forms.summable_blocks(weights, x.type.bits)
    if op.groups > 1 and len(edges) > 2:
        raise refused(op, "A group has more inputs than the integer reference can sum up.")
    bias = np.zeros(op.shape[0], np.int64) if op.bias is None else graph.module.tensor(op.bias)
    graph.write(
        forms.convolution(op.output.name, x.name, weights, bias, op.window, op.groups, edges)
    )


def write_sum_pool(graph: IntegerGraph, op: Op) -> None:
    """Sums over windows."""
    assert isinstance(op, epi.SumPool)
    dims = as_map(op.x.type.shape)
    graph.write(forms.sums(op.output.name, op.x.name, dims, op.window, op.counted))


def write_requantize(graph: IntegerGraph, op: Op) -> None:
    """The only rounding."""
    assert isinstance(op, epi.Requantize)
    tensor = graph.module.tensor
    to = forms.Rescaling(
        multipliers=tensor(op.multipliers),
        shifts=tensor(op.shifts),
        offsets=op.added(tensor),
        zero_point=op.output.type.zero_point,
        low=op.low,
        high=op.high,
    )
    graph.write(forms.requantization(op.output.name, list(map(term_of, op.operands)), to))


def write_max_pool(graph: IntegerGraph, op: Op) -> None:
    """Maxima of windows."""
    assert isinstance(op, nn.MaxPool)
    graph.write(forms.maximum(op.output.name, op.x.name, op.window))


def write_multiply(graph: IntegerGraph, op: Op) -> None:
    """A product of two maps."""
    graph.write(forms.product(op.output.name, list(map(term_of, op.operands))))


def write_lookup(graph: IntegerGraph, op: Op) -> None:
    """A table of all values."""
    assert isinstance(op, epi.LookUp)
    rows = graph.module.tensor(op.table)
    graph.write(forms.look_up(op.output.name, op.x.name, rows))


def write_concat(graph: IntegerGraph, op: Op) -> None:
    """Maps one behind the other."""
    assert isinstance(op, moves.Concat)
    sources = [operand.name for operand in op.operands]
    graph.write(forms.concatenation(op.output.name, sources, op.map_axis))


def write_select(graph: IntegerGraph, op: Op) -> None:
    """Channels, rows and columns."""
    assert isinstance(op, moves.Select)
    graph.write(forms.selection(op.output.name, op.x.name, op.selection.runs))


def write_constant(graph: IntegerGraph, op: Op) -> None:
    """The same for every sample."""
    assert isinstance(op, moves.Constant)
    values = graph.module.tensor(op.value).reshape(as_map(op.output.type.shape))
    graph.write(forms.fixed(op.output.name, graph.module.inputs[0][0], values))


def write_pad(graph: IntegerGraph, op: Op) -> None:
    """Zero points around a map."""
    assert isinstance(op, moves.Pad)
    graph.write(forms.padding(op.output.name, op.x.name, op.channels, op.pads))


def write_rearrange(graph: IntegerGraph, op: Op) -> None:
    """Dims permuted, then cut anew."""
    assert isinstance(op, nn.Rearrange)
    perm, dims = map_move(op.move).perm, as_map(op.shape)
    graph.write(forms.rearrangement(op.output.name, op.x.name, perm, dims))


def write_host(graph: IntegerGraph, op: Op) -> None:
    """The nodes of the fragment."""
    assert isinstance(op, epi.Host)
    operands = [operand.name for operand in op.operands]
    fragment = graph.module.tensor(op.fragment).tobytes()
    write_inlined(graph, fragment, operands, op.output.name, as_map(op.output.type.shape))


WRITERS: dict[type[Op], Callable[[IntegerGraph, Op], None]] = {
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
