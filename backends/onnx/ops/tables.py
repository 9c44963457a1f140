"""The two forms that an op may have in ONNX, by its class."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Self

from epimc.backends.forms import Activation, Claim, HostValue, Term
from epimc.backends.host_values import host_value
from epimc.backends.onnx.float_graph import FloatGraph
from epimc.backends.onnx.fragments import Inlined
from epimc.backends.onnx.graph import integer_prefix
from epimc.ir.core.dispatch import OpTable
from epimc.ir.core.module import Module
from epimc.ir.core.op import Op, Value


@dataclass(frozen=True, eq=False)
class Quantized:
    """A quantized module, and how the integer reference calls what it has.

    Attributes:
        module: At level `quantized`.
        ports: The names of its inputs and outputs.
        prefix: Of all other names of the reference.
        makers: The op of each value that is no input.
    """

    module: Module
    ports: Mapping[Value, str]
    prefix: str
    makers: Mapping[Value, Op]

    @classmethod
    def of(cls, module: Module) -> Self:
        """As the integer export names it."""
        borders = (*module.inputs, *module.outputs)
        prefix = integer_prefix(name for name, _ in borders)
        ports = {value: name for name, value in borders}
        return cls(module, ports, prefix, module.producers())

    @property
    def counted_by(self) -> str:
        """The input whose samples the reference counts; empty: it runs one at a time."""
        apart = any(value.type.is_host for value in self.module.values())
        return "" if apart else self.module.inputs[0][0]

    def host_value(self, value: Value) -> HostValue:
        """How the reference names a value of the host."""
        return host_value(value, self.makers, self.ports)


float_form: OpTable[[FloatGraph], None] = OpTable("float form in ONNX")
"""Writes an op on reals into a graph: of the float model, or of a fragment."""

integer_form: OpTable[[Quantized], Iterator[Claim | Inlined]] = OpTable("integer form in ONNX")
"""What the integer reference has for an op of a quantized module, by the forms in `forms/`."""


def term_of(operand: Value) -> Term:
    """An operand of a sum or product."""
    return operand.name, operand.type.zero_point if operand.type.element != "i64" else None


def activation_of(value: Value) -> Activation:
    """A value of activations as the reference has it."""
    return Activation(value.name, value.type.bits, value.type.zero_point)
