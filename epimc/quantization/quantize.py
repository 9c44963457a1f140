"""`quantize`: floats to integers, after DESIGN of the numbers in `epimc.ir.integers`.

Sums of convolutions, pools and residuals stay exact accumulators until the value that is really
kept: conv + add + relu requantize once, after the last.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import networkx as nx
import numpy as np

from epimc.diagnostics import EpimcError, error
from epimc.ir import integers
from epimc.ir.core import Array, Builder, Module, Op, Value
from epimc.ir.dialects import epi, nn
from epimc.ir.pipeline import Pass
from epimc.ir.plan import rebuild, used
from epimc.ir.printer import refused
from epimc.ir.types import Location, TensorType
from epimc.quantization import hosted

# A channel whose weights are this much smaller than the layer's largest shares the scale of that
# floor: its weights count for nothing, and its multiplier would leave the 31 bits.
SMALLEST_RELATIVE_SCALE = 2.0**-20

# Below this, far above the end of float32, a value or a layer's weights are nearly always 0: they
# may have any scale.
SMALLEST_STEP = 2.0**-100

# A longer sum is kept on the way: one instruction names all terms of a requantization.
MAXIMUM_TERMS = 64


@dataclass(frozen=True)
class Quantize(Pass):
    """Weights symmetric, with a scale per epitome column; activations affine, per tensor.

    Attributes:
        weight_bits: Bits of a weight, 2 to 8.
        activation_bits: Bits of an activation, 4 to 8.
    """

    weight_bits: int = 8
    activation_bits: int = 8

    name: ClassVar[str] = "quantize"
    requires: ClassVar[str] = "epi"
    ensures: ClassVar[str] = "epi"

    def __post_init__(self) -> None:
        if not 2 <= self.weight_bits <= 8:
            raise ValueError(f"weight_bits = {self.weight_bits} is not in 2..8")
        if not 4 <= self.activation_bits <= 8:
            raise ValueError(f"activation_bits = {self.activation_bits} is not in 4..8")

    def run(self, module: Module) -> Module:
        """Rewrite the whole module to integers, with the border at its inputs and outputs."""
        return _Rewriter(module, self.weight_bits, self.activation_bits).run()


def activation_type(value: Value, bits: int) -> TensorType:
    """The quantized type of a calibrated value: its range widened to hold 0.

    Raises:
        EpimcError: The value has no range.
    """
    if value.range is None:
        raise error(
            f"Value %{value.name} has no range.", hint="Run the pass 'calibrate' before 'quantize'."
        )
    low, high = min(value.range[0], 0.0), max(value.range[1], 0.0)
    step = float(np.float32((high - low) / (2**bits - 1)))
    scale = step if step >= SMALLEST_STEP else 1.0
    zero_point = min(2**bits - 1, round(-low / scale))
    return TensorType(value.type.shape, f"u{bits}", scale, zero_point)


def used_elements(epitome: Array, op: epi.Conv) -> Array:
    """The epitome with 0 wherever no patch uses it: that must not widen a scale."""
    eo, ei, eh, ew = epitome.shape
    return np.where(used(op.plan, (eo, ei, eh, ew), op.window.kernel), epitome, np.float32(0))


def column_scales(epitome: Array, op: epi.Conv, bits: int) -> tuple[Array, Array]:
    """Scales of the epitome's columns [Eo] and of the output channels [Cout], float32.

    Columns that feed a common output channel share a scale.
    """
    largest = np.abs(epitome.reshape(len(epitome), -1)).max(axis=1).astype(np.float64)
    graph: nx.Graph[tuple[str, int]] = nx.Graph()
    for patch in op.plan:
        for k in range(patch.on):
            graph.add_edge(("column", patch.eo + k), ("output", patch.o0 + k))
    outputs = np.zeros(op.shape[0])
    for component in nx.connected_components(graph):
        columns = [index for side, index in component if side == "column"]
        top = largest[columns].max()
        largest[columns] = top
        outputs[[index for side, index in component if side == "output"]] = top
    top = largest.max(initial=0)
    floor = top * SMALLEST_RELATIVE_SCALE if top >= SMALLEST_STEP else 1.0
    limit = integers.weight_limit(bits)
    scales = [np.maximum(tops, floor).astype(np.float32) / np.float32(limit)
              for tops in (largest, outputs)]  # fmt: skip
    return scales[0], scales[1]


@dataclass(frozen=True)
class Term:
    """One summand of a requantization: a value, and its real step for each channel, float64."""

    value: Value
    steps: Array
    bounds: Array


class _Rewriter:
    """Builds the integer module; one object a run, so that the maps need no passing around."""

    def __init__(self, module: Module, weight_bits: int, activation_bits: int) -> None:
        self.old = module
        self.builder = Builder(module)
        self.weight_bits, self.bits = weight_bits, activation_bits
        self.uses = module.uses()
        self.producers = module.producers()
        # Terms of the sums that are not kept themselves.
        self.term_counts: dict[Value, int] = {}

    def run(self) -> Module:
        for name, value in self.old.inputs:
            real = self.builder.input(name, value)
            kind = activation_type(value, self.bits)
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
        """Whether a value stays an accumulator: its one reader is an add, or the relu behind."""
        producer, uses = self.producers.get(value), self.uses[value]
        if not isinstance(producer, (epi.Conv, nn.Add, nn.AveragePool)) or len(uses) != 1:
            return False
        if not isinstance(uses[0], (nn.Add, nn.Relu)):
            return False
        if isinstance(producer, nn.Add):
            count = sum(self.term_counts.get(operand, 1) for operand in producer.operands)
            if count >= MAXIMUM_TERMS:
                return False
            self.term_counts[value] = count
        return True

    def keep(self, op: Op) -> None:
        """Compute a value that is kept as activations."""
        if isinstance(op, (nn.MaxPool, nn.Rearrange)):
            moved = self.builder.mapped[op.operands[0]].type.with_shape(op.output.type.shape)
            self.builder.copy(op)
            self.builder.mapped[op.output].type = moved
            return
        if isinstance(op, hosted.OPS):
            self.call_host(op)
            return
        source = op.operands[0] if isinstance(op, nn.Relu) else op.output
        terms, location = self.terms(source)
        if isinstance(op, nn.Relu):
            location = location + op.location
        self.requantize(op, terms, location)

    def call_host(self, op: Op) -> None:
        """The op on reals, between dequantizations and a quantization, as a model for the host."""
        result = hosted.with_known_range(op)
        kind, name = activation_type(result, self.bits), result.name
        operands = [self.builder.mapped[operand] for operand in op.operands]
        fragment = hosted.fragment_of(op, [operand.type for operand in operands], kind)
        self.builder.mapped[op.output] = self.builder.add(
            epi.Host,
            operands,
            Value(name, kind, result.range),
            op.location,
            fragment=self.builder.store(f"{name}.host", fragment, "u8"),
        )

    def terms(self, value: Value) -> tuple[list[Term], Location]:
        """The summands of a value: accumulators, or the activation that it is kept as."""
        if value in self.builder.mapped:
            kept = self.builder.mapped[value]
            channels = value.type.shape[0]
            step = np.full(channels, kept.type.scale or 1.0)
            bound = np.full(channels, 2**self.bits - 1, np.int64)
            return [Term(kept, step, bound)], Location()
        op = self.producers[value]
        if isinstance(op, nn.Add):
            (left, first), (right, second) = self.terms(op.a), self.terms(op.b)
            return left + right, first + second + op.location
        if isinstance(op, epi.Conv):
            return [self.conv(op)], op.location
        assert isinstance(op, nn.AveragePool)
        return [self.sum_pool(op)], op.location

    def conv(self, op: epi.Conv) -> Term:
        """Integer weights and bias of one epitome op; its accumulator."""
        epitome = used_elements(self.old.tensor(op.epitome), op)
        scales, output_scales = column_scales(epitome, op, self.weight_bits)
        limit = integers.weight_limit(self.weight_bits)
        steps = np.rint(epitome.astype(np.float64) / scales.reshape(-1, 1, 1, 1))
        whole = np.clip(steps, -limit, limit).astype(np.int64)
        x = self.builder.mapped[op.x]
        real = (x.type.scale or 1.0) * output_scales.astype(np.float64)
        bias = np.zeros(op.shape[0]) if op.bias is None else self.old.tensor(op.bias)
        counts = self.integer_bias(np.rint(bias.astype(np.float64) / real), op)
        name = op.epitome.name.removesuffix(".epitome")
        store = self.builder.store
        value = self.accumulator(
            epi.Conv,
            op,
            x,
            epitome=store(f"{name}.integers", whole, f"s{self.weight_bits}"),
            bias=store(f"{name}.bias.integers", counts, "i64"),
            weight_scales=store(f"{name}.scales", scales, "f32"),
            **{k: op.attributes[k] for k in ("shape", "plan", "strides", "pads", "dilations")},
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
        windows = {k: op.attributes[k] for k in ("kernel", "strides", "pads", "dilations")}
        value = self.accumulator(epi.SumPool, op, x, **windows)
        count = op.kernel[0] * op.kernel[1]
        channels = op.output.type.shape[0]
        steps = np.full(channels, (x.type.scale or 1.0) / count)
        return Term(value, steps, np.full(channels, count * (2**self.bits - 1), np.int64))

    def accumulator(self, kind: type[Op], op: Op, x: Value, **attributes: object) -> Value:
        """Append an op whose result is an accumulator."""
        name = self.builder.fresh(f"{op.output.name}.acc")
        value = Value(name, TensorType(op.output.type.shape, "i64"))
        return self.builder.add(kind, [x], value, op.location, **attributes)

    def requantize(self, op: Op, terms: list[Term], location: Location) -> None:
        """The one rounding: sum the terms into an activation, with a fused relu."""
        kind = activation_type(op.output, self.bits)
        factors = np.stack([term.steps / (kind.scale or 1.0) for term in terms])
        bounds = np.stack([term.bounds for term in terms])
        multipliers, shifts = self.multipliers(factors, bounds, op)
        name = op.output.name
        low = kind.zero_point if isinstance(op, nn.Relu) else 0
        self.builder.mapped[op.output] = self.builder.add(
            epi.Requantize,
            [term.value for term in terms],
            Value(name, kind, op.output.range),
            location,
            multipliers=self.builder.store(f"{name}.multipliers", multipliers, "i64"),
            shifts=self.builder.store(f"{name}.shifts", shifts, "i64"),
            low=low,
            high=2**self.bits - 1,
        )

    def multipliers(self, factors: Array, bounds: Array, op: Op) -> tuple[Array, Array]:
        """Multipliers [terms, C] and shifts [C]."""
        found: dict[tuple[bytes, bytes], tuple[list[int], int]] = {}
        rows: list[list[int]] = []
        shifts: list[int] = []
        for channel in range(factors.shape[1]):
            scales, limits = factors[:, channel], bounds[:, channel]
            key = scales.tobytes(), limits.tobytes()
            if key not in found:
                found[key] = self.one_channel(scales.tolist(), limits.tolist(), channel, op)
            rows.append(found[key][0])
            shifts.append(found[key][1])
        return np.array(rows, np.int64).T, np.array(shifts, np.int64)

    @staticmethod
    def one_channel(
        scales: list[float], bounds: list[int], channel: int, op: Op
    ) -> tuple[list[int], int]:
        try:
            return integers.requantization(scales, bounds)
        except integers.PrecisionError as problem:
            raise _imprecise(channel, op, str(problem)) from None


def _imprecise(channel: int, op: Op, problem: str) -> EpimcError:
    return refused(
        op,
        f"Output channel {channel} cannot be requantized: {problem}.",
        hint="The channel's range and its weights are too far apart: check the calibration data.",
    )
