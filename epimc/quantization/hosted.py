"""What becomes of the host's ops: calls stay, and borders stand between them and the chip."""

from __future__ import annotations

from epimc.ir.core.module import Module
from epimc.ir.core.op import Value, dump_attributes
from epimc.ir.core.traits import CallsHost
from epimc.ir.dialects import epi, host
from epimc.quantization.rewriter import IntegerRewriter, quantizes
from epimc.support.origins import call_of


@quantizes(host.Call)
def keep_call(op: host.Call, rewriter: IntegerRewriter) -> None:
    """The same call: what the chip computes is dequantized before it."""
    operands = [rewriter.real(operand) for operand in op.operands]
    kind, stated = op.output.type, dump_attributes(op)
    rewriter.builder.emit(type(op), operands, op.output, op.location, kind, **stated)


@quantizes(host.ResultOf)
def keep_result(op: host.ResultOf, rewriter: IntegerRewriter) -> None:
    """The same result: the host does not work on integers."""
    rewriter.builder.copy(op)


@quantizes(host.Real)
def keep_real(op: host.Real, rewriter: IntegerRewriter) -> None:
    """Quantized as an input of the module is."""
    builder, old = rewriter.builder, op.output
    name = builder.fresh(f"{old.name}.real")
    real = builder.emit(host.Real, [builder.mapped[op.x]], name, op.location, **dump_attributes(op))
    real.range = old.range
    rewriter.reals[old] = real
    quantized = Value(old.name, rewriter.type_of(old), old.range)
    builder.mapped[old] = builder.add(epi.Quantize, [real], quantized, op.location)


def host_calls(module: Module) -> list[str]:
    """What the host runs of a module, a line for each node, in words such as `Softmax 'y'`."""
    calls = [op for op in module.ops if isinstance(op, CallsHost)]
    return [call_of(*node) for op in calls for node in op.location.nodes]
