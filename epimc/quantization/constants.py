"""Constants as activations."""

from __future__ import annotations

from epimc.ir.core.module import Builder
from epimc.ir.core.op import Array, Value
from epimc.ir.core.types import TensorType
from epimc.ir.dialects import moves
from epimc.ir.semantics import integers


def quantize_constant(
    builder: Builder, op: moves.Constant, kind: TensorType, values: Array
) -> None:
    """Append a constant, quantized as an input would be, and map the old one to it.

    Args:
        builder: Of the integer module.
        op: On reals.
        kind: What its range, or a concatenation behind it, asks for.
        values: Float32.
    """
    whole = integers.quantize_input(values, kind.scale or 1.0, kind.zero_point, kind.bits)
    ref = builder.store(f"{op.value.name}.integers", whole, kind.element)
    result = Value(op.output.name, kind, op.output.range)
    builder.mapped[op.output] = builder.add(moves.Constant, [], result, op.location, value=ref)
