"""Verify a bundle: exact against the integer reference, measured against the float model.

Three things are compared.  All that the program's tables claim of the integer ONNX graph, with the
graph; every integer that every layer computes, on real samples, with what
onnxruntime computes for it; and the outputs with the user's own float model.  The first two must
be equal; the third is reported, with the share that the epitomes have in it and the share that
quantization has: the epitomized float model stands between the two.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from epimc.backends.base import CompiledProgram
from epimc.bundle.bundle import Bundle
from epimc.compiler.samples import Samples, Shaped, read_samples
from epimc.ir.semantics import integers
from epimc.runtime.reference import Reference
from epimc.runtime.session import host_of
from epimc.support.diagnostics import check_failed, error
from epimc.support.origins import Nodes, as_json
from epimc.verification.integer_reference import IntegerReference
from epimc.verification.layer_errors import LayerError, LayerMeter, worst_first
from epimc.verification.measures import Loss

Array = NDArray[Any]

INTEGERS = "integer.onnx"
EPITOMIZED = "The epitomized model of the bundle"

# Samples that are run at once, and integers of all layers that are compared at once.
BATCH, MAXIMUM_COMPARED = 64, 2**26


@dataclass
class LayerReport:
    """One computed feature map, over all samples."""

    name: str
    nodes: Nodes
    elements: int = 0
    mismatches: int = 0


@dataclass
class OutputReport:
    """One output: the program against the integer reference and the float model.

    Attributes:
        name: The ONNX name.
        mismatches: Elements that differ from the integer reference's.
        loss: What the program loses to the float model.
        power: Sum of squares of the program's output.
        product: Sum of products of both.
        max_abs_error: Largest difference.
        epitome: What the epitomized float model loses to the float model.
        quantization: What the program loses to the epitomized float model.
    """

    name: str
    mismatches: int = 0
    loss: Loss = field(default_factory=Loss)
    power: float = 0.0
    product: float = 0.0
    max_abs_error: float = 0.0
    epitome: Loss = field(default_factory=Loss)
    quantization: Loss = field(default_factory=Loss)

    def add(self, got: Array, exact: Array, real: Array) -> None:
        """Take one batch: the program's, the integer reference's and the float model's output."""
        self.mismatches += int((got != exact).sum())
        self.loss.add(got, real)
        ours, theirs = got.astype(np.float64).ravel(), real.astype(np.float64).ravel()
        self.power += float(np.square(ours).sum())
        self.product += float((ours * theirs).sum())
        self.max_abs_error = max(self.max_abs_error, float(np.abs(ours - theirs).max(initial=0)))

    def add_epitomized(self, got: Array, epitomized: Array, real: Array) -> None:
        """Take one batch: the program's output, and those of both float models."""
        self.epitome.add(epitomized, real)
        self.quantization.add(got, epitomized)

    @property
    def sqnr_db(self) -> float | None:
        """Signal to quantization noise ratio in dB; None when either is 0."""
        return self.loss.sqnr_db

    @property
    def cosine(self) -> float | None:
        """Cosine of the angle between both outputs; None when either is 0."""
        norm = math.sqrt(self.loss.signal * self.power)
        return self.product / norm if norm else None


