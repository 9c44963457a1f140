"""`epimc plan`: what a model takes on a chip, counted from shapes, before anything is compiled."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import ClassVar

from epimc.backends.base import PlannedLayer, PlanSummary
from epimc.backends.registry import load_backend
from epimc.compiler.memory import NOTHING, InMemory
from epimc.compiler.options import PlanRequest
from epimc.compiler.passes import PASSES
from epimc.compiler.wanted import wanted_inputs
from epimc.frontend import import_source
from epimc.ir.core.module import Module
from epimc.ir.core.types import as_map
from epimc.ir.epitome.plan_files import is_plan_file, requested_plans
from epimc.ir.passes.epitomize import layers_of
from epimc.ir.passes.layout import Layout
from epimc.ir.passes.plan_names import plans_for
from epimc.ir.pipeline import Runner
from epimc.support.placement import Placement
from epimc.support.results import INLINED, Result
from epimc.support.tables import Block, Lines


@dataclass(frozen=True)
class PlanResult(Result):
    """What a model takes on a chip.

    Attributes:
        model: The name of the ONNX file.
        target: The name of the chip.
        epitome: The policy, or the path of the plans.
        weight_bits: Bits of a weight.
        activation_bits: Bits of an activation.
        on_chip: How much of the model runs on the chip.
        counts: What the backend counts.
    """

    KIND: ClassVar[str] = "plan"

    model: str
    target: str
    epitome: str
    weight_bits: int
    activation_bits: int
    on_chip: Placement
    counts: PlanSummary = field(metadata=INLINED)

    def blocks(self) -> Iterator[Block]:
        """The layers, and what was counted above the totals."""
        *details, totals = self.counts.blocks()
        yield from details
        bits = f"W{self.weight_bits}A{self.activation_bits}"
        yield Lines((f"{self.model} on {self.target}, epitome {self.epitome}, {bits}:",))
        yield totals
        yield Lines((f"  {self.on_chip}",))


def plan_model(request: PlanRequest, memory: InMemory = NOTHING) -> PlanResult:
    """Counts of a model.

    Args:
        request: What is asked for.
        memory: What is passed in memory.

    Raises:
        EpimcError: Anything wrong with the request or the model.
    """
    backend = load_backend(request.backend)
    target = backend.load_target(
        backend.default_target if request.target is None else request.target
    )
    if not is_plan_file(request.epitome):
        # A wrong policy is told before a large model is read.
        requested_plans(request.epitome, [])
    source = request.model if memory.model is None else memory.model
    wanted = replace(wanted_inputs(request, memory), only=True)
    named = import_source(
        source, example=memory.example, limit_bytes=request.limit_bytes, wanted=wanted
    )
    module, rows = named.imported.module, backend.array_rows(target)
    layers = planned_layers(request.epitome, module, rows)
    counts = backend.count(layers, target, request.weight_bits, request.activation_bits)
    return PlanResult(
        model=named.name,
        target=target.name,
        epitome=request.epitome,
        weight_bits=request.weight_bits,
        activation_bits=request.activation_bits,
        on_chip=named.imported.placement,
        counts=counts,
    )


def planned_layers(epitome: str, module: Module, rows: int) -> list[PlannedLayer]:
    """Every layer of the model with the epitome that it gets.

    Args:
        epitome: The policy, or a file with plans layer by layer.
        module: At level `nn`, as it is imported.
        rows: Word lines of an array of the target.
    """
    plans = plans_for(epitome, module)
    # Layers are counted as they are compiled: with what stands behind them once nothing is moved.
    layers = layers_of(Runner(PASSES).run(module, [Layout()]), rows)
    described = list(layers.values())
    chosen, bits = plans.choose(described), plans.weight_bits(described)
    return [
        PlannedLayer(
            op.output.name,
            op.location.nodes,
            layer.weights,
            layer.groups,
            epitome,
            patches,
            math.prod(as_map(op.output.type.shape)[1:]),
            own or None,
        )
        for (op, layer), (epitome, patches), own in zip(layers.items(), chosen, bits, strict=True)
    ]
