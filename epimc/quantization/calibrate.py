"""`calibrate`: run the float module on calibration samples and note the range of every value."""

from __future__ import annotations

import math
from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import Any, ClassVar

from epimc.backends.onnx.values import decode
from epimc.ir.core.levels import CALIBRATED, EPI
from epimc.ir.core.module import Builder, Module
from epimc.ir.core.module_attributes import CALIBRATION
from epimc.ir.core.op import Array, Value
from epimc.ir.core.types import Location
from epimc.ir.pipeline import Pass
from epimc.quantization.calibration.balancing import balanced
from epimc.quantization.calibration.clipping import clipped_values
from epimc.quantization.calibration.histograms import Extremes, Histogram
from epimc.quantization.calibration.options import MINMAX, CalibrateOptions
from epimc.quantization.calibration.ranges import Choice, Range, chosen_range
from epimc.quantization.calibration.running import run_values
from epimc.support.diagnostics import Diagnostic, RefusedNodesError, error
from epimc.support.origins import Nodes

# Ranges are kept to this many significant bits: the sums of another machine may differ in their
# last bits, and the same inputs must give the same program everywhere.
RANGE_BITS = 16


@dataclass(frozen=True)
class Calibrate(CalibrateOptions, Pass):
    """The range of every value, from what it is on the module's calibration samples.

    Small parts of concatenations become larger where that changes no float but its exponent.
    The samples are the tensors that the attribute `calibration` lists, one an input; they stay
    for `quantize`, which looks at layers with them.
    """

    name: ClassVar[str] = "calibrate"
    requires: ClassVar[str] = EPI
    ensures: ClassVar[str] = CALIBRATED

    def run(self, module: Module) -> Module:
        """Annotate every value with its range."""
        ranges = observed_ranges(module, calibration_samples(module), self)
        balance = balanced(module, ranges)
        ranges |= balance.ranges
        builder = Builder(module, self.ensures)
        builder.inputs_of(module)
        for op in module.ops:
            stored = {
                key: builder.store(f"{op.attributes[key].name}.balanced", array, "f32")
                for key, array in balance.changes(op, module).items()
            }
            builder.copy(op, **stored)
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


def observed_ranges(
    module: Module, samples: Mapping[str, Any], options: CalibrateOptions
) -> dict[Value, Range]:
    """The range of every value over all samples, rounded to RANGE_BITS.

    Raises:
        RefusedNodesError: A value is not finite; it names the nodes that make it.
    """
    choice = Choice(options.percentile, options.activation_bits)
    clipped = set() if options.observer == MINMAX else clipped_values(module)
    seen: dict[Value, Extremes] = {}
    observe = Watch(nodes_around(module), clipped, seen)
    run_values(module, samples, observe)
    return {value: as_noted(options.observer, each, choice) for value, each in seen.items()}


def as_noted(observer: str, seen: Extremes, choice: Choice) -> Range:
    """The range of a value as the module has it."""
    low, high = seen.low, seen.high
    if isinstance(seen, Histogram):
        low, high = chosen_range(observer, seen, choice)
    return rounded(low), rounded(high)


@dataclass
class Watch:
    """Looks at values as they are computed.

    Attributes:
        nodes: The ONNX nodes that an error names, by value.
        clipped: Those of which more is kept than the extremes.
        seen: What they are so far.
    """

    nodes: Mapping[Value, Nodes]
    clipped: Set[Value]
    seen: dict[Value, Extremes]

    def __call__(self, value: Value, array: Array) -> None:
        """Take a value for some samples; RefusedNodesError if it is not finite."""
        if value.type.is_host:
            return
        if value not in self.seen:
            self.seen[value] = Histogram() if value in self.clipped else Extremes()
        self.seen[value].add(array)
        # A range with NaN would compare as false everywhere, and pass unseen.
        if not self.seen[value].is_finite:
            why = "is not finite on the calibration samples"
            hint = "Check the weights of the model and the samples."
            raise RefusedNodesError(
                Diagnostic(f"Value %{value.name} {why}.", hint=hint),
                reasons=dict.fromkeys(self.nodes.get(value, ()), f"a value of it {why}"),
            )


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
