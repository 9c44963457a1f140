"""Common types: what is concatenated has one scale and zero point wherever that costs nothing."""

from __future__ import annotations

from collections.abc import Callable

from epimc.ir.core.module import Module
from epimc.ir.core.op import Value
from epimc.ir.core.types import TensorType
from epimc.ir.dialects import moves, nn

# What moves the activations of one operand without computing.
MOVING = (nn.MaxPool, nn.Rearrange, moves.Pad, moves.Select)

Types = dict[Value, TensorType]


def common_types(module: Module, own_type: Callable[[Value], TensorType]) -> Types:
    """For every value that takes the type of a concatenation behind it, that type.

    Those are the operands that nobody else reads, and what only moves on the way to them.
    """
    producers, uses = module.producers(), module.uses()
    found: Types = {}
    # The last come first, so that a concatenation of concatenations has one type.
    for op in reversed(module.ops):
        if not isinstance(op, moves.Concat):
            continue
        kind = found.get(op.output) or own_type(op.output)
        for operand in op.operands:
            value = operand
            while len(uses[value]) == 1:
                found[value] = kind.with_shape(value.type.shape)
                moving = producers.get(value)
                if not isinstance(moving, MOVING):
                    break
                value = moving.operands[0]
    return found
