"""The compiler on one page: from an ONNX file to a bundle, stage after stage."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from epimc.backends import DEFAULT_BACKEND
from epimc.backends.base import Backend, CompiledProgram, Target
from epimc.backends.registry import load_backend
from epimc.compiler.passes import passes_of
from epimc.ir.core.module import Module
from epimc.ir.epitome.layer_plans import PLANS
from epimc.ir.epitome.plan_files import is_plan_file
from epimc.ir.pipeline import Pass, Registry, Runner, Step, parse_pipeline, print_pipeline
from epimc.support.diagnostics import error
from epimc.support.version import VERSION

if TYPE_CHECKING:
    from epimc.bundle.bundle import Bundle
    from epimc.compiler.samples import Samples, Shaped
    from epimc.frontend import ImportedModel
    from epimc.support.files import File

# Calibration without data: standard normal samples, which say little about a real model.
DEFAULT_SAMPLES, DEFAULT_SEED = 64, 0
REFERENCE_SAMPLES = 16

# An ONNX file, as any message of protobuf, has less than 2 GiB; the graph needs some of them.
LARGEST_MODEL = 2**31 - 2**24

PIPELINE = (
    # Transpositions meet and vanish before anything else looks at the ops around them.
    "layout,"
    # Batch normalizations and biases go into the weights before these become epitomes.
    "fold,"
    # Channels of like size share the one scale of a feature map well.
    "equalize,"
    "epitomize{{policy={epitome}}},"
    # Ranges are those of the epitomized model: that is what will be quantized.
    "calibrate,"
    "quantize{{weight_bits={weight_bits},activation_bits={activation_bits}}}"
    # From here on the backend goes on.
)


@dataclass(frozen=True)
class Request:
    """What the user asks for.

    Attributes:
        model: The ONNX file.
        target: A built-in target's name or a TOML file; None: the backend's default.
        weight_bits: Bits of a weight, 2 to 8.
        activation_bits: Bits of an activation, 4 to 8.
        calibration: An npz file of samples; None: seeded standard normal ones.
        epitome: What gives each layer its epitome: the policy `none` or `uniform:RxC`, or a TOML
            file with plans layer by layer (`ir/epitome/layer_plans.py`).
        limit_bytes: The most that the model, and the samples, may take.
        strict: Whether a model that needs the host is refused.
        backend: The kind of chip.
    """

    model: Path
    target: str | None = None
    weight_bits: int = 8
    activation_bits: int = 8
    calibration: Path | None = None
    epitome: str = "none"
    limit_bytes: int = 2**32
    strict: bool = False
    backend: str = DEFAULT_BACKEND

    @property
    def pipeline(self) -> str:
        """The passes that all backends have in common, as text."""
        return PIPELINE.format(
            epitome=PLANS if is_plan_file(self.epitome) else self.epitome,
            weight_bits=self.weight_bits,
            activation_bits=self.activation_bits,
        )


@dataclass
class Watcher:
    """Who is told of each stage: by default nobody.

    Attributes:
        stage: Called with the name of a stage before it runs.
        dump: Called with the number and name of a stage and the IR after it.
        timed: Called with the name of a pass and the seconds that it took.
    """

    stage: Callable[[str], None] = field(default=lambda name: None)
    dump: Callable[[int, str, Module], None] = field(default=lambda number, name, module: None)
    timed: Callable[[str, float], None] = field(default=lambda name, seconds: None)


@dataclass(frozen=True)
class Job:
    """A request, with what its names stand for.

    Attributes:
        request: What the user asks for.
        backend: The kind of chip.
        target: The chip.
        registry: All passes that there are for it.
        passes: Those that run, in order.
    """

    request: Request
    backend: Backend
    target: Target
    registry: Registry
    passes: list[Pass]

    @staticmethod
    def of(request: Request) -> Job:
        """Look everything up.

        Raises:
            EpimcError: There is no such backend, target or policy.
        """
        backend = load_backend(request.backend)
        backend.load_dialect()
        target = backend.load_target(request.target or backend.default_target)
        registry = passes_of(backend)
        text = ",".join(filter(None, (request.pipeline, backend.pipeline(target))))
        return Job(request, backend, target, registry, parse_pipeline(text, registry))

    @property
    def stages(self) -> list[str]:
        """The names of all stages, in order."""
        return ["import", *(step.name for step in self.passes), "emit", "check", "reference"]


def compile_model(request: Request, watcher: Watcher | None = None) -> Bundle:
    """Compile; nothing is written.

    Raises:
        EpimcError: Anything wrong with the request, the model or the samples.
    """
    from epimc.frontend import import_model
    from epimc.ir.passes.plan_names import plans_for
    from epimc.quantization.hosted import refuse_host_calls

    watcher, job = watcher or Watcher(), Job.of(request)
    watcher.stage("import")
    imported = import_model(request.model, limit_bytes=request.limit_bytes)
    refuse_too_large(imported)
    if request.strict:
        refuse_host_calls(imported.module)
    samples = calibration_samples(request, imported)
    module = prepared(imported.module, samples, job.target)
    if is_plan_file(request.epitome):
        module.attributes[PLANS] = plans_for(request.epitome, module).dump()
    watcher.dump(0, "import", module)

    made: dict[str, Module] = {}

    def after(step: Step) -> None:
        watcher.dump(step.number, step.name, step.module)
        watcher.timed(step.name, step.seconds)
        if step.name in ("calibrate", "quantize"):
            made[step.name] = step.module

    lowered = Runner(job.registry, before=watcher.stage, after=after).run(module, job.passes)

    watcher.stage("emit")
    program = job.backend.emit(lowered)

    watcher.stage("check")
    program.refuse_bad("The compiled program")

    watcher.stage("reference")
    files = reference_files(imported, made["calibrate"], made["quantize"], samples)
    bundle = new_bundle(job, imported, samples, program, files)
    return replace(bundle, fragments=fragments(made["quantize"]))


def fragments(module: Module) -> dict[str, bytes]:
    """The ONNX models that the host runs, by the names under which programs call them."""
    from epimc.ir.dialects.epi import Host

    return {
        op.output.name: module.tensor(op.fragment).tobytes()
        for op in module.ops
        if isinstance(op, Host)
    }


def refuse_too_large(imported: ImportedModel) -> None:
    """A bundle keeps the model as one ONNX file, which has a size that protobuf sets.

    Raises:
        EpimcError: The weights take more.
    """
    size = sum(tensor.ByteSize() for tensor in imported.model.graph.initializer)
    if size > LARGEST_MODEL:
        raise error(
            f"The model has {size} bytes of weights; a bundle holds at most {LARGEST_MODEL}.",
            hint="Count it with `epimc plan`, or compile it in parts.",
        )


def calibration_samples(request: Request, imported: ImportedModel) -> Samples:
    """The user's calibration samples, or standard normal ones."""
    from epimc.compiler.samples import Shaped, read_samples, standard_normal

    inputs = [Shaped(*described) for described in imported.inputs]
    if request.calibration is None:
        return standard_normal(inputs, default_count(inputs, request.limit_bytes), DEFAULT_SEED)
    return read_samples(request.calibration, inputs, limit_bytes=request.limit_bytes)


