"""The integer ONNX export: a quantized module as a plain graph that onnxruntime runs exactly.

What the graph has for each op, its integer form says (`ops/`).  Tensors have the names of the IR
values behind a prefix, so every layer's integers can be compared.
"""

from __future__ import annotations

from collections.abc import Iterator

from onnx import ModelProto

from epimc.backends import forms
from epimc.backends.forms import Claim
from epimc.backends.onnx.fragments import Inlined, write_inlined
from epimc.backends.onnx.graph import IntegerGraph
from epimc.backends.onnx.large import LargeModel
from epimc.backends.onnx.ops import Quantized, activation_of, integer_form
from epimc.ir.core.levels import QUANTIZED
from epimc.ir.core.module import Module
from epimc.ir.verifier import expect_level
from epimc.support.port_types import PortType


def export_integers(module: Module) -> ModelProto:
    """The graph of a module at level `quantized`, in one message; raises as `integer_model`."""
    return integer_model(module).message()


def integer_model(module: Module) -> LargeModel:
    """The graph of a module at level `quantized`.

    Raises:
        EpimcError: It is at another level, a layer is too large for the graph's operators, or an
            op has no integer form.
    """
    graph = IntegerGraph(module)
    for part in parts_of(module):
        if isinstance(part, Inlined):
            write_inlined(graph, part)
        else:
            graph.write([part])
    return graph.model()


def parts_of(module: Module) -> Iterator[Claim | Inlined]:
    """Everything that the graph of a module at level `quantized` has, op by op.

    Raises:
        EpimcError: As `integer_model`.
    """
    expect_level(module, "The integer ONNX export", QUANTIZED)
    quantized = Quantized.of(module)
    for op in module.ops:
        kind = op.output.type
        if kind.is_activation:
            yield from forms.activation(activation_of(op.output), kind.step)
        yield from integer_form.apply(op, quantized)
    for name, value in module.outputs:
        if value.type.is_host:
            words = PortType.parse(value.type.host).kind
            yield from forms.host_output(name, quantized.host_value(value), words)


def claims_of(module: Module) -> Iterator[Claim]:
    """What a module at level `quantized` claims of the integer reference, as data.

    That is its part of the proof, for a backend whose program are the module's integers.  Host
    calls are left out, as fragments are more than claims: `parts_of` has them, too.

    Raises:
        EpimcError: As `integer_model`.
    """
    return (part for part in parts_of(module) if not isinstance(part, Inlined))