@dataclass
class Report:
    """What `verify` found.

    Attributes:
        samples: How many were run.
        layers: Every computed feature map.
        outputs: Every output.
        parameters: What the tables claim of the reference that it is not, and what it is that they
            do not claim: counts by the names of tensors.
        top1_agreement: Share of samples whose largest output is the float model's; None when the
            first output is no vector of classes.
        accuracy: Share of samples whose largest output is the label; None without labels.
        float_accuracy: The same of the float model.
        epitomized_accuracy: The same of the epitomized float model.
        identity_plans: Whether every epitome is the weights themselves, which loses nothing.
        layer_errors: What each layer loses, in the order of the program; None unless asked for.
    """

    samples: int
    layers: list[LayerReport]
    outputs: list[OutputReport]
    parameters: dict[str, int] = field(default_factory=dict)
    top1_agreement: float | None = None
    accuracy: float | None = None
    float_accuracy: float | None = None
    epitomized_accuracy: float | None = None
    identity_plans: bool = False
    layer_errors: list[LayerError] | None = None

    @property
    def mismatches(self) -> int:
        """Elements that differ: of layers, outputs and parameters."""
        layers = sum(layer.mismatches for layer in self.layers)
        return layers + sum(o.mismatches for o in self.outputs) + sum(self.parameters.values())

    @property
    def exact(self) -> bool:
        """Whether nothing differs."""
        return self.mismatches == 0

    def as_json(self) -> dict[str, Any]:
        """The documented JSON form."""
        return {
            "exact": self.exact,
            "mismatches": self.mismatches,
            "samples": self.samples,
            "top1_agreement": self.top1_agreement,
            "accuracy": self.accuracy,
            "float_accuracy": self.float_accuracy,
            "epitomized_accuracy": self.epitomized_accuracy,
            "identity_plans": self.identity_plans,
            "outputs": [
                {
                    "name": output.name,
                    "mismatches": output.mismatches,
                    "sqnr_db": output.sqnr_db,
                    "epitome_sqnr_db": output.epitome.sqnr_db,
                    "quantization_sqnr_db": output.quantization.sqnr_db,
                    "cosine": output.cosine,
                    "max_abs_error": output.max_abs_error,
                }
                for output in self.outputs
            ],
            "layers": [
                {
                    "name": layer.name,
                    "nodes": as_json(layer.nodes),
                    "elements": layer.elements,
                    "mismatches": layer.mismatches,
                }
                for layer in self.layers
            ],
            "parameters": self.parameters,
            "layer_errors": None
            if self.layer_errors is None
            else [error.as_json() for error in worst_first(self.layer_errors)],
        }


def verify(
    bundle: Bundle,
    samples_file: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
    limit_bytes: int = 2**32,
    *,
    layers: bool = False,
) -> Report:
    """Check the program, then run it and its references on the samples.

    Args:
        bundle: Read from a folder that still has `reference/`.
        samples_file: An npz file; None for the samples kept in the bundle.
        limit_bytes: The most that the samples may take.
        progress: Called with the number of samples done, and of all.
        layers: Measure also what each layer loses.

    Raises:
        EpimcError: The program does not pass the checker (exit code 1), the bundle has no
            reference, or the samples do not fit.
    """
    bundle.program.refuse_bad()
    runner = _Runner(bundle, layers=layers)
    samples = bundle_samples(bundle, samples_file, limit_bytes)
    report = runner.empty_report(samples.count)
    report.parameters = runner.parameter_mismatches()
    winners: list[list[Array]] = []
    for part in integers.pieces(samples.count, 1, runner.batch):
        inputs = {name: array[part] for name, array in samples.inputs.items()}
        firsts = runner.compare(inputs, report)
        if firsts[0].ndim == 2 and firsts[0].shape[1] > 1:
            winners.append([first.argmax(axis=1) for first in firsts])
        if progress:
            progress(part.stop, samples.count)
    classify(report, winners, samples.labels)
    return report


def bundle_samples(bundle: Bundle, samples_file: Path | None, limit_bytes: int) -> Samples:
    """The user's samples, or those kept in the bundle."""
    inputs = [Shaped(port.name, port.shape) for port in bundle.program.inputs]
    path = samples_file or reference_file(bundle, "samples.npz")
    return read_samples(path, inputs, limit_bytes=limit_bytes)


def reference_file(bundle: Bundle, name: str) -> Path:
    """A file of the bundle's reference.

    Raises:
        EpimcError: It was deleted.
    """
    assert bundle.folder is not None
    path = bundle.folder / "reference" / name
    if not path.is_file():
        raise error(
            f"Bundle '{bundle.folder}' has no 'reference/{name}': it cannot be verified.",
            hint="Compile the model again.",
        )
    return path


