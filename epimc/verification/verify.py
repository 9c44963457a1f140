"""Verify a bundle: exact against the integer reference, measured against the float model.

Three things are compared.  All that the program's tables claim of the integer ONNX graph, with the
graph; every integer that every layer computes, on real samples, with what
onnxruntime computes for it; and the outputs with the user's own float model.  The first two must
be equal; the third is reported, with the share that the epitomes have in it and the share that
quantization has: the epitomized float model stands between the two.  Where all epitomes are the
weights themselves that is the float model, which is then not run twice.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from epimc.backends.base import CompiledProgram, Executor
from epimc.backends.onnx.classes import is_of_classes
from epimc.backends.onnx.large import LargeModel, external_name, read_external
from epimc.backends.onnx.reading import large_model, read_model, with_outputs
from epimc.backends.onnx.safety import refuse_unsafe
from epimc.bundle.bundle import Bundle
from epimc.ir.semantics import arrays
from epimc.runtime.reference import Reference
from epimc.runtime.session import host_of
from epimc.samples.sample_arrays import SampleSource, samples_of
from epimc.samples.samples import Samples, inputs_of, samples_in
from epimc.support.diagnostics import check_failed
from epimc.support.limits import DEFAULT_BYTES
from epimc.verification.integer_reference import IntegerReference, types_of
from epimc.verification.layer_errors import LayerMeter
from epimc.verification.results import VerifyResult
from epimc.verification.tallies import ClassTally, ConverterTally, LayerTally, OutputTally, Rates

Array = NDArray[Any]

INTEGERS, FLOATS = "integer.onnx", "float.onnx"
EPITOMIZED = "The epitomized model of the bundle"

# Bytes from which on onnxruntime gets a file without its weights, and these as they lie in memory.
LARGE_FILE = 2**26

# Samples that are run at once, and integers of all layers that are compared at once.
BATCH, MAXIMUM_COMPARED = 64, 2**26


def verify(
    bundle: Bundle,
    samples: SampleSource | None = None,
    progress: Callable[[int, int], None] | None = None,
    limit_bytes: int = DEFAULT_BYTES,
    *,
    layers: bool = False,
    first: int | None = None,
    **options: Any,
) -> VerifyResult:
    """Check the program, then run it and its references on the samples.

    Args:
        bundle: Read from a folder that still has `reference/`.
        samples: An npz file, or arrays as `samples_of` takes them; None: those in the bundle.
        limit_bytes: The most that the samples may take.
        progress: Called with the number of samples done, and of all.
        layers: Measure also what each layer loses.
        first: So many samples, the first ones; None: all.
        options: Those of the backend's simulator.

    Raises:
        EpimcError: The program does not pass the checker (exit code 1), the bundle has no
            reference, or the samples do not fit.
    """
    # First: a program that the checker refuses may do anything when it runs.
    bundle.program.refuse_bad()
    integers = integer_reference(bundle)
    used = bundle_samples(bundle, samples, limit_bytes, first)
    runner = _Runner(bundle, integers, used, options, layers=layers)
    # Once, not per batch: tables do not depend on samples.
    tally, parameters = runner.empty_tally(used.count), runner.parameter_mismatches()
    done = 0
    for inputs in runner.batches():
        runner.compare(inputs, tally)
        done = min(done + runner.batch, used.count)
        if progress:
            progress(done, used.count)
    return runner.result(tally, parameters, used)


def bundle_samples(
    bundle: Bundle, samples: SampleSource | None, limit_bytes: int, first: int | None = None
) -> Samples:
    """The user's samples, or those kept in the bundle; of both the first ones."""
    inputs, named = inputs_of(bundle.program), "the sample data"
    if samples is not None:
        return samples_of(samples, inputs, limit_bytes=limit_bytes, source=named, first=first)
    data = reference_file(bundle, "samples.npz")
    assert bundle.folder is not None
    path = bundle.folder / "reference" / "samples.npz"
    kept = samples_in(data, path, inputs, limit_bytes=limit_bytes)
    return kept if first is None else kept.first(first)


def reference_model(bundle: Bundle, name: str) -> bytes | LargeModel:
    """A model of the bundle's reference, whose large tensors may lie in another file of it.

    Raises:
        EpimcError: As `reference_file`, or the two files do not fit together.
    """
    data, beside = reference_file(bundle, name), external_name(name)
    what = f"'reference/{name}' of bundle '{bundle.folder}'"
    if f"reference/{beside}" in bundle.manifest.files:
        return read_external(read_model(data, what), beside, reference_file(bundle, beside), what)
    if len(data) < LARGE_FILE:
        return data
    model = read_model(data, what)
    del data
    return LargeModel.of(model)


def reference_file(bundle: Bundle, name: str) -> bytes:
    """A file of the bundle's reference, as the manifest lists it.

    Raises:
        EpimcError: It is not listed, or was deleted or changed.
    """
    return bundle.deletable_file(f"reference/{name}", "it cannot be verified")


