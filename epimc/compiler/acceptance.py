"""Whether onnxruntime runs the user's model: asked before the work, as nothing proves it without.

ONNX's checker lets models pass that onnxruntime refuses to load, or to run.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from epimc.frontend import ImportedModel, with_foreign
from epimc.runtime.reference import Reference
from epimc.samples.samples import Samples
from epimc.support.diagnostics import Diagnostic, EpimcError, RefusedNodesError, error
from epimc.support.limits import DEFAULT_BYTES
from epimc.support.port_types import FLOAT, PortType

SUBJECT = "the model"

AGAIN = "Export the model again; onnxruntime.InferenceSession says the same of the file."
OWN_DATA = (
    "The sample was drawn at random, and the model may not take any integers: give it samples "
    "of its own (--calibration)."
)
OTHER_DATA = (
    "Check the shapes of the inputs (--shape) and the samples; "
    "onnxruntime.InferenceSession says the same of the model."
)


def refuse_other_numbers(imported: ImportedModel, results: Sequence[Any]) -> None:
    """Raise RefusedNodesError where an output that the chip gives is NaN or infinite."""
    makers = imported.module.producers()
    for (name, value), result in zip(imported.module.outputs, results, strict=True):
        if value.type.is_host or value not in makers or np.isfinite(result).all():
            continue
        why = "is not finite on the calibration samples"
        nodes = makers[value].location.nodes
        raise RefusedNodesError(
            Diagnostic(f"Output '{name}' of the model {why}."),
            reasons=dict.fromkeys(nodes, f"its result {why}"),
        )


def require_accepted(
    imported: ImportedModel,
    samples: Samples,
    limit_bytes: int = DEFAULT_BYTES,
    *,
    drawn: bool = True,
) -> None:
    """Have onnxruntime load the model, and run one sample.

    Args:
        imported: The user's model, with the shapes that its program will have.
        samples: Some for the model; the first is run.
        limit_bytes: Bounds what its tensors may take.
        drawn: Whether nobody has chosen the samples: what the chip gives for others must be
            finite, and the model may take no integers such as these.

    Raises:
        RefusedNodesError: It is not.
        EpimcError: onnxruntime refuses the model or fails on the sample, or its results have other
            shapes than those of the program.
    """
    ports = (*imported.inputs, *imported.outputs)
    plain = all(port.port_type == PortType(dims=port.shape) for port in ports)
    apart = any(op.output.type.is_host for op in imported.module.ops) or not plain
    types = {port.name: port.port_type for port in ports} if apart else None
    try:
        reference = Reference(
            imported.model, SUBJECT, users=True, types=types, limit_bytes=limit_bytes
        )
    except EpimcError as problem:
        raise with_foreign(problem, imported.model.proto).with_hint(AGAIN) from None
    names = [port.name for port in imported.outputs]
    try:
        results = reference.computed(names, samples.first(1).inputs)
    except EpimcError as problem:
        reals = all(port.port_type.kind == FLOAT for port in imported.inputs)
        raise problem.with_hint(OTHER_DATA if reals or not drawn else OWN_DATA) from None
    if not drawn:
        refuse_other_numbers(imported, results)
    for port, result in zip(imported.outputs, results, strict=True):
        if port.shape is not None and result.shape != (1, *port.shape):
            raise error(
                f"Output '{port.name}' has the shape {list(result.shape)} in onnxruntime, "
                f"and {[1, *port.shape]} by ONNX's rules.",
                hint="Export the model again; one sample must give one sample's results.",
            )
