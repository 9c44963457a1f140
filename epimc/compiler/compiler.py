"""The compiler on one page: from an ONNX file to a bundle, stage after stage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from epimc.backends.base import Backend, Target
from epimc.backends.registry import load_backend, load_dialect
from epimc.bundle.bundle import Bundle
from epimc.compiler.bundling import new_bundle, reference_files
from epimc.compiler.calibrating import calibrated
from epimc.compiler.foreseen import refuse_foreseen
from epimc.compiler.importing import import_request
from epimc.compiler.layer_file import bit_choice, layer_files
from epimc.compiler.memory import NOTHING, InMemory
from epimc.compiler.number_passes import (
    allocations_of,
    calibrate_of,
    equalize_of,
    pricings_of,
    quantize_of,
    refuse_contradictions,
    told,
)
from epimc.compiler.options import CompileOptions, Request
from epimc.compiler.passes import passes_of
from epimc.ir.epitome.layer_plans import PLANS
from epimc.ir.epitome.plan_files import is_plan_file
from epimc.ir.observers import CompileObserver, StageClock
from epimc.ir.passes.epitomize import Epitomize
from epimc.ir.passes.fold import Fold
from epimc.ir.passes.layout import Layout
from epimc.ir.pipeline import (
    Pass,
    Registry,
    Runner,
    make,
    overridden,
    parse_pipeline,
    pass_class,
)
from epimc.quantization.allocation.options import is_mixed
from epimc.quantization.equalization.equalize import Equalize, equalized_pairs
from epimc.quantization.quantize import Quantize
from epimc.quantization.rounding.options import (
    Effort,
)
from epimc.support.diagnostics import RefusedNodesError, error
from epimc.support.origins import EVERY_NODE, Node

# So often nodes are sent to the host one by one.
MOST_TIMES = 8

IMPORT, EMIT, CHECK, REFERENCE = "import", "emit", "check", "reference"


@dataclass(frozen=True)
class Stages:
    """All stages of a compile.

    Attributes:
        floats: The passes to the epitomized network with the ranges of its values.
        quantize: The pass to integers, which are the same for every chip.
        lowering: The backend's passes, to what it makes a program from.
    """

    floats: tuple[Pass, ...]
    quantize: Quantize
    lowering: tuple[Pass, ...]

    @property
    def passes(self) -> tuple[Pass, ...]:
        """All passes, in order."""
        return (*self.floats, self.quantize, *self.lowering)

    @property
    def names(self) -> list[str]:
        """The names of all stages, in order."""
        return [*self.with_ir, EMIT, CHECK, REFERENCE]

    @property
    def with_ir(self) -> list[str]:
        """The names of those that give IR."""
        return [IMPORT, *(step.name for step in self.passes)]

    def with_options(self, texts: Sequence[str]) -> Stages:
        """The same stages, with options of passes set, each text as in `quantize{weight_bits=4}`.

        Raises:
            EpimcError: A text is malformed, or names what there is not, or a value is wrong, or
                another one than `quantize` has.
        """
        passes = self.passes
        for text in texts:
            passes = overridden(passes, text)
        # Options change no pass for another: each is where it was.
        count = len(self.floats)
        quantize = passes[count]
        assert isinstance(quantize, Quantize)
        refuse_contradictions(passes[:count], quantize)
        return Stages(passes[:count], quantize, passes[count + 1 :])


@dataclass(frozen=True)
class Job:
    """A request, with what its names stand for.

    Attributes:
        request: What the user asks for.
        backend: The kind of chip.
        target: The chip.
        registry: All passes that there are for it.
        stages: Those that run.
    """

    request: Request
    backend: Backend
    target: Target
    registry: Registry
    stages: Stages

    @staticmethod
    def of(request: Request, memory: InMemory = NOTHING) -> Job:
        """Look everything up.

        Args:
            request: What the user asks for.
            memory: A model and samples that are no files.

        Raises:
            EpimcError: There is no such backend, target, policy or option of a pass.
        """
        backend = load_backend(request.backend)
        # First: pipelines and dumps name ops and levels that it declares.
        load_dialect(backend)
        chosen = backend.default_target if request.target is None else request.target
        target = backend.load_target(chosen)
        registry = passes_of(backend)
        lowering = tuple(parse_pipeline(backend.pipeline(target), registry))
        return Job(
            request,
            backend,
            target,
            registry,
            stages_of(request, lowering, effort_of(request, memory), pricing_of(backend, request)),
        )


def effort_of(request: Request, memory: InMemory) -> Effort:
    """How much is done to choose the numbers well."""
    if request.effort != "auto":
        return request.effort
    # Drawn samples say little about the values of a real model: numbers that fit them fit nothing.
    is_drawn = request.calibration is None and memory.calibration is None
    return "fast" if is_drawn else "good"


def pricing_of(backend: Backend, request: Request) -> type[Pass] | None:
    """The backend's pass that tells what layers take at each width; None where nobody asks.

    Raises:
        EpimcError: The backend has none.
    """
    if not is_mixed(request.weight_bits):
        return None
    if not backend.pricing:
        raise error(
            f"Backend '{backend.name}' does not tell what layers take at each number of bits.",
            hint="Give layers their bits in a file (--epitome FILE), or all the same ones.",
        )
    return pass_class(backend.pricing, backend.passes)


def stages_of(
    options: CompileOptions,
    lowering: tuple[Pass, ...],
    effort: Effort,
    pricing: type[Pass] | None = None,
) -> Stages:
    """The stages of a compile.

    Args:
        options: What the user asks for.
        lowering: The backend's passes.
        effort: One that says what is done.
        pricing: The backend's pass that tells what layers take, where their bits are chosen.

    Raises:
        EpimcError: There is no such policy or option of a pass.
    """
    quantize = quantize_of(options, effort)
    calibrate = calibrate_of(options, effort, quantize)
    allocations = allocations_of(options, quantize)
    stages = Stages(
        floats=(
            # Transpositions meet and vanish before anything else looks at the ops around them.
            Layout(),
            # Batch normalizations and biases go into the weights before these become epitomes.
            Fold(),
            # Channels of like size share the one scale of a feature map well.
            equalize_of(options, effort, calibrate, quantize),
            epitomize_of(options),
            *pricings_of(pricing, allocations, quantize),
            # Ranges are those of the epitomized model: that is what will be quantized.
            calibrate,
            *allocations,
        ),
        quantize=quantize,
        # From here on the target decides.
        lowering=lowering,
    )
    return stages.with_options(options.pass_options)


def epitomize_of(options: CompileOptions) -> Epitomize:
    """The pass that gives layers their epitomes.

    Raises:
        EpimcError: Options of the pass contradict a file of plans.
    """
    is_file = is_plan_file(options.epitome)
    if options.epitome == PLANS:
        raise error(
            f"--epitome {PLANS} names no file.",
            hint="Name the file of the plans: --epitome FILE.toml.",
        )
    step = told(make(Epitomize, policy=PLANS if is_file else options.epitome), options)
    if is_file != (step.policy == PLANS):
        raise error(
            f"--epitome is {options.epitome}, but pass '{step.name}' has policy={step.policy}.",
            hint="Leave out one of them.",
        )
    return step


def compile_model(
    request: Request,
    observers: Sequence[CompileObserver] = (),
    memory: InMemory = NOTHING,
) -> Bundle:
    """Compile; nothing is written.

    Args:
        request: What is asked for.
        observers: Told of every stage.
        memory: A model and samples that are no files.

    Raises:
        EpimcError: Anything wrong with the request, the model or the samples.
    """
    job = Job.of(request, memory)
    hosted: dict[Node, str] = {}
    times = 0
    while True:
        try:
            return compiled_once(job, observers, memory, hosted)
        except RefusedNodesError as problem:
            # What passes find that the chip cannot have runs on the host: once more, from the
            # import on, each time with a node more there; with all nodes where none is named.
            if EVERY_NODE in hosted:
                raise
            times += 1
            named = problem.reasons.keys() - hosted.keys() if times < MOST_TIMES else ()
            hosted |= problem.reasons if named else {EVERY_NODE: problem.clause}


def compiled_once(
    job: Job, observers: Sequence[CompileObserver], memory: InMemory, hosted: Mapping[Node, str]
) -> Bundle:
    """Go through all stages.

    Args:
        job: What is asked for.
        observers: Told of every stage.
        memory: A model and samples that are no files.
        hosted: Nodes that the chip cannot have, and why.

    Raises:
        RefusedNodesError: There are more of these.
        EpimcError: As `compile_model`.
    """
    request, stages, runner = job.request, job.stages, Runner(job.registry)
    clock = StageClock(len(stages.names), observers)

    with clock.stage(IMPORT) as step:
        rows = job.backend.array_rows(job.target)
        start = import_request(request, job.target, rows, memory, hosted)
        step.module = start.module

    first = [step.name for step in stages.floats].index(Equalize.name)
    folded = runner.run(start.module, stages.floats[:first], clock)
    width = partial(job.backend.refuse_width, job.target)
    refuse_foreseen(folded, stages.floats[first:], stages.quantize, width, job.registry)
    floats = runner.run(folded, stages.floats[first:], clock)
    integers = runner.run(floats, [stages.quantize], clock)
    lowered = runner.run(integers, stages.lowering, clock)

    with clock.stage(EMIT) as step:
        program = step.program = job.backend.emit(lowered)
        if program.backend != job.backend.name:
            raise error(
                f"Backend '{job.backend.name}' made a program of backend '{program.backend}'.",
                hint="Report it to the authors of the backend.",
            )

    with clock.stage(CHECK) as step:
        program.refuse_bad("The compiled program")
        program = step.program = calibrated(program, start, integers)

    with clock.stage(REFERENCE):
        files = {
            **reference_files(start, floats, integers),
            **layer_files(start, floats, request.epitome),
        }

    made = start, integers, program, stages.passes, stages.quantize, files
    return new_bundle(*made, bit_choice(floats), equalized_pairs(floats))
