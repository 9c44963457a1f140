"""The types of activations: what scale and zero point each value of a calibrated module gets."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from epimc.ir.core.module import Module
from epimc.ir.core.op import Value
from epimc.ir.core.traits import Joins, Moves
from epimc.ir.core.types import TensorType
from epimc.quantization.options import ActivationKind
from epimc.quantization.rounding.weights import SMALLEST_STEP
from epimc.support.diagnostics import Diagnostic, RefusedNodesError

Types = dict[Value, TensorType]

LARGEST_FLOAT = float(np.finfo(np.float32).max)


def activation_type(
    value: Value,
    bits: int,
    least_step: float = SMALLEST_STEP,
    kind: ActivationKind = "affine",
) -> TensorType:
    """The quantized type of a calibrated value: its range widened to hold 0.

    Args:
        value: Of a calibrated module.
        bits: Of its activations.
        least_step: A range of smaller steps than this is widened.
        kind: Whether the zero point fits the range, or is the middle one of both signs.

    Raises:
        RefusedNodesError: The range is too wide, or the step too large.
    """
    assert value.range is not None
    # 0 is what padding and a relu give: it must be one of the values.
    low, high = min(value.range[0], 0.0), max(value.range[1], 0.0)
    middle = 2 ** (bits - 1) if kind == "signed" and low < 0 else None
    with np.errstate(over="ignore"):
        if middle is None:
            step = float(np.float32((high - low) / (2**bits - 1)))
        else:
            step = float(np.float32(max(high, -low) / (middle - 1)))
        least = float(np.float32(least_step))
    if not math.isfinite(step):
        raise too_large(f"The range [{low}, {high}] of value %{value.name} is too wide")
    # A range of nearly nothing has no scale of its own: with 1.0 all its values are the zero point.
    scale = max(step, least) if step >= SMALLEST_STEP else 1.0
    if not math.isfinite(scale):
        raise too_large(f"What value %{value.name} is computed from is too large")
    top = 2**bits - 1
    zero_point = min(top, round(-low / scale)) if middle is None else middle
    # The ends are up to half a step beyond the range.
    if max(zero_point, top - zero_point) * scale > LARGEST_FLOAT:
        raise too_large(f"The range [{low}, {high}] of value %{value.name} is too wide")
    return TensorType(value.type.shape, f"u{bits}", scale, zero_point)


def too_large(clause: str) -> RefusedNodesError:
    """The error for a value whose activations float32 cannot tell."""
    hint = "Check the weights of the model and the samples."
    return RefusedNodesError(Diagnostic(f"{clause} for a float32 scale.", hint=hint))


def common_types(module: Module, own_type: Callable[[Value], TensorType]) -> Types:
    """For every value that takes the type of what it is joined into behind it, that type.

    What is concatenated has one scale and zero point wherever that costs nothing.  Those are the
    operands that nobody else reads, and what only moves on the way to them.
    """
    producers, uses = module.producers(), module.uses()
    types: Types = {}
    # The last come first, so that a concatenation of concatenations has one type.
    for op in reversed(module.ops):
        if not isinstance(op, Joins):
            continue
        kind = types.get(op.output) or own_type(op.output)
        for operand in op.operands:
            value = operand
            # Another reader would get a coarser scale for nothing.
            while len(uses[value]) == 1:
                types[value] = kind.with_shape(value.type.shape)
                moving = producers.get(value)
                if not isinstance(moving, Moves) or isinstance(moving, Joins):
                    break
                value = moving.operands[0]
    return types
