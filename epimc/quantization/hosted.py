"""Host calls: the ONNX models that the host runs, and whether a module has any.

A host call takes activations and gives activations: its model dequantizes them, computes on
reals and quantizes the result, in the operators that onnxruntime has for that.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from epimc.ir.core.levels import QUANTIZED
from epimc.ir.core.module import Module
from epimc.ir.core.op import Array, Op, Value, dump_attributes
from epimc.ir.core.traits import CallsHost, Hosted
from epimc.ir.core.types import Location, TensorType
from epimc.ir.dialects import epi
from epimc.support.diagnostics import error
from epimc.support.origins import call_of


def fragment_of(op: Op, operands: Sequence[TensorType], result: TensorType) -> Array:
    """The serialized model of one host call, uint8 [bytes].

    Args:
        op: On reals.
        operands: The quantized types of its operands.
        result: The quantized type of its result.
    """
    from epimc.backends.onnx.functions import export_fragment

    # Reals between integers are at no level: the module is exported, and never verified.
    module = Module(op.output.name, QUANTIZED)
    reals: list[Value] = []
    for k, kind in enumerate(operands):
        activation = Value(f"x{k}", kind)
        real = Value(f"x{k}.real", op.operands[k].type)
        module.inputs.append((activation.name, activation))
        module.ops.append(epi.Dequantize([activation], real, Location()))
        reals.append(real)
    computed, quantized = Value("y.real", op.output.type), Value("y", result)
    module.ops.append(type(op)(reals, computed, op.location, dump_attributes(op)))
    module.ops.append(epi.Quantize([computed], quantized, Location()))
    module.outputs.append((quantized.name, quantized))
    model = export_fragment(module).SerializeToString(deterministic=True)
    return np.frombuffer(model, np.uint8)


def host_calls(module: Module) -> list[str]:
    """The host calls of a module, in words such as `Softmax 'probabilities'`."""
    calls = [op for op in module.ops if isinstance(op, (Hosted, CallsHost))]
    return [", ".join(call_of(*node) for node in op.location.nodes) for op in calls]


def refuse_host_calls(module: Module) -> None:
    """Raise EpimcError, naming all of them, if a module needs the host."""
    calls = host_calls(module)
    if calls:
        count = "1 host call" if len(calls) == 1 else f"{len(calls)} host calls"
        raise error(
            f"The model needs {count}, which --strict forbids.",
            notes=[f"{call} has no form on the chip" for call in calls],
            hint="Compile without --strict, or end the model before these operators.",
        )
