"""The stage `import`: the model and the samples, and the first module that passes take."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from epimc.backends.base import Target
from epimc.backends.onnx.values import encode
from epimc.compiler.acceptance import require_accepted
from epimc.compiler.drawing import drawn_samples
from epimc.compiler.memory import InMemory
from epimc.compiler.options import Request
from epimc.compiler.wanted import wanted_inputs
from epimc.frontend import (
    ImportedModel,
    import_source,
    refuse_host_nodes,
    refuse_unknown_operators,
    with_hosted,
)
from epimc.ir.core.module import Builder, Module
from epimc.ir.core.module_attributes import ARRAY_ROWS, CALIBRATION, PASSES, TARGET
from epimc.ir.epitome.layer_plans import PLANS
from epimc.ir.epitome.plan_files import is_plan_file
from epimc.ir.passes.plan_names import plans_for
from epimc.ir.verifier import verify
from epimc.samples.sample_arrays import SampleData
from epimc.samples.samples import Samples
from epimc.support.diagnostics import error
from epimc.support.limits import MADE_FACTOR
from epimc.support.origins import Node
from epimc.support.port_types import PortType, apart
from epimc.support.sample_types import Shaped, refuse_in_files

# Calibration without data: standard normal samples, which say little about a real model.
DEFAULT_SAMPLES, DEFAULT_SEED = 64, 0

# Elements that the model computes for all of them together: some seconds of work.
MOST_COMPUTED = 2**27


@dataclass(frozen=True)
class Start:
    """What a compile starts from.

    Attributes:
        name: Of the model's file.
        model: The user's.
        samples: To calibrate with.
        module: The model as IR, with all that passes need: target, samples, plans.
    """

    name: str
    model: ImportedModel
    samples: Samples
    module: Module


def import_request(
    request: Request, target: Target, rows: int, memory: InMemory, hosted: Mapping[Node, str]
) -> Start:
    """Take in all that a request names, and what is passed in memory.

    Args:
        request: What is asked for.
        target: The chip.
        rows: Word lines of its arrays.
        memory: What is no file.
        hosted: Nodes that the chip cannot have, by op type and name, and why.

    Raises:
        EpimcError: The model, the samples or the plans are wrong, or onnxruntime does not run them.
    """
    source = request.model if memory.model is None else memory.model
    data = calibration_data(request, memory)
    named = import_source(
        source,
        example=memory.example,
        limit_bytes=request.limit_bytes,
        wanted=wanted_inputs(request, memory, data),
    )
    imported = named.imported
    if hosted:
        imported = with_hosted(imported, hosted, imported.module.name, request.limit_bytes)
    refuse_unknown_operators(imported.model.proto)
    if memory.model is None:
        ports = (*imported.inputs, *imported.outputs)
        refuse_in_files("the command line", map(Shaped.of, ports))
    if request.strict:
        refuse_host_nodes(imported)
    samples = calibration_samples(request, imported, data)
    require_accepted(imported, samples, request.limit_bytes, drawn=data is None)
    imported.model.release()
    module = prepared(imported.module, samples, target, rows)
    if is_plan_file(request.epitome):
        module.attributes[PLANS] = plans_for(request.epitome, module).dump()
    return Start(named.name, imported, samples, module)


def calibration_data(request: Request, memory: InMemory) -> SampleData | None:
    """The user's calibration samples, as soon as they are asked for; None where there are none."""
    source = request.calibration if memory.calibration is None else memory.calibration
    if source is None:
        return None
    return SampleData(source, request.limit_bytes, first=memory.first)


def calibration_samples(
    request: Request, imported: ImportedModel, data: SampleData | None
) -> Samples:
    """The user's calibration samples, or drawn ones."""
    hosted = {name for name, value in imported.module.inputs if value.type.is_host}
    inputs = [Shaped.of(port, finite=port.name not in hosted) for port in imported.inputs]
    if data is None:
        elements = sum(op.output.type.size for op in imported.module.ops)
        count = default_count(inputs, elements, request.limit_bytes)
        return drawn_samples(inputs, count, DEFAULT_SEED)
    return data.samples(inputs)


def default_count(inputs: Sequence[Shaped], elements: int, limit_bytes: int) -> int:
    """How many samples to draw: DEFAULT_SAMPLES, or fewer of large ones, which take long to run.

    Args:
        inputs: Of the model.
        elements: Of all values of the model, for one sample.
        limit_bytes: What the samples may take; they stand in no file, and count with the work on
            them.

    Raises:
        EpimcError: Not even one sample stays within the limit.
    """
    one = MADE_FACTOR * 4 * sum(math.prod(described.shape) for described in inputs)
    if one > limit_bytes:
        raise error(
            f"One sample takes {one} bytes with the work on it, more than the limit of "
            f"{limit_bytes}.",
            hint="Raise the limit (--limit-bytes), or check the shapes of the inputs.",
        )
    soon = max(1, MOST_COMPUTED // max(elements, 1))
    return min(DEFAULT_SAMPLES, soon, limit_bytes // max(one, 1))


def prepared(module: Module, samples: Samples, target: Target, rows: int) -> Module:
    """The imported module with all that the passes need.

    Args:
        module: At level `nn`.
        samples: To calibrate with.
        target: The chip.
        rows: Word lines of its arrays.
    """
    builder = Builder(module)
    builder.module.inputs, builder.module.ops = module.inputs, module.ops
    builder.module.outputs = module.outputs
    refs = []
    for name, value in module.inputs:
        data, element = samples.inputs[name], "f32"
        if value.type.is_host:
            values = encode(apart(PortType.parse(value.type.host), data))
            data, element = np.frombuffer(values, np.uint8), "u8"
        refs.append(builder.store(CALIBRATION, data, element))
    attributes = builder.module.attributes
    attributes[CALIBRATION] = tuple(refs)
    attributes[TARGET] = target.to_dict()
    attributes[PASSES] = ()
    attributes[ARRAY_ROWS] = rows
    # The one module that no runner has verified.
    verify(builder.module)
    return builder.module