def batch_size(program: CompiledProgram) -> int:
    """How many samples to run at once: the integers of all their layers are kept."""
    size = sum(math.prod(feature.dims) for feature in program.maps)
    return max(1, min(BATCH, MAXIMUM_COMPARED // size))


class _Runner:
    """The program and its three references, loaded once."""

    def __init__(self, bundle: Bundle, *, layers: bool) -> None:
        from epimc.backends.onnx.functions import has_identity_plans
        from epimc.backends.onnx.reading import read_model, with_outputs

        self.bundle, self.program = bundle, bundle.program
        self.batch = batch_size(bundle.program)
        self.executor = bundle.program.executor(host_of(bundle), batch=self.batch)
        data = reference_file(bundle, INTEGERS).read_bytes()
        what = f"'reference/{INTEGERS}' of bundle '{bundle.folder}'"
        self.integers = IntegerReference(data, what, self.program, self.program.computed_maps)
        self.floats = Reference(reference_file(bundle, "float.onnx"), "the float model", users=True)
        epitomized: bytes | Path = reference_file(bundle, "epi.onnx")
        self.meter = None
        if layers:
            file = reference_file(bundle, "epi.onnx").read_bytes()
            maps, exported = self.program.computed_maps, self.integers.exported
            self.meter = LayerMeter(maps, exported, file)
            watched = with_outputs(read_model(file, EPITOMIZED), self.meter.tensors)
            epitomized = watched.SerializeToString()
        self.epitomized = Reference(epitomized, "the epitomized model")
        self.identity_plans = has_identity_plans(self.epitomized.properties)

    def parameter_mismatches(self) -> dict[str, int]:
        """What is not the integer reference's, the manifest's or the target's."""
        options = self.bundle.manifest.options
        settings = self.program.setting_mismatches(options.weight_bits, options.activation_bits)
        return self.integers.mismatches(self.bundle.fragments) | settings

    def empty_report(self, count: int) -> Report:
        """All layers and outputs; nothing is compared yet but that the reference has the layer."""
        layers = []
        for feature in self.program.computed_maps:
            layer = LayerReport(feature.name, feature.nodes)
            if feature.name not in self.integers.tensors:
                size = math.prod(feature.dims)
                layer.elements = layer.mismatches = size * count
            layers.append(layer)
        return Report(
            count,
            layers,
            [OutputReport(port.name) for port in self.program.outputs],
            identity_plans=self.identity_plans,
            layer_errors=self.meter.errors if self.meter else None,
        )

    def compare(self, inputs: dict[str, Array], report: Report) -> list[Array]:
        """Run one batch through all; the first output of the program and of both float models.

        Raises:
            EpimcError: Outputs are of other sizes than those of the program (exit code 1).
        """
        outputs, maps = self.executor.run_collect(inputs)
        ports = [output.name for output in report.outputs]
        known = self.integers.tensors
        layers = [layer for layer in report.layers if layer.name in known]
        tensors = [known[layer.name] for layer in layers]
        exact = self.integers.run([*ports, *tensors], inputs)
        real = self.floats.run(ports, inputs)
        watched = self.meter.tensors if self.meter else []
        epitomized = self.epitomized.run([*ports, *watched], inputs)
        for output, integer, middle, float_ in zip(
            report.outputs, exact, epitomized, real, strict=False
        ):
            got = outputs[output.name]
            if got.shape != integer.shape or not got.size == middle.size == float_.size:
                sizes = ", ".join(str(list(a.shape)) for a in (got, integer, middle, float_))
                notes = [f"Program, integer, epitomized and float model: {sizes}."]
                raise check_failed(f"Output '{output.name}' has different sizes.", notes=notes)
            output.add(got, integer, float_)
            output.add_epitomized(got, middle, float_)
        for layer, integer in zip(layers, exact[len(ports) :], strict=True):
            compare_layer(layer, maps.get(layer.name), integer)
        if self.meter:
            self.meter.add(inputs, maps, epitomized[len(ports) :])
        return [outputs[ports[0]], real[0], epitomized[0]]


def compare_layer(layer: LayerReport, got: Array | None, exact: Array) -> None:
    """Count the elements of one layer that differ; a layer never computed differs everywhere."""
    layer.elements += exact.size
    if got is None or got.size != exact.size:
        layer.mismatches += exact.size
        return
    layer.mismatches += int((got.reshape(exact.shape) != exact).sum())


def classify(report: Report, winners: list[list[Array]], labels: Array | None) -> None:
    """Top-1 agreement, and accuracies where there are labels.

    Args:
        report: Takes them.
        winners: For each batch the classes that the program and both float models choose.
        labels: The true classes.
    """
    if not winners:
        return
    ours, theirs, epitomized = (np.concatenate(column) for column in zip(*winners, strict=True))
    report.top1_agreement = float((ours == theirs).mean())
    if labels is not None:
        report.accuracy = float((ours == labels).mean())
        report.float_accuracy = float((theirs == labels).mean())
        report.epitomized_accuracy = float((epitomized == labels).mean())
