"""What the host runs: on reals in a fragment, which the integer reference has inside."""

from __future__ import annotations

from collections.abc import Iterator

from epimc.backends.onnx.float_graph import FloatGraph
from epimc.backends.onnx.fragments import Inlined, inlined
from epimc.backends.onnx.ops.tables import Quantized, float_form, integer_form
from epimc.ir.core.types import as_map
from epimc.ir.dialects import epi, nn


@float_form(nn.Softmax)
def float_softmax(op: nn.Softmax, graph: FloatGraph) -> None:
    """Softmax; its axis counts the samples as well."""
    graph.node("Softmax", [graph.input_of(op)], graph.names[op.output], axis=op.axis + 1)


@integer_form(epi.Host)
def integer_host(op: epi.Host, quantized: Quantized) -> Iterator[Inlined]:
    """The nodes of the fragment."""
    operands = [operand.name for operand in op.operands]
    fragment = quantized.module.tensor(op.fragment).tobytes()
    dims = as_map(op.output.type.shape)
    yield inlined(fragment, operands, op.output.name, dims, quantized.prefix)