def integer_reference(bundle: Bundle, *, layers: bool = True) -> IntegerReference:
    """The integer reference of the bundle; EpimcError as `reference_model`.

    Args:
        bundle: Read from a folder.
        layers: Whether it gives the integers of all layers, and not the outputs alone.
    """
    data, program = reference_model(bundle, INTEGERS), bundle.program
    what = f"'reference/{INTEGERS}' of bundle '{bundle.folder}'"
    return IntegerReference(data, what, program, program.computed_maps if layers else ())


def batch_size(program: CompiledProgram) -> int:
    """How many samples to run at once: the integers of all their layers are kept."""
    size = sum(math.prod(feature.dims) for feature in program.maps)
    # One sample is run however large its layers are.
    return max(1, min(BATCH, MAXIMUM_COMPARED // max(size, 1)))


@dataclass
class Tally:
    """What has been compared so far."""

    layers: list[LayerTally]
    outputs: list[OutputTally]
    converters: list[ConverterTally]
    classes: ClassTally = field(default_factory=ClassTally)


class Runs(Protocol):
    """What gives the outputs of a model for one batch after the other."""

    def run(self, names: Sequence[str], inputs: Mapping[str, Array]) -> list[Array]:
        """The named outputs for the samples of a batch."""


class Computed:
    """What a model gave for all batches, for one that is too large to stay in memory."""

    def __init__(
        self, model: Runs, names: Sequence[str], batches: Iterable[dict[str, Array]]
    ) -> None:
        """Run the model for all batches."""
        self.results = iter([model.run(names, inputs) for inputs in batches])

    def run(self, names: Sequence[str], inputs: Mapping[str, Array]) -> list[Array]:
        """The outputs for the next batch."""
        return next(self.results)


class _Runner:
    """The program and its three references, loaded once."""

    def __init__(
        self,
        bundle: Bundle,
        integers: IntegerReference,
        samples: Samples,
        options: Mapping[str, Any],
        *,
        layers: bool,
    ) -> None:
        self.bundle, self.program = bundle, bundle.program
        self.integers, self.samples = integers, samples
        self.batch = batch_size(bundle.program)
        self.ports = [port.name for port in self.program.outputs]
        self.meter: LayerMeter | None = None
        self.floats = self.loaded_floats()
        self.identity_plans, self.epitomized = self.loaded_epitomized(layers=layers)
        # Last: large references are no longer in memory.
        host, chosen = host_of(bundle), {"batch": self.batch, **options}
        self.executor = self.program.executor(host, **chosen)
        self.lossy: Executor | None = None
        if not self.executor.is_lossless:
            # What the converters lose is told apart from what is wrong.
            self.lossy = self.executor
            self.executor = self.program.lossless_executor(host, **chosen)

    def batches(self) -> Iterator[dict[str, Array]]:
        """The samples, some at a time."""
        for part in arrays.pieces(self.samples.count, 1, self.batch):
            yield {name: array[part] for name, array in self.samples.inputs.items()}

    def loaded_floats(self) -> Runs:
        """The user's model."""
        model = reference_model(self.bundle, FLOATS)
        reference = self.reference(model, "the float model", users=True)
        graph = large_model(model, f"'reference/{FLOATS}'").proto
        # Whether that is so, its first output says.
        self.gives_classes = bool(self.ports) and is_of_classes(graph, self.ports[0])
        return self.kept(model, reference)

    def loaded_epitomized(self, *, layers: bool) -> tuple[bool, Runs | None]:
        """Whether all plans are identities, and the epitomized model where it is needed."""
        from epimc.backends.onnx.functions import has_identity_plans

        model = reference_model(self.bundle, "epi.onnx")
        large = large_model(model, EPITOMIZED)
        identity = has_identity_plans({p.key: p.value for p in large.proto.metadata_props})
        if layers:
            maps, exported = self.program.computed_maps, self.integers.exported
            self.meter = LayerMeter(maps, exported, model, types_of(self.program))
            model = large.with_proto(with_outputs(large.proto, self.meter.tensors))
        elif identity:
            # Nobody runs it, and it is refused all the same where it must not be.
            refuse_unsafe(model, EPITOMIZED)
            return identity, None
        reference = self.reference(model, "the epitomized model", users=False)
        return identity, self.kept(model, reference)

    def reference(self, model: bytes | LargeModel, what: str, *, users: bool) -> Reference:
        """A model of reals, in onnxruntime."""
        limit, types = self.bundle.limit_bytes, types_of(self.program)
        return Reference(model, what, users=users, types=types, limit_bytes=limit)

    def kept(self, model: bytes | LargeModel, reference: Reference) -> Runs:
        """A model that is run batch by batch; what it gives, if it is large."""
        if isinstance(model, bytes) or not model.tensors:
            return reference
        return Computed(reference, [*self.ports, *self.watched], self.batches())

    @property
    def watched(self) -> list[str]:
        """The tensors of the epitomized model that layers are measured against."""
        return self.meter.tensors if self.meter else []

    def parameter_mismatches(self) -> dict[str, int]:
        """What is not the integer reference's, the manifest's or the target's."""
        options = self.bundle.manifest.options
        settings = self.program.setting_mismatches(
            options.weight_bits, options.layer_bits, options.activation_bits
        )
        return self.integers.mismatches(self.bundle.fragments) | settings

    def empty_tally(self, count: int) -> Tally:
        """All layers and outputs; nothing is compared yet but that the reference has the layer."""
        layers = []
        for feature in self.program.computed_maps:
            layer = LayerTally(feature.name, feature.nodes)
            if feature.name not in self.integers.tensors:
                size = math.prod(feature.dims)
                # A layer that the reference lacks is proven by nothing: all of it counts as wrong.
                layer.elements = layer.mismatches = size * count
            layers.append(layer)
        outputs = [OutputTally(port.name) for port in self.program.outputs]
        return Tally(layers, outputs, self.converters())

    def converters(self) -> list[ConverterTally]:
        """A tally for each map that lossy converters have a part in."""
        if self.lossy is None:
            return []
        maps = self.program.computed_maps
        return [ConverterTally(m.name, m.nodes, m.zero_point) for m in maps]

    def result(self, tally: Tally, parameters: Mapping[str, int], samples: Samples) -> VerifyResult:
        """What all batches come to."""
        layers = tuple(layer.result() for layer in tally.layers)
        outputs = tuple(output.result() for output in tally.outputs)
        classes = samples.labels is not None or self.gives_classes
        rates = tally.classes.rates(samples.labels) if classes else Rates()
        mismatches = sum(
            sum(counts)
            for counts in (
                (layer.mismatches for layer in layers),
                (output.mismatches for output in outputs),
                parameters.values(),
            )
        )
        return VerifyResult(
            exact=mismatches == 0,
            mismatches=mismatches,
            samples=samples.count,
            top1_agreement=rates.top1_agreement,
            accuracy=rates.accuracy,
            float_accuracy=rates.float_accuracy,
            epitomized_accuracy=rates.epitomized_accuracy,
            identity_plans=self.identity_plans,
            outputs=outputs,
            layers=layers,
            parameters=parameters,
            layer_errors=self.meter.results() if self.meter else None,
            converter_losses=(
                tuple(each.result() for each in tally.converters) if self.lossy else None
            ),
        )

    def refuse_other_sizes(self, name: str, values: tuple[Any, ...]) -> None:
        """Raise EpimcError (exit code 1) where an output of the chip is of other sizes elsewhere.

        What the host gives may have sizes that depend on the data.
        """
        port = next(port for port in self.program.outputs if port.name == name)
        if port.shape is None or not all(isinstance(value, np.ndarray) for value in values):
            return
        got, integer = values[:2]
        # Of the float models only the sizes count: their dims may be other ones.
        if got.shape != integer.shape or len({value.size for value in values}) > 1:
            sizes = ", ".join(str(list(value.shape)) for value in values)
            notes = [f"Program, integer, epitomized and float model: {sizes}."]
            raise check_failed(f"Output '{name}' has different sizes.", notes=notes)

    def compare(self, inputs: dict[str, Array], tally: Tally) -> None:
        """Run one batch through the program and its three references.

        Raises:
            EpimcError: Outputs are of other sizes than those of the program (exit code 1).
        """
        outputs, maps = self.executor.run_collect(inputs)
        # What users get is what the converters leave of it.
        lossy, lossy_maps = self.lossy.run_collect(inputs) if self.lossy else (outputs, maps)
        for each in tally.converters:
            each.add(lossy_maps[each.name], maps[each.name])
        ports = self.ports
        known = self.integers.tensors
        layers = [layer for layer in tally.layers if layer.name in known]
        tensors = [known[layer.name] for layer in layers]
        # Outputs and layers in one run of the reference, which computes all of them anyway.
        exact = self.integers.run([*ports, *tensors], inputs)
        real = self.floats.run(ports, inputs)
        epitomized = real
        if self.epitomized:
            epitomized = self.epitomized.run([*ports, *self.watched], inputs)
        for output, integer, middle, float_ in zip(
            tally.outputs, exact, epitomized, real, strict=False
        ):
            got = outputs.get(output.name)
            if got is None:
                raise check_failed(f"The program does not give the output '{output.name}'.")
            self.refuse_other_sizes(output.name, (got, integer, middle, float_))
            output.add_exact(got, integer)
            output.add(lossy[output.name], float_)
            output.add_epitomized(lossy[output.name], middle, float_)
        for layer, integer in zip(layers, exact[len(ports) :], strict=True):
            layer.add(maps.get(layer.name), integer)
        if self.meter:
            self.meter.add(inputs, lossy_maps, epitomized[len(ports) :])
        # Classes are those of the first output.
        tally.classes.add(lossy[ports[0]], real[0], epitomized[0])
