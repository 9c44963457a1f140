"""What moves elements: concatenations, selections, constants, pads and rearrangements."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from epimc.backends import forms
from epimc.backends.forms import Claim
from epimc.backends.onnx.float_graph import FloatGraph
from epimc.backends.onnx.ops.tables import Quantized, activation_of, float_form, integer_form
from epimc.ir.core.types import as_map, map_move
from epimc.ir.dialects import moves, nn
from epimc.ir.semantics.layouts import indices


@float_form(moves.Concat)
def float_concat(op: moves.Concat, graph: FloatGraph) -> None:
    """Concat along a dim behind the batch."""
    sources = [graph.names[operand] for operand in op.operands]
    graph.node("Concat", sources, graph.names[op.output], axis=op.axis + 1)


@integer_form(moves.Concat)
def integer_concat(op: moves.Concat, quantized: Quantized) -> Iterator[Claim]:
    """Maps one behind the other."""
    sources = [operand.name for operand in op.operands]
    return forms.concatenation(op.output.name, sources, op.map_axis)


@float_form(moves.Select)
def float_select(op: moves.Select, graph: FloatGraph) -> None:
    """Gather along every dim of the operand's map where there is something to choose."""
    name, source, rank = graph.names[op.output], graph.input_of(op), len(op.output.type.shape)
    chosen = [(axis, runs) for axis, runs in enumerate(op.selection.runs) if runs]
    for axis, runs in chosen:
        numbers = graph.constant(f"{name}/chosen/{axis}", indices(runs))
        result = name if axis == chosen[-1][0] else f"{name}/taken/{axis}"
        # Of a matrix, which is a map of one row, the columns are the second dim.
        source = graph.node("Gather", [source, numbers], result, axis=min(axis + 1, rank))


@integer_form(moves.Select)
def integer_select(op: moves.Select, quantized: Quantized) -> Iterator[Claim]:
    """Channels, rows and columns."""
    return forms.selection(op.output.name, op.x.name, op.selection.runs)


@float_form(moves.Constant)
def float_constant(op: moves.Constant, graph: FloatGraph) -> None:
    """The tensor, for as many samples as the first input has."""
    name = graph.names[op.output]
    values = graph.module.tensor(op.value).astype(np.float32)
    if any(value.type.is_host for value in graph.module.values()):
        # Beside the host, a graph runs one sample at a time.
        graph.node("Identity", [graph.constant(f"{name}/values", values[None])], name)
        return
    shape = graph.node("Shape", [graph.module.inputs[0][0]], f"{name}/input_shape")
    ends = [graph.constant(f"{name}/{key}", np.array([k])) for k, key in enumerate(("from", "to"))]
    samples = graph.node("Slice", [shape, *ends], f"{name}/samples")
    sizes = graph.constant(f"{name}/dims", np.array(op.output.type.shape))
    dims = graph.node("Concat", [samples, sizes], f"{name}/sizes", axis=0)
    graph.node("Expand", [graph.constant(f"{name}/values", values[None]), dims], name)


@integer_form(moves.Constant)
def integer_constant(op: moves.Constant, quantized: Quantized) -> Iterator[Claim]:
    """The same for every sample."""
    values = quantized.module.tensor(op.value).reshape(as_map(op.output.type.shape))
    return forms.fixed(op.output.name, quantized.counted_by, values, op.output.type.bits)


@float_form(moves.Pad)
def float_pad(op: moves.Pad, graph: FloatGraph) -> None:
    """Pad of the sample [C, H, W] with zeros, none before or after the samples."""
    name = graph.names[op.output]
    (before, after), (top, left, bottom, right) = op.channels, op.pads
    widths = np.array([0, before, top, left, 0, after, bottom, right])
    pads = graph.constant(f"{name}/pads", widths)
    zero = graph.constant(f"{name}/zero", np.zeros((), np.float32))
    graph.node("Pad", [graph.input_of(op), pads, zero], name, mode="constant")


@integer_form(moves.Pad)
def integer_pad(op: moves.Pad, quantized: Quantized) -> Iterator[Claim]:
    """Zero points around a map."""
    return forms.padding(op.output.name, activation_of(op.x), op.channels, op.pads)


@float_form(nn.Rearrange)
def float_rearrange(op: nn.Rearrange, graph: FloatGraph) -> None:
    """Transpose and Reshape, or Flatten, as far as they change something."""
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


@integer_form(nn.Rearrange)
def integer_rearrange(op: nn.Rearrange, quantized: Quantized) -> Iterator[Claim]:
    """Dims permuted, then cut anew."""
    perm, dims = map_move(op.move).perm, as_map(op.shape)
    return forms.rearrangement(op.output.name, op.x.name, perm, dims)
