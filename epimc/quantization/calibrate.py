"""`calibrate`: run the float module on calibration samples and note the range of every value."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from epimc.backends.onnx.fragments import fragments_of
from epimc.backends.onnx.values import decode
from epimc.ir.core.levels import CALIBRATED, EPI
from epimc.ir.core.module import Builder, Module
from epimc.ir.core.module_attributes import CALIBRATION
from epimc.ir.core.op import Value
from epimc.ir.core.types import Location
from epimc.ir.interpreter import batches, interpret
from epimc.ir.pipeline import Pass
from epimc.runtime.finite import run_finite
from epimc.runtime.host import OnnxHost
from epimc.support.diagnostics import Diagnostic, RefusedNodesError, error
from epimc.support.origins import Nodes

# Ranges are kept to this many significant bits: the float64 sums of another machine may differ in
# their last bits, and the same inputs must give the same program everywhere.
RANGE_BITS = 16


@dataclass(frozen=True)
class Calibrate(Pass):
    """Minimum and maximum of every value over the module's calibration samples.

    The samples are the tensors that the attribute `calibration` lists, one an input; they stay
    for `quantize`, which looks at layers with them.
    """

    name: ClassVar[str] = "calibrate"
    requires: ClassVar[str] = EPI
    ensures: ClassVar[str] = CALIBRATED

    def run(self, module: Module) -> Module:
        """Annotate every value with its range."""
        ranges = observed_ranges(module, calibration_samples(module))
        builder = Builder(module, self.ensures)
        builder.inputs_of(module)
        for op in module.ops:
            builder.copy(op)
        for old, new in builder.mapped.items():
            # What the host alone knows has none.
            new.range = ranges.get(old)
        builder.outputs_of(module)
        return builder.finish()


def calibration_samples(module: Module) -> dict[str, Any]:
    """The module's samples by input name.

    Raises:
        EpimcError: There are none, or they do not fit the inputs.
    """
    refs = module.attributes.get(CALIBRATION, ())
    if len(refs) != len(module.inputs):
        raise error(
            f"Module '{module.name}' has no calibration samples for its inputs.",
            hint="Declare them: attribute calibration = [@samples], one tensor an input.",
        )
    samples: dict[str, Any] = {}
    for ref, (name, value) in zip(refs, module.inputs, strict=True):
        if value.type.is_host:
            what = f"The calibration samples of input '{name}'"
            samples[name] = decode(module.tensor(ref).tobytes(), what)
            continue
        if module.tensors[ref.name].type.shape[1:] != value.type.shape:
            raise error(f"The calibration samples of input '{name}' do not fit {value.type}.")
        samples[name] = module.tensor(ref)
    # A sample is one entry of every input.
    if len({len(array) for array in samples.values()}) > 1:
        raise error("The inputs have different numbers of calibration samples.")
    return samples


def observed_ranges(module: Module, samples: Mapping[str, Any]) -> dict[Value, tuple[float, float]]:
    """Smallest and largest element of every value over all samples, rounded to RANGE_BITS."""
    lows: dict[Value, float] = {}
    highs: dict[Value, float] = {}
    nodes = nodes_around(module)

    def observe(value: Value, array: Any) -> None:
        if value.type.is_host:
            return
        # A range with NaN would compare as false everywhere, and pass unseen.
        if not np.isfinite(array).all():
            why = "is not finite on the calibration samples"
            hint = "Check the weights of the model and the samples."
            raise RefusedNodesError(
                Diagnostic(f"Value %{value.name} {why}.", hint=hint),
                reasons=dict.fromkeys(nodes.get(value, ()), f"a value of it {why}"),
            )
        lows[value] = min(lows.get(value, math.inf), float(array.min()))
        highs[value] = max(highs.get(value, -math.inf), float(array.max()))

    count = len(next(iter(samples.values()), [None]))
    fragments = fragments_of(module)
    host = OnnxHost(fragments) if fragments else None
    # `observe` tells of what is not finite, and numpy need not.
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        for part in batches(count, module):
            inputs = {name: array[part] for name, array in samples.items()}
            interpret(module, inputs, observe, host, run=run_finite)
    return {value: (rounded(lows[value]), rounded(highs[value])) for value in lows}


def nodes_around(module: Module) -> dict[Value, Nodes]:
    """For each value the ONNX nodes that make it; those that read it, where none does."""
    nodes = {op.output: op.location.nodes for op in module.ops}
    readers: dict[Value, list[Location]] = {}
    for op in module.ops:
        for operand in op.operands:
            readers.setdefault(operand, []).append(op.location)
    values = (*nodes, *(value for _, value in module.inputs))
    return {
        value: nodes.get(value) or Location.joined(readers.get(value, ())).nodes for value in values
    }


def rounded(number: float) -> float:
    """The number to RANGE_BITS significant bits."""
    mantissa, exponent = math.frexp(number)
    return math.ldexp(round(math.ldexp(mantissa, RANGE_BITS)), exponent - RANGE_BITS)
