"""`quantize`: floats to integers, as `epimc.ir.semantics.integers` defines them.

Sums of convolutions, pools and residuals stay exact accumulators until the value that is really
kept: conv + add + relu requantize once, after the last.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from epimc.ir.core.levels import CALIBRATED, QUANTIZED
from epimc.ir.core.module import Array, Builder, Module, Op, Value, dump_attributes
from epimc.ir.core.types import Location, TensorType
from epimc.ir.dialects import elementwise, epi, moves, nn
from epimc.ir.epitome.plan import rebuild
from epimc.ir.pipeline import Pass
from epimc.ir.semantics import integers
from epimc.ir.text.printer import refused
from epimc.quantization import hosted
from epimc.quantization.common import MOVING, common_types
from epimc.quantization.constants import quantize_constant
from epimc.quantization.lookup import lookup_table
from epimc.quantization.options import QuantizeOptions
from epimc.quantization.terms import Term, Total
from epimc.quantization.weights import SMALLEST_STEP, column_scales, used_elements, whole_steps
from epimc.support.diagnostics import error

# What makes sums, which stay sums where their one reader is LINEAR or CLIPPING.
LINEAR = (nn.Add, nn.Affine)
CLIPPING = (nn.Relu, elementwise.Clip)
SUMMED = (*LINEAR, epi.Conv, nn.AveragePool, elementwise.Multiply)

# A term that cannot move the result by this part of a step counts for nothing.
NEGLIGIBLE = 2.0**-16

# A result has no finer steps than this part of a term's: a difference of equal values is rounding
# alone, and its range tells nothing.
LARGEST_FACTOR = 2.0**16

# A longer sum is kept on the way: one instruction names all terms of a requantization.
MAXIMUM_TERMS = 64

# What an epitome op keeps when its numbers become integers.
CONV_ATTRIBUTES = ("shape", "plan", "strides", "pads", "dilations", "groups")


@dataclass(frozen=True)
class Quantize(QuantizeOptions, Pass):
    """Weights symmetric, with a scale per epitome column; activations affine, per tensor."""

    name: ClassVar[str] = "quantize"
    requires: ClassVar[str] = CALIBRATED
    ensures: ClassVar[str] = QUANTIZED

    def run(self, module: Module) -> Module:
        """Rewrite the whole module to integers, with the border at its inputs and outputs."""
        return _Rewriter(module, self.weight_bits, self.activation_bits).run()


def activation_type(value: Value, bits: int, least_step: float = SMALLEST_STEP) -> TensorType:
    """The quantized type of a calibrated value: its range widened to hold 0.

    Args:
        value: Of a calibrated module.
        bits: Of its activations.
        least_step: A range of smaller steps than this is widened.

    Raises:
        EpimcError: The range is too wide.
    """
    assert value.range is not None
    low, high = min(value.range[0], 0.0), max(value.range[1], 0.0)
    with np.errstate(over="ignore"):
        step = float(np.float32((high - low) / (2**bits - 1)))
    if not math.isfinite(step):
        raise error(
            f"The range [{low}, {high}] of value %{value.name} is too wide for a float32 scale.",
            hint="Check the weights of the model and the samples.",
        )
    scale = max(step, float(np.float32(least_step))) if step >= SMALLEST_STEP else 1.0
    zero_point = min(2**bits - 1, round(-low / scale))
    return TensorType(value.type.shape, f"u{bits}", scale, zero_point)


class _Rewriter:
    """Builds the integer module; one object a run, so that the maps need no passing around."""

    def __init__(self, module: Module, weight_bits: int, activation_bits: int) -> None:
        self.old = module
        self.builder = Builder(module, QUANTIZED)
        self.weight_bits, self.bits = weight_bits, activation_bits
        self.uses = module.uses()
        self.producers = module.producers()
        # Terms of the sums that are not kept themselves.
        self.term_counts: dict[Value, int] = {}
        self.common = common_types(module, self.own_type)

    def own_type(self, value: Value) -> TensorType:
        """The type that the value's own range asks for."""
        return activation_type(value, self.bits)

    def type_of(self, value: Value) -> TensorType:
        """The type that a value is requantized to: its own, or that of a concatenation."""
        return self.common.get(value) or self.own_type(value)

    def run(self) -> Module:
        for name, value in self.old.inputs:
            real = self.builder.input(name, value)
            kind = self.type_of(value)
            quantized = Value(self.builder.fresh(f"{value.name}.q"), kind, value.range)
            location = Location((("Input", name),))
            self.builder.mapped[value] = self.builder.add(epi.Quantize, [real], quantized, location)
        for op in self.old.ops:
            if not self.is_absorbed(op.output):
                self.keep(op)
        for name, value in self.old.outputs:
            self.output(name, value)
        return self.builder.finish()

    def output(self, name: str, value: Value) -> None:
        """The border of one graph output."""
        real = Value(self.builder.fresh(f"{value.name}.real"), value.type, value.range)
        location = Location((("Output", name),))
        self.builder.add(epi.Dequantize, [self.builder.mapped[value]], real, location)
        self.builder.module.outputs.append((name, real))

    def is_absorbed(self, value: Value) -> bool:
        """Whether a value stays a sum: its one reader adds to it, scales it or clips it."""
        producer, uses = self.producers.get(value), self.uses[value]
        if not isinstance(producer, SUMMED) or len(uses) != 1:
            return False
        if not isinstance(uses[0], (*LINEAR, *CLIPPING)):
            return False
        if isinstance(producer, LINEAR):
            count = sum(self.term_counts.get(operand, 1) for operand in producer.operands)
            if count >= MAXIMUM_TERMS:
                return False
            self.term_counts[value] = count
        return True

    def keep(self, op: Op) -> None:
        """Compute a value that is kept as activations."""
        if isinstance(op, moves.Concat):
            self.concat(op)
        elif isinstance(op, moves.Constant):
            quantize_constant(self.builder, op, self.type_of(op.output), self.old.tensor(op.value))
        elif isinstance(op, MOVING):
            kind = self.builder.mapped[op.operands[0]].type
            self.builder.copy(op).type = kind.with_shape(op.output.type.shape)
        elif isinstance(op, hosted.OPS):
            self.call_host(op)
        elif isinstance(op, elementwise.Activation):
            self.look_up(op)
        else:
            clipping = isinstance(op, CLIPPING)
            total = self.total(op.operands[0] if clipping else op.output)
            bounds = op.bounds if isinstance(op, CLIPPING) else (-math.inf, math.inf)
            location = total.location + op.location if clipping else total.location
            self.requantize(op, replace(total, location=location), bounds)

    def concat(self, op: moves.Concat) -> None:
        """Move the operands side by side, those of another type requantized to the result's."""
        kind = self.type_of(op.output)
        operands = []
        for old in op.operands:
            own = kind.with_shape(old.type.shape)
            if self.builder.mapped[old].type == own:
                operands.append(self.builder.mapped[old])
            else:
                name = self.builder.fresh(f"{old.name}.rescaled")
                total = replace(self.total(old), location=op.location)
                operands.append(self.rescaled(op, total, Value(name, own, old.range)))
        result = Value(op.output.name, kind, op.output.range)
        self.builder.add(moves.Concat, operands, result, op.location, axis=op.axis)
        self.builder.mapped[op.output] = result

    def look_up(self, op: elementwise.Activation) -> None:
        """A function as a table over all values of its operand."""
        x, kind = self.builder.mapped[op.x], self.type_of(op.output)
        table = lookup_table(op, x.type, kind, self.old.tensor)
        name = op.output.name
        self.builder.mapped[op.output] = self.builder.add(
            epi.LookUp,
            [x],
            Value(name, kind, op.output.range),
            op.location,
            table=self.builder.store(f"{name}.table", table, kind.element),
        )

    def call_host(self, op: Op) -> None:
        """The op on reals, between dequantizations and a quantization, as a model for the host."""
        result = hosted.with_known_range(op)
        kind, name = self.common.get(op.output) or self.own_type(result), result.name
        operands = [self.builder.mapped[operand] for operand in op.operands]
        fragment = hosted.fragment_of(op, [operand.type for operand in operands], kind)
        self.builder.mapped[op.output] = self.builder.add(
            epi.Host,
            operands,
            Value(name, kind, result.range),
            op.location,
            fragment=self.builder.store(f"{name}.host", fragment, "u8"),
        )

    def total(self, value: Value) -> Total:
        """The summands of a value: accumulators, or the activation that it is kept as."""
        channels = value.type.shape[0]
        nothing = np.zeros(channels)
        if value in self.builder.mapped:
            kept = self.builder.mapped[value]
            step = np.full(channels, kept.type.scale or 1.0)
            bound = np.full(channels, 2**self.bits - 1, np.int64)
            return Total([Term(kept, step, bound)], nothing, Location())
        op = self.producers[value]
        if isinstance(op, nn.Add):
            return self.total(op.a).plus(self.total(op.b), op.sign, op.location)
        if isinstance(op, nn.Affine):
            scale, offset = op.as_affine(self.old.tensor)
            return self.total(op.x).scaled(scale, offset, op.location)
        return Total([self.term(op)], nothing, op.location)

    def term(self, op: Op) -> Term:
        """The accumulator of an op that makes one."""
        if isinstance(op, epi.Conv):
            return self.conv(op)
        if isinstance(op, elementwise.Multiply):
            return self.multiply(op)
        assert isinstance(op, nn.AveragePool)
        return self.sum_pool(op)

    def multiply(self, op: elementwise.Multiply) -> Term:
        """A product of two activations."""
        a, b = self.builder.mapped[op.a], self.builder.mapped[op.b]
        value = self.accumulator(epi.Multiply, op, [a, b])
        channels = op.output.type.shape[0]
        steps = np.full(channels, (a.type.scale or 1.0) * (b.type.scale or 1.0))
        return Term(value, steps, np.full(channels, (2**self.bits - 1) ** 2, np.int64))

    def conv(self, op: epi.Conv) -> Term:
        """Integer weights and bias of one epitome op; its accumulator."""
        epitome = used_elements(self.old.tensor(op.epitome), op)
        scales, output_scales = column_scales(epitome, op, self.weight_bits)
        whole = whole_steps(epitome, scales, self.weight_bits)
        x = self.builder.mapped[op.x]
        real = (x.type.scale or 1.0) * output_scales.astype(np.float64)
        bias = np.zeros(op.shape[0]) if op.bias is None else self.old.tensor(op.bias)
        counts = self.integer_bias(np.rint(bias.astype(np.float64) / real), op)
        name = op.epitome.name.removesuffix(".epitome")
        store = self.builder.store
        value = self.accumulator(
            epi.Conv,
            op,
            [x],
            epitome=store(f"{name}.integers", whole, f"s{self.weight_bits}"),
            bias=store(f"{name}.bias.integers", counts, "i64"),
            weight_scales=store(f"{name}.scales", scales, "f32"),
            **{k: op.attributes[k] for k in CONV_ATTRIBUTES},
        )
        weights = rebuild(whole, op.plan, op.weights_shape)
        return Term(value, real, integers.accumulator_bounds(weights, counts, self.bits))

    def integer_bias(self, counts: Array, op: epi.Conv) -> Array:
        """A bias in units of the accumulator, which must leave room in 64 bits."""
        if np.abs(counts).max(initial=0) >= 2.0**46:
            raise refused(
                op,
                "The bias is too large beside the weights to be an integer of the accumulator.",
                hint="The layer's weights are nearly all 0: check the model.",
            )
        return counts.astype(np.int64)

    def sum_pool(self, op: nn.AveragePool) -> Term:
        """An average is a sum whose divisor goes into the requantization."""
        x = self.builder.mapped[op.x]
        value = self.accumulator(epi.SumPool, op, [x], **dump_attributes(op))
        channels = op.output.type.shape[0]
        steps = np.full(channels, (x.type.scale or 1.0) / op.divisor)
        return Term(value, steps, np.full(channels, op.divisor * (2**self.bits - 1), np.int64))

    def accumulator(
        self, kind: type[Op], op: Op, operands: list[Value], **attributes: object
    ) -> Value:
        """Append an op whose result is an accumulator."""
        name = self.builder.fresh(f"{op.output.name}.acc")
        value = Value(name, TensorType(op.output.type.shape, "i64"))
        return self.builder.add(kind, operands, value, op.location, **attributes)

    def requantize(self, op: Op, total: Total, bounds: tuple[float, float]) -> None:
        """The one rounding, between real bounds: those of a fused relu or clip."""
        kind = self.type_of(op.output)
        least = max(float(np.abs(t.steps).max()) for t in total.terms) / LARGEST_FACTOR
        if kind.scale is not None and kind.scale < least and op.output not in self.common:
            kind = activation_type(op.output, self.bits, least)
        result = Value(op.output.name, kind, op.output.range)
        self.builder.mapped[op.output] = self.rescaled(op, total, result, bounds)

    def rescaled(
        self,
        op: Op,
        total: Total,
        result: Value,
        bounds: tuple[float, float] = (-math.inf, math.inf),
    ) -> Value:
        """Append the requantization of a total to the type of `result`."""
        scale, zero_point, name = result.type.scale or 1.0, result.type.zero_point, result.name
        factors = np.stack([term.steps / scale for term in total.terms])
        limits = np.stack([term.bounds for term in total.terms])
        factors = np.where(np.abs(factors) * limits < NEGLIGIBLE, 0.0, factors)
        multipliers, shifts, offsets = self.multipliers(factors, limits, total.offset / scale, op)
        steps = np.clip(np.array(bounds) / scale, -(2.0**31), 2.0**31)
        low, high = np.clip(np.rint(steps) + zero_point, 0, 2**self.bits - 1).astype(int)
        store = self.builder.store
        return self.builder.add(
            epi.Requantize,
            [term.value for term in total.terms],
            result,
            total.location,
            multipliers=store(f"{name}.multipliers", multipliers, "i64"),
            shifts=store(f"{name}.shifts", shifts, "i64"),
            offsets=store(f"{name}.offsets", offsets, "i64") if offsets.any() else None,
            low=int(low),
            high=int(high),
        )

    def multipliers(
        self, factors: Array, bounds: Array, offsets: Array, op: Op
    ) -> tuple[Array, Array, Array]:
        """Multipliers [terms, C], shifts [C] and offsets [C]."""
        found: dict[tuple[bytes, ...], tuple[list[int], int, int]] = {}
        rows: list[tuple[list[int], int, int]] = []
        for channel in range(factors.shape[1]):
            scales, limits, offset = factors[:, channel], bounds[:, channel], offsets[channel]
            key = scales.tobytes(), limits.tobytes(), offset.tobytes()
            if key not in found:
                given = scales.tolist(), limits.tolist(), float(offset)
                found[key] = self.one_channel(*given, channel, op)
            rows.append(found[key])
        multipliers, shifts, whole = (np.array(k, np.int64) for k in zip(*rows, strict=True))
        return multipliers.T, shifts, whole

    @staticmethod
    def one_channel(
        scales: list[float], bounds: list[int], offset: float, channel: int, op: Op
    ) -> tuple[list[int], int, int]:
        try:
            return integers.requantization(scales, bounds, offset)
        except integers.PrecisionError as problem:
            found = f"Output channel {channel} cannot be requantized: {problem}."
            hint = (
                "The channel's range and its weights are too far apart: check the calibration data."
            )
            raise refused(op, found, hint) from None
