"""What the ops that make sums add up: their accumulators, with real steps."""

from __future__ import annotations

import numpy as np

from epimc.ir.core.op import Array, Lookup, Op, Value, dump_attributes
from epimc.ir.dialects import elementwise, epi, nn
from epimc.ir.epitome.plan import rebuild
from epimc.ir.semantics import convolution
from epimc.ir.text.printer import refused
from epimc.quantization.rewriter import IntegerRewriter, sums
from epimc.quantization.rounding.weights import (
    bits_of,
    column_scales,
    integer_steps,
    shared_maxima,
    used_elements,
)
from epimc.quantization.terms import Term, Total

# What an epitome op keeps when its numbers become integers.
CONV_ATTRIBUTES = ("shape", "plan", "strides", "pads", "dilations", "groups")

# A larger bias leaves no room in the 64 bits of an accumulator.
LARGEST_BIAS = 2.0**46


@sums(nn.Sum)
def sum_total(op: nn.Sum, rewriter: IntegerRewriter) -> Total:
    """The summands of both.

    Raises:
        RefusedNodesError: Too little is left of what the operands say.
    """
    total = rewriter.total(op.a).plus(rewriter.total(op.b), op.sign, op.location)
    rewriter.refuse_coarse(op, total)
    return total


@sums(nn.Affine)
def affine_total(op: nn.Affine, rewriter: IntegerRewriter) -> Total:
    """The summands of the operand, scaled."""
    scale, offset = op.as_affine(rewriter.old.tensor)
    return rewriter.total(op.x).scaled(scale, offset, op.location)


@sums(elementwise.Multiply)
def product_total(op: elementwise.Multiply, rewriter: IntegerRewriter) -> Total:
    """A product of two activations."""
    a, b = rewriter.builder.mapped[op.a], rewriter.builder.mapped[op.b]
    value = accumulator(rewriter, epi.Multiply, op, [a, b])
    # Each factor less its zero point is at most 2^bits - 1 in magnitude.
    largest = (2**rewriter.bits - 1) ** 2
    return one_term(op, value, a.type.step * b.type.step, largest)


@sums(nn.AveragePool)
def mean_total(op: nn.AveragePool, rewriter: IntegerRewriter) -> Total:
    """A mean is a sum whose divisor goes into the requantization."""
    x = rewriter.builder.mapped[op.x]
    value = accumulator(rewriter, epi.SumPool, op, [x], **dump_attributes(op))
    largest = op.divisor * (2**rewriter.bits - 1)
    return one_term(op, value, x.type.step / op.divisor, largest)


@sums(epi.Conv)
def conv_total(op: epi.Conv, rewriter: IntegerRewriter) -> Total:
    """Integer weights and bias of one epitome op; its accumulator."""
    old, builder = rewriter.old, rewriter.builder
    bits = bits_of(op, rewriter.weight_bits, old.stored)
    epitome = used_elements(old.tensor(op.epitome), op)
    scales, output_scales = scales_of(op, epitome, bits, old.tensor)
    steps = integer_steps(epitome, scales, bits)
    x = builder.mapped[op.x]
    # The step of the accumulator, of each output channel.
    real = x.type.step * output_scales.astype(np.float64)
    bias = np.zeros(op.shape[0]) if op.bias is None else old.tensor(op.bias)
    counts = integer_bias(np.rint(bias.astype(np.float64) / real), op)
    name = op.epitome.name.removesuffix(".epitome")
    value = accumulator(
        rewriter,
        epi.Conv,
        op,
        [x],
        epitome=builder.store(f"{name}.integers", steps, f"s{bits}"),
        bias=builder.store(f"{name}.bias.integers", counts, "i64"),
        weight_scales=builder.store(f"{name}.scales", scales, "f32"),
        **{k: op.attributes[k] for k in CONV_ATTRIBUTES},
    )
    weights = rebuild(steps, op.plan, op.weights_shape)
    # From the weights as they are, whatever the samples: no input may overflow the requantization.
    bounds = convolution.accumulator_bounds(weights, counts, rewriter.bits)
    return Total([Term(value, real, bounds)], np.zeros(op.shape[0]), op.location)


def scales_of(op: epi.Conv, epitome: Array, bits: int, tensors: Lookup) -> tuple[Array, Array]:
    """Scales of the epitome's columns [Eo] and of the output channels [Cout], float32.

    Raises:
        EpimcError: The op states scales of columns, which differ where they must not.
    """
    if op.weight_scales is None:
        return column_scales(epitome, op, bits)
    scales = tensors(op.weight_scales)
    of_columns, of_channels = shared_maxima(op.plan, scales.astype(np.float64), op.shape[0])
    if not np.array_equal(of_columns, scales):
        raise refused(op, "Columns that feed one output channel have different scales.")
    return scales, of_channels.astype(np.float32)


def integer_bias(counts: Array, op: epi.Conv) -> Array:
    """A bias in units of the accumulator, which must leave room in 64 bits.

    Raises:
        EpimcError: It does not.
    """
    if np.abs(counts).max(initial=0) >= LARGEST_BIAS:
        raise refused(
            op,
            "The bias is too large beside the weights to be an integer of the accumulator.",
            hint="The layer's weights are nearly all 0: check the model.",
        )
    return counts.astype(np.int64)


def one_term(op: Op, value: Value, step: float, largest: int) -> Total:
    """The total of an accumulator whose channels are alike."""
    channels = op.output.type.shape[0]
    term = Term(value, np.full(channels, step), np.full(channels, largest, np.int64))
    return Total([term], np.zeros(channels), op.location)


def accumulator(
    rewriter: IntegerRewriter, kind: type[Op], op: Op, operands: list[Value], **attributes: object
) -> Value:
    """Append an op whose result is an accumulator."""
    name = rewriter.builder.fresh(f"{op.output.name}.acc")
    return rewriter.builder.emit(kind, operands, name, op.location, **attributes)
