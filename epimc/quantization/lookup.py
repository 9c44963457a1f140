"""Tables of functions: what a function makes of every value of an activation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from epimc.ir.core.module import Module
from epimc.ir.core.op import Array, Lookup, Op, Value
from epimc.ir.core.traits import StatesModel
from epimc.ir.core.types import TensorType
from epimc.ir.interpreter import modelled
from epimc.quantization.joining import Joining
from epimc.quantization.pointwise import is_pointwise, is_tabled
from epimc.runtime.guard import run_model
from epimc.support.diagnostics import Diagnostic, RefusedNodesError, clause
from epimc.support.origins import Node, place_of

# Of the values that a table on the chip is read by: a vector unit has no room for more.
MOST_INPUT_BITS = 12


def refuse_large_tables(module: Module, joining: Joining, bits: int) -> None:
    """Raise RefusedNodesError where functions of activations would take tables that are too large.

    Args:
        module: On reals.
        joining: Which of its ops become one table.
        bits: Of its activations.
    """
    if bits <= MOST_INPUT_BITS:
        return
    message = f"A table of a function takes activations of at most {MOST_INPUT_BITS} bits."
    # All of them at once: each refusal takes a compile.
    reasons: dict[Node, str] = {}
    for op in module.ops:
        joint = joining.tables.get(op.output)
        parts = joint.ops if joint else () if op.output in joining.inner else (op,)
        if joint or is_tabled(op):
            nodes = [node for part in parts for node in part.location.nodes]
            reasons |= dict.fromkeys(nodes, clause(message))
    if reasons:
        hint = "Fewer activation bits (--activation-bits) make smaller tables."
        raise RefusedNodesError(
            Diagnostic(message, place_of(tuple(reasons)), hint=hint), reasons=reasons
        )


def lookup_table(op: Op, x: TensorType, y: TensorType, tensors: Lookup) -> Array:
    """The results for all values of x, rounded half to even and clipped to the type of y.

    Returns:
        int64 [1, 2^bits of x], or [C, 2^bits] where the channels differ.
    """
    values = real_values(x, 1 if is_pointwise(op, tensors) else x.shape[0])
    return quantized_table(evaluated(op, [values], tensors), y)


def joint_table(
    ops: Sequence[Op], source: Value, x: TensorType, y: TensorType, tensors: Lookup
) -> Array:
    """The table of what several ops make of one value, each rounded only as float64 is.

    Args:
        ops: In order; all channels are alike to them, and the last one's result is meant.
        source: The one value that they read but do not make.
        x: Its type.
        y: The type of the result.
        tensors: Gives the contents of stored tensors.

    Returns:
        int64 [1, 2^bits of x].
    """
    known = {source: real_values(x, 1)}
    for op in ops:
        result = evaluated(op, [known[operand] for operand in op.operands], tensors)
        # An affine op has numbers of all channels, which are alike: one column tells.
        known[op.output] = result[:, :1]
    return quantized_table(known[ops[-1].output], y)


def real_values(x: TensorType, channels: int) -> Array:
    """What the values of an activation stand for, as so many samples of vectors, float64."""
    real = (np.arange(2**x.bits) - x.zero_point) * x.step
    return np.repeat(real[:, None], channels, axis=1)


def evaluated(op: Op, operands: list[Array], tensors: Lookup) -> Array:
    """What an op makes of vectors, float64; not finite where it is not defined."""
    # An activation has values beyond what was seen, such as a 0 before a logarithm.
    with np.errstate(all="ignore"):
        if isinstance(op, StatesModel):
            return defined(modelled(op, operands[0], tensors, run_model))
        return op.evaluate(operands, tensors)


def defined(results: Array) -> Array:
    """Results of a function, 0 where it has none, as the logarithm of a negative number."""
    return np.where(np.isnan(results), 0.0, results)


def quantized_table(results: Array, y: TensorType) -> Array:
    """Real results [2^bits, C] as the rows of a table, int64 [C, 2^bits].

    Infinite results are clipped to the ends like all that is too large.
    """
    steps = np.rint(defined(results) / y.step) + y.zero_point
    table: Array = np.clip(steps, 0, 2**y.bits - 1).T.astype(np.int64)
    return table
