"""What a net loses by the weights of one layer alone, at each width.

The weights of the layer are rounded as `quantize` rounds them, but on inputs of the net of reals,
and everything else stays real.  What is lost is the mean square of what the outputs change by, in
parts of their variance: no labels are needed.  (Dong et al., arXiv 1905.03696, take the trace of a
Hessian instead, which needs labels and gradients; Nagel et al., arXiv 2106.08295, section 4.4,
measure outputs as here.)
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from epimc.ir.core.module import Module
from epimc.ir.core.op import Value
from epimc.ir.epitome.epitomized import Epitomized
from epimc.ir.observers import report
from epimc.quantization.allocation.reruns import Behind, Reruns, ends_of
from epimc.quantization.calibration.running import spread
from epimc.quantization.rounding.damping import damping_of
from epimc.quantization.rounding.layer import Layer
from epimc.quantization.rounding.moments import Moments
from epimc.quantization.rounding.options import RoundingOptions, WeightGranularity
from epimc.quantization.rounding.problem import Grid, Problem
from epimc.quantization.rounding.propagation import Both, Propagation, in_threads
from epimc.quantization.rounding.ranges import scales_of
from epimc.quantization.rounding.rounding import supported
from epimc.quantization.rounding.solver import ALONE
from epimc.quantization.rounding.weights import bits_of
from epimc.support.diagnostics import error

Array = NDArray[Any]

MOST_SAMPLES = 64

# Wider weights lose so little that outputs change in proportion: what they lose follows from the
# widest that is measured.
WIDEST_MEASURED = 4

# What all reruns may take, in seconds of one core, roughly: of large nets fewer samples are rerun.
MOST_SECONDS = 120.0

Losses = dict[Value, dict[int, float]]
"""For the result of each layer what the net loses at each width."""


@dataclass(frozen=True)
class Variant:
    """A layer with weights of one width.

    Attributes:
        layer: The layer.
        bits: Of a weight.
        steps: The integers, int16 [groups, outputs, K].
        scales: Their steps, float32 [groups, outputs].
        bias: float32 [Cout].
    """

    layer: Epitomized
    bits: int
    steps: Array
    scales: Array
    bias: Array

    @property
    def weights(self) -> Array:
        """As reals, float32 [groups, outputs, K]."""
        return self.steps * self.scales[..., None]


def losses(
    module: Module,
    samples: Mapping[str, Any],
    widths: Mapping[Value, Sequence[int]],
    options: RoundingOptions,
    granularity: WeightGranularity = "column",
    threads: int | None = None,
) -> Losses:
    """What each layer loses at each width.

    Args:
        module: At level `calibrated`.
        samples: By input name; of many some are taken.
        widths: For the result of each layer the bits in question.
        options: How weights will be rounded.
        granularity: Which of them will share a scale.
        threads: How many compute, on which nothing depends; None: as many as there are cores.

    Raises:
        EpimcError: Values are so large that a loss is more than float32 holds.
    """
    # What is too large for float32 is told at the end, of the loss that it makes.
    with threadpool_limits(1, "blas"), np.errstate(over="ignore", invalid="ignore"):
        count = len(next(iter(samples.values()), [None]))
        measuring = supported(options, count), granularity, threads
        return Measuring(module, spread(samples, MOST_SAMPLES), widths, *measuring).losses()


class Measuring:
    """One measurement of all layers."""

    def __init__(
        self,
        module: Module,
        samples: Mapping[str, Any],
        widths: Mapping[Value, Sequence[int]],
        options: RoundingOptions,
        granularity: WeightGranularity,
        threads: int | None,
    ) -> None:
        """As `losses`."""
        self.module, self.widths = module, widths
        self.options, self.granularity = options, granularity
        self.threads = threads or os.cpu_count() or 1
        # No value is rounded to activations: both nets are that of reals.
        self.nets = Propagation(module, {}, samples, self.threads)
        ends = ends_of(module)
        self.reruns = Reruns(self.nets, Behind.of(module, ends), ends)
        self.layers = [op for op in module.ops if isinstance(op, Epitomized)]
        self.reruns.pieces = self.measured_pieces()
        self.variants: list[Variant] = []
        # What a layer itself loses at each width, roughly.
        self.own: Losses = {}

    def losses(self) -> Losses:
        """Both walks: through the net of reals, and behind each layer."""
        count = len(self.layers) + sum(len(self.measured(layer)) for layer in self.layers)
        for value in [value for _, value in self.module.inputs]:
            self.reruns.keep(value)
        done = 0
        for op in self.nets.ops():
            if isinstance(op, Epitomized):
                self.look_at(op)
                done += 1
                report(done, count)
            else:
                self.nets.evaluate(op)
            self.reruns.keep(op.output)
        return self.all_widths(self.measure(done, count))

    def measured(self, layer: Epitomized) -> list[int]:
        """The widths at which a layer is measured."""
        widths = sorted(self.widths[layer.output])
        return [bits for bits in widths if bits <= WIDEST_MEASURED] or widths[:1]

    def measured_pieces(self) -> list[int]:
        """The pieces of the samples that are rerun: every second one, or fewer where it is long."""
        work = self.reruns.behind.work(self.module)
        one = sum(work[layer] * len(self.measured(layer)) for layer in self.layers)
        pieces, chosen, samples = self.nets.pieces, [0], 0
        for number in range(0, len(pieces), 2):
            samples += pieces[number].stop - pieces[number].start
            if number and samples * one > MOST_SECONDS:
                break
            chosen.append(number)
        return sorted({*chosen})

    def look_at(self, op: Epitomized) -> None:
        """Give the net of reals a layer's result, and round its weights at all widths."""
        measured = self.measured(op)
        layer = Layer(op, self.nets, measured[-1], self.options, self.granularity)
        real = self.nets.each(lambda i: layer.convolved(layer.x.real[i], layer.weights))
        self.reruns.weights[op] = layer.weights
        problem, mean = self.problem(layer, real)
        bias = layer.bias()
        for width in measured:
            grid = Grid(bits_of(op, width, self.module.stored))
            solver, own = replace(layer.solver, grid=grid), replace(problem, grid=grid)
            steps, scales = solver.solved(own)
            lost = problem.targets - steps * scales[..., None]
            shift = (lost * mean[:, None, :]).sum(axis=-1).ravel()
            new_bias = bias + shift if self.options.correct_bias else bias
            stored = steps.astype(np.int16), scales.astype(np.float32), new_bias.astype(np.float32)
            self.variants.append(Variant(op, width, *stored))
        widths = [bits for bits in sorted(self.widths[op.output]) if bits >= measured[-1]]
        each = in_threads(lambda bits: self.nearest_loss(problem, bits), widths, self.threads)
        self.own[op.output] = dict(zip(widths, each, strict=True))
        self.finish(op, real)

    def problem(self, layer: Layer, real: list[Array]) -> tuple[Problem, Array]:
        """The layer's rounding at the widest width that is measured, and its mean inputs.

        The damping, which takes several roundings to find, is that of the other widths, too, and
        so is what weights take over from others.
        """
        kept, apart = self.moments(layer, real)
        damping = damping_of(layer.solver, kept, apart) if layer.has_products else ALONE
        if apart is not None:
            kept.add(apart)
        mean = kept.x / kept.count
        try:
            return layer.solver.problem(kept, damping), mean
        except np.linalg.LinAlgError:
            # Inputs that hardly change: their products are known too roughly to be of use.
            return layer.solver.problem(kept, ALONE), mean

    def moments(self, layer: Layer, real: list[Array]) -> tuple[Moments, Moments | None]:
        """Those of the samples that are not rerun: what fits these alone is to be seen there."""
        pieces = range(len(real))
        others = [i for i in pieces if i not in self.reruns.pieces] or [*pieces]
        return layer.moments(real, others)

    def finish(self, op: Epitomized, real: list[Array]) -> None:
        """Add the bias to a layer's results, in place, and hand them on."""
        bias, shape = self.reruns.bias(op).reshape(1, -1, 1, 1), op.output.type.shape
        for part in real:
            part += bias
        parts = [part.reshape(len(part), *shape) for part in real]
        self.nets.values[op.output] = Both(parts, parts)

    def measure(self, done: int, count: int) -> Losses:
        """What the net loses by each variant.

        Raises:
            EpimcError: It is more than float32 holds.
        """
        measured: Losses = {layer.output: {} for layer in self.layers}

        def measure(k: int) -> float:
            variant = self.variants[k]
            return self.reruns.error(variant.layer, variant.weights, variant.bias)

        errors = in_threads(measure, range(len(self.variants)), self.threads)
        for variant, lost in zip(self.variants, errors, strict=True):
            if not math.isfinite(lost):
                raise error(
                    f"What the outputs lose by {variant.bits}-bit weights of layer "
                    f"'{variant.layer.output.name}' is more than float32 holds.",
                    where=str(variant.layer.location),
                    hint="Check the calibration samples, whose values are very large, or give "
                    "layers their bits in a file (--epitome FILE).",
                )
            measured[variant.layer.output][variant.bits] = lost
            done += 1
            report(done, count)
        return measured

    def all_widths(self, measured: Losses) -> Losses:
        """What is measured, and what follows from it for wider weights."""
        result: Losses = {}
        for value, errors in measured.items():
            own, widest = self.own[value], max(errors)
            gain = errors[widest] / own[widest] if own[widest] > 0 else 0.0
            wider = {bits: gain * own[bits] for bits in own if bits > widest}
            result[value] = errors | wider
        return result

    def nearest_loss(self, problem: Problem, bits: int) -> float:
        """What nearest rounding loses of a layer's result, in the metric's diagonal."""
        own = replace(problem, grid=Grid(bits))
        scales = scales_of(own, self.options.weight_range)
        lost = own.targets - own.nearest(scales) * scales[..., None]
        return float((np.square(lost) * own.importance[:, None, :]).sum())
