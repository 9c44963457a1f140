"""The integer module in the making, and the two tables of what is done to each op.

A value is computed in one of two ways.  An op that makes a sum (a convolution, a mean, an addition,
…) contributes summands, `sums`: they stay exact accumulators until the value that is really kept,
so that conv + add + relu requantize once, after the last.  Every other op is kept by itself, as
`quantizes` says.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from epimc.ir.core.dispatch import OpTable
from epimc.ir.core.levels import QUANTIZED
from epimc.ir.core.module import Builder, Module
from epimc.ir.core.module_attributes import CALIBRATION
from epimc.ir.core.op import Array, Op, Value
from epimc.ir.core.traits import Border, Clips, Linear
from epimc.ir.core.types import Location, TensorType
from epimc.ir.dialects import epi
from epimc.ir.text.printer import refused
from epimc.quantization.activations import activation_type, common_types
from epimc.quantization.joining import Joining, Joint
from epimc.quantization.lookup import joint_table, refuse_large_tables
from epimc.quantization.options import QuantizeOptions
from epimc.quantization.requantization import LARGEST_FACTOR, rescaled
from epimc.quantization.terms import Term, Total

# A longer sum is kept on the way: one instruction names all terms of a requantization.
MAXIMUM_TERMS = 64

UNBOUNDED = (-math.inf, math.inf)


class IntegerRewriter:
    """Builds the integer module; one object a run, so that the maps need no passing around.

    Attributes:
        old: The calibrated module.
        builder: Of the integer module.
        options: What numbers are to be.
        bits: Bits of an activation.
        common: The types of the values that have that of what they are joined into.
        joining: The ops that become one table together.
    """

    def __init__(self, module: Module, options: QuantizeOptions) -> None:
        """Prepare to rewrite a calibrated module."""
        self.old = module
        self.builder = Builder(module, QUANTIZED)
        # The samples have served: the builder drops tensors that nothing names.
        self.builder.module.attributes.pop(CALIBRATION, None)
        self.options, self.bits = options, options.activation_bits
        self.uses = module.uses()
        self.producers = module.producers()
        # Terms of the sums that are not kept themselves.
        self.term_counts: dict[Value, int] = {}
        # Of sums that are not kept, until their one reader takes them over.
        self.totals: dict[Value, Total] = {}
        # Of values that the host reads, as it has them.
        self.reals: dict[Value, Value] = {}
        self.common = common_types(module, self.own_type)
        self.joining = joining_of(module)

    def own_type(self, value: Value) -> TensorType:
        """The type that the value's own range asks for."""
        return activation_type(value, self.bits, kind=self.options.activations)

    def type_of(self, value: Value) -> TensorType:
        """The type that a value is requantized to: its own, or that of what it is joined into."""
        return self.common.get(value) or self.own_type(value)

    def run(self) -> Module:
        """The module at level `quantized`; sums that their one reader takes over make no op."""
        refuse_large_tables(self.old, self.joining, self.bits)
        for name, value in self.old.inputs:
            self.input(name, value)
        for op in self.old.ops:
            if op.output in self.joining.tables:
                self.keep_joint(op, self.joining.tables[op.output])
            elif op.output not in self.joining.inner and not self.is_absorbed(op.output):
                self.keep(op)
        for name, value in self.old.outputs:
            self.output(name, value)
        self.drop_unread()
        return self.builder.finish()

    def drop_unread(self) -> None:
        """What came from the host and only goes back there does so as it is, without integers."""
        module, reals = self.builder.module, {*self.reals.values()}
        read = {operand for op in module.ops for operand in op.operands}
        module.ops = [
            op
            for op in module.ops
            if op.output in read or not isinstance(op, Border) or op.operands[0] not in reals
        ]

    def input(self, name: str, value: Value) -> None:
        """The border of one graph input."""
        real = self.builder.input(name, value)
        if value.type.is_host:
            return
        quantized = Value(self.builder.fresh(f"{value.name}.q"), self.type_of(value), value.range)
        location = Location((("Input", name),))
        self.builder.mapped[value] = self.builder.add(epi.Quantize, [real], quantized, location)

    def output(self, name: str, value: Value) -> None:
        """The border of one graph output; what the host gives stays as it is."""
        if value.type.is_host:
            self.builder.module.outputs.append((name, self.builder.mapped[value]))
            return
        real = Value(self.builder.fresh(f"{value.name}.real"), value.type, value.range)
        location = Location((("Output", name),))
        self.builder.add(epi.Dequantize, [self.builder.mapped[value]], real, location)
        self.builder.module.outputs.append((name, real))

    def real(self, value: Value) -> Value:
        """A value as the host takes it: what it knows already, or the dequantized activation."""
        if value.type.is_host:
            return self.builder.mapped[value]
        if value not in self.reals:
            name = self.builder.fresh(f"{value.name}.real")
            kept = self.builder.mapped[value]
            real = Value(name, value.type, value.range)
            producer = self.producers.get(value)
            location = producer.location if producer else Location()
            self.reals[value] = self.builder.add(epi.Dequantize, [kept], real, location)
        return self.reals[value]

    def is_absorbed(self, value: Value) -> bool:
        """Whether a value stays a sum: its one reader adds to it, scales it or clips it."""
        producer, uses = self.producers[value], self.uses[value]
        if value in self.joining.tables:
            return False
        if not sums.covers(type(producer)) or len(uses) != 1:
            return False
        if not isinstance(uses[0], (Linear, Clips)):
            return False
        if isinstance(producer, Linear):
            count = sum(self.term_counts.get(operand, 1) for operand in producer.operands)
            # A requantization has a limited number of sources: the sum is rounded here instead.
            if count >= MAXIMUM_TERMS:
                return False
            self.term_counts[value] = count
        return True

    def keep(self, op: Op) -> None:
        """Compute a value that is kept as activations."""
        if sums.covers(type(op)):
            self.requantize(op, self.total(op.output))
        else:
            quantizes.apply(op, self)

    def keep_joint(self, op: Op, joint: Joint) -> None:
        """Compute a value by the table of all ops that it takes."""
        kind, x = self.type_of(op.output), self.builder.mapped[joint.source]
        table = joint_table(joint.ops, joint.source, x.type, kind, self.old.tensor)
        location = Location.joined([each.location for each in joint.ops])
        self.look_up(op, x, kind, table, location)

    def look_up(self, op: Op, x: Value, kind: TensorType, table: Array, at: Location) -> None:
        """Append the look-up that makes the result of an op.

        Args:
            op: Of the old module.
            x: What is looked up.
            kind: The type of the result.
            table: int64 [1 or C, 2^bits of x].
            at: The nodes that it stands for.
        """
        stored = self.builder.store(f"{op.output.name}.table", table, kind.element)
        self.builder.emit(epi.LookUp, [x], op.output, at, kind, table=stored)

    def total(self, value: Value) -> Total:
        """The summands of a value: accumulators, or the activation that it is kept as."""
        if value not in self.builder.mapped:
            for each in self.sums_before(value):
                self.totals[each] = sums.apply(self.producers[each], self)
            return self.totals.pop(value)
        # It was rounded already: from here on it is one term, with the step of its type.
        kept, channels = self.builder.mapped[value], value.type.shape[0]
        step = np.full(channels, kept.type.step)
        bound = np.full(channels, 2**self.bits - 1, np.int64)
        return Total([Term(kept, step, bound)], np.zeros(channels), Location())

    def sums_before(self, value: Value) -> list[Value]:
        """The sums that make a sum and are not made yet, itself last: operands first, in order."""
        if value in self.totals:
            return []
        # A list in the place of recursion: a chain of sums may be as long as a model.
        order, pending = [], [value]
        while pending:
            order.append(pending.pop())
            operands = self.producers[order[-1]].operands
            pending += [each for each in operands if each not in self.builder.mapped]
        return order[::-1]

    def requantize(self, op: Op, total: Total, bounds: tuple[float, float] = UNBOUNDED) -> None:
        """The one rounding, between real bounds: those of a fused relu or clip."""
        kind = self.type_of(op.output)
        least = max(float(np.abs(t.steps).max()) for t in total.terms) / LARGEST_FACTOR
        # What is joined has one type: it cannot be widened for one operand.
        if kind.step < least and op.output not in self.common:
            kind = activation_type(op.output, self.bits, least, self.options.activations)
        result = Value(op.output.name, kind, op.output.range)
        self.builder.mapped[op.output] = rescaled(self.builder, op, total, result, bounds)

    def refuse_coarse(self, op: Op, total: Total) -> None:
        """Raise RefusedNodesError for a sum that never reaches a step of one of its operands.

        As the distance of large numbers from the largest of them: nothing of it would be left.
        What is much less is the rounding of float32, and nothing to lose.
        """
        steps = [float(t.steps.max()) for t in total.terms if t.value.type.is_activation]
        largest = max(map(abs, op.output.range or (0.0,)))
        step = max(steps, default=0.0)
        if len(total.terms) > 1 and step / LARGEST_FACTOR < largest < step:
            raise refused(
                op,
                f"Its result is less than a step of an operand of {self.bits} bits.",
                hint="More activation bits (--activation-bits) make the steps smaller.",
            )

    def as_type(self, value: Value, kind: TensorType, op: Op) -> Value:
        """A value of the old module as activations of a type, for an op that needs that."""
        own = kind.with_shape(value.type.shape)
        kept = self.builder.mapped[value]
        if kept.type == own:
            return kept
        result = Value(self.builder.fresh(f"{value.name}.rescaled"), own, value.range)
        total = replace(self.total(value), trail=op.location)
        return rescaled(self.builder, op, total, result, UNBOUNDED)


quantizes: OpTable[[IntegerRewriter], None] = OpTable("rule for integers")
"""Computes the value of an op that makes no sum, and maps the old value to it."""

sums: OpTable[[IntegerRewriter], Total] = OpTable("summands")
"""What an op that makes a sum adds up."""


def joining_of(module: Module) -> Joining:
    """Which functions of a module on reals become one table; ranges are not looked at."""
    return Joining(module, lambda op: sums.covers(type(op)))
