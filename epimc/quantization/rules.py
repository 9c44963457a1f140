"""What becomes of the ops that make no sums: moves, tables, constants, host calls, bounds."""

from __future__ import annotations

from dataclasses import replace

from epimc.ir.core.op import Op, dump_attributes
from epimc.ir.core.traits import Clips, Joins, Moves, StatesModel
from epimc.ir.dialects import elementwise, moves
from epimc.ir.semantics import quantization
from epimc.quantization.lookup import lookup_table
from epimc.quantization.rewriter import IntegerRewriter, quantizes
from epimc.quantization.vanishing import refuse_vanishing


@quantizes(Moves)
def keep_move(op: Moves, rewriter: IntegerRewriter) -> None:
    """The same move of activations, which keep their type."""
    operands = [rewriter.builder.mapped[operand] for operand in op.operands]
    rewriter.builder.emit(type(op), operands, op.output, op.location, **dump_attributes(op))


@quantizes(Joins)
def keep_join(op: Joins, rewriter: IntegerRewriter) -> None:
    """The same move, of operands that are requantized where they are of another type."""
    refuse_vanishing(op, rewriter.uses, rewriter.bits)
    kind = rewriter.type_of(op.output)
    operands = [rewriter.as_type(operand, kind, op) for operand in op.operands]
    rewriter.builder.emit(type(op), operands, op.output, op.location, **dump_attributes(op))


@quantizes(moves.Constant)
def keep_constant(op: moves.Constant, rewriter: IntegerRewriter) -> None:
    """Quantized as an input would be."""
    builder, kind = rewriter.builder, rewriter.type_of(op.output)
    values = rewriter.old.tensor(op.value)
    steps = quantization.quantize_input(values, kind.step, kind.zero_point, kind.bits)
    stored = builder.store(f"{op.value.name}.integers", steps, kind.element)
    builder.emit(moves.Constant, [], op.output, op.location, kind, value=stored)


def keep_function(op: Op, rewriter: IntegerRewriter) -> None:
    """A table over all values of the operand."""
    kind, x = rewriter.type_of(op.output), rewriter.builder.mapped[op.operands[0]]
    # Over the type that x has got, which need not be that of its own range.
    table = lookup_table(op, x.type, kind, rewriter.old.tensor)
    rewriter.look_up(op, x, kind, table, op.location)


for _kind in (elementwise.Activation, StatesModel):
    quantizes(_kind)(keep_function)


@quantizes(Clips)
def keep_clip(op: Clips, rewriter: IntegerRewriter) -> None:
    """The bounds of the requantization of what is clipped."""
    total = rewriter.total(op.operands[0])
    located = replace(total, trail=(total.trail, op.location))
    rewriter.requantize(op, located, op.bounds)
