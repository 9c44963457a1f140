"""The two forms that an op may have in ONNX, by its class."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Self

from epimc.backends.forms import Claim, Term
from epimc.backends.onnx.float_graph import FloatGraph
from epimc.backends.onnx.fragments import Inlined
from epimc.backends.onnx.graph import integer_prefix
from epimc.ir.core.dispatch import OpTable
from epimc.ir.core.module import Module
from epimc.ir.core.op import Value


@dataclass(frozen=True, eq=False)
class Quantized:
    """A quantized module, and how the integer reference calls what it has.

    Attributes:
        module: At level `quantized`.
        ports: The names of its inputs and outputs.
        prefix: Of all other names of the reference.
    """

    module: Module
    ports: Mapping[Value, str]
    prefix: str

    @classmethod
    def of(cls, module: Module) -> Self:
        """As the integer export names it."""
        borders = (*module.inputs, *module.outputs)
        prefix = integer_prefix(name for name, _ in borders)
        return cls(module, {value: name for name, value in borders}, prefix)


float_form: OpTable[[FloatGraph], None] = OpTable("float form in ONNX")
"""Writes an op on reals into a graph: of the float model, or of a fragment."""

integer_form: OpTable[[Quantized], Iterator[Claim | Inlined]] = OpTable("integer form in ONNX")
"""What the integer reference has for an op of a quantized module, by the forms of `forms.py`."""


def term_of(operand: Value) -> Term:
    """An operand of a sum or product."""
    return operand.name, operand.type.zero_point if operand.type.element != "i64" else None
