"""Quantization and dequantization, at the border of chip and host."""

from __future__ import annotations

from collections.abc import Iterator

from epimc.backends import forms
from epimc.backends.forms import Claim
from epimc.backends.onnx.ops.tables import Quantized, integer_form
from epimc.ir.core.traits import FromHost
from epimc.ir.core.types import as_map
from epimc.ir.dialects import epi


@integer_form(epi.Quantize)
def integer_quantize(op: epi.Quantize, quantized: Quantized) -> Iterator[Claim]:
    """An input of the model, or what comes from the host."""
    kind, maker = op.output.type, quantized.makers.get(op.x)
    if isinstance(maker, FromHost):
        value = quantized.host_value(maker.operands[0])
        return forms.entering(value, op.output.name, kind.bits, as_map(kind.shape))
    return forms.quantized_input(
        quantized.ports[op.x], op.output.name, kind.bits, as_map(kind.shape)
    )


@integer_form(epi.Dequantize)
def integer_dequantize(op: epi.Dequantize, quantized: Quantized) -> Iterator[Claim]:
    """An output of the model; what leaves for the host, its call tells."""
    if op.output not in quantized.ports:
        return iter(())
    kind = op.x.type
    return forms.dequantized_output(quantized.ports[op.output], op.x.name, kind.bits, kind.shape)