def default_count(inputs: Sequence[Shaped], limit_bytes: int) -> int:
    """How many samples to draw: DEFAULT_SAMPLES, or as many as the limit allows.

    Raises:
        EpimcError: Not even one sample stays within the limit.
    """
    one = 4 * sum(math.prod(described.shape) for described in inputs)
    if one > limit_bytes:
        raise error(
            f"One sample takes {one} bytes, more than the limit of {limit_bytes}.",
            hint="Raise the limit (--limit-bytes), or check the shapes of the inputs.",
        )
    return max(1, min(DEFAULT_SAMPLES, limit_bytes // max(one, 1)))


def prepared(module: Module, samples: Samples, target: Target) -> Module:
    """The imported module with all that the passes need: target and calibration samples."""
    from epimc.ir.core.module import Builder
    from epimc.ir.core.module_attributes import CALIBRATION, PASSES, TARGET
    from epimc.ir.verifier import verify

    builder = Builder(module)
    builder.module.inputs, builder.module.ops = module.inputs, module.ops
    builder.module.outputs = module.outputs
    refs = [builder.store(CALIBRATION, samples.inputs[name], "f32") for name, _ in module.inputs]
    attributes = builder.module.attributes
    attributes[CALIBRATION] = tuple(refs)
    attributes[TARGET] = target.to_dict()
    attributes[PASSES] = ()
    verify(builder.module)
    return builder.module


def reference_files(
    imported: ImportedModel, floats: Module, integers: Module, samples: Samples
) -> dict[str, File]:
    """What `verify` needs, below `reference/`: the three models and some samples.

    The float models hold every weight in 32 bits, and are made when they are written.

    Args:
        imported: The user's model.
        floats: The module before `quantize`: the epitomized model.
        integers: The module after it.
        samples: Some of them are kept.
    """
    from epimc.backends.onnx.export import export_integers
    from epimc.backends.onnx.functions import export_floats
    from epimc.compiler.samples import LABELS, encode_samples

    kept = samples.first(REFERENCE_SAMPLES)
    arrays: dict[str, object] = dict(kept.inputs)
    if kept.labels is not None and LABELS not in arrays:
        arrays[LABELS] = kept.labels
    return {
        "reference/float.onnx": partial(imported.model.SerializeToString, deterministic=True),
        "reference/epi.onnx": lambda: export_floats(floats).SerializeToString(deterministic=True),
        "reference/integer.onnx": export_integers(integers).SerializeToString(deterministic=True),
        "reference/samples.npz": encode_samples(arrays),  # type: ignore[arg-type]
    }


def new_bundle(
    job: Job,
    imported: ImportedModel,
    samples: Samples,
    program: CompiledProgram,
    files: Mapping[str, File],
) -> Bundle:
    """The bundle, in memory."""
    from epimc.bundle.bundle import Bundle
    from epimc.bundle.manifest import Model, Options, new_manifest

    options = Options(
        weight_bits=job.request.weight_bits,
        activation_bits=job.request.activation_bits,
        calibration=samples.origin,
        passes=print_pipeline(job.passes),
    )
    model = Model(name=job.request.model.name, sha256=imported.sha256)
    return Bundle(new_manifest(f"epimc {VERSION}", model, options, program), program, files)
