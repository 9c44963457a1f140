"""The Python interface: what the commands do, with objects in the place of files and tables."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from epimc.backends import DEFAULT_BACKEND
from epimc.bundle.bundle import Bundle, read_bundle, write_bundle
from epimc.bundle.manifest import read_manifest
from epimc.bundle.outputs import check_folder, check_output
from epimc.compiler.memory import NOTHING, InMemory
from epimc.compiler.options import ModelOptions, PlanRequest, Request
from epimc.evaluation.options import Integers
from epimc.quantization.calibration.options import ChosenObserver
from epimc.quantization.equalization.options import ChosenEqualization
from epimc.quantization.options import ActivationKind
from epimc.quantization.rounding.options import Effort, WeightGranularity
from epimc.runtime.session import Session
from epimc.samples.options import DataOptions
from epimc.support.constants import ConstantsByName, checked_constants
from epimc.support.diagnostics import error
from epimc.support.files import as_path, spelled
from epimc.support.limits import DEFAULT_BYTES
from epimc.support.shapes import ShapesByName, shape_texts

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from epimc.compiler.planning import PlanResult
    from epimc.evaluation.results import EvaluateResult
    from epimc.frontend import ModelSource
    from epimc.ir.observers import CompileObserver
    from epimc.report.results import QuantizationReport
    from epimc.results.summaries import BundleSummary, ModelSummary
    from epimc.samples.sample_arrays import SampleSource
    from epimc.verification.results import VerifyResult


def compile(  # The name is the interface, as in `re.compile`.
    model: ModelSource,
    output: str | os.PathLike[str],
    *,
    example: Any = None,
    target: str | os.PathLike[str] | None = None,
    epitome: str | os.PathLike[str] = "none",
    limit_bytes: int = DEFAULT_BYTES,
    backend: str = DEFAULT_BACKEND,
    shapes: ShapesByName = (),
    constants: ConstantsByName = (),
    weight_granularity: WeightGranularity = "column",
    activation_bits: int = 8,
    activations: ActivationKind = "affine",
    weight_bits: int | str = 8,
    observer: ChosenObserver = "auto",
    percentile: float | None = None,
    equalize: ChosenEqualization = "auto",
    calibration: SampleSource | None = None,
    effort: Effort = "auto",
    strict: bool = False,
    pass_options: Sequence[str] = (),
    dump_ir: str | os.PathLike[str] | None = None,
    observers: Sequence[CompileObserver] = (),
) -> Session:
    """Compile a model to a bundle and load it.

    Args:
        model: An ONNX file's path or bytes, an onnx.ModelProto, or a torch.nn.Module.
        output: The bundle's folder; an existing bundle is replaced.
        example: For a torch.nn.Module: inputs to call it with, a tensor or a tuple of tensors.
        target: A built-in target's name or a TOML file; None: the backend's default.
        epitome: What gives each layer its epitome: the policy `none` or `uniform:RxC`, or a TOML
            file with plans layer by layer.
        limit_bytes: The most that the model, and the samples, may take.
        backend: The kind of chip.
        shapes: Shapes of inputs by name, such as {"input": (1, 3, 224, 224)}, in the place of what
            the model declares; sizes that it leaves open are else those of the calibration data.
        constants: What inputs are fixed to, by their names, such as {"axes": [1, 2]}: they become
            constants of the program, which no longer takes them.
        weight_granularity: What has a scale of its own: a `column` of an epitome, or a `tensor`,
            which is all weights of a layer.
        activation_bits: Bits of an activation, 2 to 16.
        activations: `affine`, zero points that fit the ranges of values, or `signed`: values of
            both signs have the middle one, all others 0.
        weight_bits: Bits of a weight, 1 to 16, of one bit it is -1 or 1; or what they are chosen
            by, layer by layer, such as "mixed:2..8,crossbars=300".
        observer: What makes ranges of the values seen on `calibration`: the smallest and the
            largest, a percentile, the least squared error (`mse`), or the least divergence
            (`entropy`).
        percentile: What the observer `percentile` keeps at each end; None: 99.99.
        equalize: Which pairs of layers share out the sizes of the channels between them: all
            (`always`), those where less is lost so on `calibration` (`measured`), or none
            (`never`); `auto`: always with effort fast, else measured.
        calibration: Samples, samples first: an npz file with one array per model input, a mapping
            of such arrays, one array for a model with one input or an npy file with it, a folder of
            images (`epimc.Images`), or an iterable of batches; None: seeded standard normal
            samples, with which figures mean little.
        effort: How much is done to choose the numbers well: `fast`, `good` or `best`; `auto`: good
            with calibration samples, fast without.
        strict: Refuse a model that needs the host.
        pass_options: Options of passes, each text as in `quantize{weight_bits=4}`; they come last.
        dump_ir: A folder for the IR after every stage, beside the copy in the bundle.
        observers: Told of every stage (`epimc.CompileObserver`).

    Raises:
        EpimcError: Anything wrong with the arguments, the model or the samples.
    """
    request = Request(
        None,
        target=spelled(target),
        epitome=spelled(epitome),
        limit_bytes=limit_bytes,
        backend=backend,
        shapes=shape_texts(shapes),
        weight_bits=weight_bits,
        weight_granularity=weight_granularity,
        activation_bits=activation_bits,
        activations=activations,
        effort=effort,
        equalize=equalize,
        observer=observer,
        percentile=percentile,
        strict=strict,
        pass_options=as_tuple(pass_options),
    )
    folder = None if dump_ir is None else as_path(dump_ir, "dump_ir")
    memory = InMemory(model, example, calibration, checked_constants(constants))
    place, watching = as_path(output, "output"), checked_observers(observers)
    return Session(build(request, place, folder, watching, memory))


def plan(
    model: ModelSource,
    *,
    example: Any = None,
    target: str | os.PathLike[str] | None = None,
    epitome: str | os.PathLike[str] = "none",
    limit_bytes: int = DEFAULT_BYTES,
    backend: str = DEFAULT_BACKEND,
    shapes: ShapesByName = (),
    constants: ConstantsByName = (),
    weight_bits: int = 8,
    activation_bits: int = 8,
) -> PlanResult:
    """Count what a model takes on a chip, without compiling it.

    Args:
        model: As in `compile`.
        example: As in `compile`.
        target: A built-in target's name or a TOML file; None: the backend's default.
        epitome: As in `compile`.
        limit_bytes: The most that the model may take.
        backend: The kind of chip.
        shapes: Shapes of inputs by name, such as {"input": (1, 3, 224, 224)}, in the place of what
            the model declares.
        constants: As in `compile`.
        weight_bits: Bits of a weight, 1 to 32.
        activation_bits: Bits of an activation, 1 to 32.

    Raises:
        EpimcError: Anything wrong with the arguments or the model.
    """
    from epimc.compiler.planning import plan_model

    request = PlanRequest(
        None,
        target=spelled(target),
        epitome=spelled(epitome),
        limit_bytes=limit_bytes,
        backend=backend,
        shapes=shape_texts(shapes),
        weight_bits=weight_bits,
        activation_bits=activation_bits,
    )
    return plan_model(request, InMemory(model, example, None, checked_constants(constants)))


def verify(
    bundle: Session | str | os.PathLike[str],
    samples: SampleSource | None = None,
    *,
    layers: bool = False,
    first: int | None = None,
    limit_bytes: int = DEFAULT_BYTES,
    **options: Any,
) -> VerifyResult:
    """Hold a program to onnxruntime: exact against the integers, measured against the floats.

    Args:
        bundle: A bundle's folder, or a session.
        samples: As `calibration` of `compile`; an array `labels` gives accuracy.  None: those that
            the bundle keeps.
        layers: Measure also what each layer loses.
        first: Take the first samples only, so many.
        limit_bytes: The most that the samples may take, and the files of the bundle.
        options: Those of the backend's simulator, as in `load`.

    Raises:
        EpimcError: The program does not pass its check (exit code 1), the bundle has no reference,
            the samples do not fit, or an option is wrong.
    """
    from epimc.verification.verify import verify as verified

    limit = ModelOptions(limit_bytes=limit_bytes).limit_bytes
    read = bundle.bundle if isinstance(bundle, Session) else read_bundle_at(bundle, limit)
    first = DataOptions(first=first).first
    return verified(read, samples, None, limit, layers=layers, first=first, **options)


def evaluate(
    bundle: Session | str | os.PathLike[str],
    data: SampleSource,
    *,
    labels: str | os.PathLike[str] | ArrayLike | None = None,
    of: str | Sequence[str] = ("float", "program"),
    adc_bits: int | Sequence[int] = (),
    integers: Integers = "simulator",
    batch: int | None = None,
    jobs: int = 1,
    state: str | os.PathLike[str] | None = None,
    first: int | None = None,
    limit_bytes: int = DEFAULT_BYTES,
    progress: Callable[[int, int | None], None] | None = None,
    **simulator: Any,
) -> EvaluateResult:
    """Run a data set through a bundle: accuracy, and errors against the float model.

    Args:
        bundle: A bundle's folder, or a session.
        data: The path of an npz or npy file; a folder of images, by its path or as `epimc.Images`;
            an array, for a model with one input; a mapping of arrays by name, of which `labels`
            may be one; or an iterable of such batches, or of pairs (array, labels), which is read
            once and never in memory as a whole.
        labels: The class of each sample, in an array or a file; None: what the data say.
        of: What is evaluated: any of `float`, `epitomized`, `integers` and `program`.
        adc_bits: The program once for each number of bits of its ADCs; none: as its target has it.
        integers: What computes `integers`: `simulator`, or `onnxruntime` the integer graph.
        batch: Samples that are run at once; None: 64, or fewer.  No figure depends on it.
        jobs: Processes that share the batches; nor on them.
        state: A folder for results, batch by batch: an interrupted evaluation goes on from there.
        first: Take the first samples only, so many.
        limit_bytes: The most that the batches, the data and the files of the bundle may take.
        progress: Called with the number of samples done, and of all; None where that is unknown.
        simulator: Options of the backend's simulator, as in `load`.

    Raises:
        EpimcError: The program does not pass its check (exit code 1), or anything is wrong with
            the bundle, the data, the labels, the options or the state.
    """
    from epimc.evaluation.evaluate import evaluate as evaluated
    from epimc.evaluation.options import EvaluateOptions

    limit = ModelOptions(limit_bytes=limit_bytes).limit_bytes
    is_file = isinstance(labels, (str, os.PathLike))
    options = EvaluateOptions(
        labels=as_path(labels, "labels") if is_file else None,
        of=(of,) if isinstance(of, str) else as_tuple(of),
        adc_bits=words_of(adc_bits),
        integers=integers,
        batch=batch,
        jobs=jobs,
        state=None if state is None else as_path(state, "state"),
    )
    reading, report = DataOptions(first=first), checked_progress(progress)
    read = bundle.bundle if isinstance(bundle, Session) else read_bundle_at(bundle, limit)
    passed = None if is_file else labels
    return evaluated(
        replace(read, limit_bytes=limit),
        data,
        options,
        labels=passed,
        first=reading.first,
        progress=report,
        simulator=simulator,
    )


def checked_progress(progress: Any) -> Callable[[int, int | None], None] | None:
    """What is to be told of progress, if anything.

    Raises:
        EpimcError: It cannot be called.
    """
    if progress is not None and not callable(progress):
        raise error(
            f"Progress cannot be told to what has the type {type(progress).__name__}.",
            hint="Pass a function of the samples that are done, and of all.",
        )
    return cast("Callable[[int, int | None], None] | None", progress)


def words_of(numbers: object) -> tuple[str, ...]:
    """Numbers as the words of an option: one of them, or some."""
    if isinstance(numbers, Iterable) and not isinstance(numbers, str):
        return tuple(map(str, numbers))
    return (str(numbers),)


def read_bundle_at(bundle: str | os.PathLike[str], limit_bytes: int) -> Bundle:
    """The bundle in a folder that a Python user names; EpimcError where there is none."""
    return read_bundle(as_path(bundle, "bundle"), limit_bytes)


def inspect(
    source: ModelSource,
    *,
    example: Any = None,
    limit_bytes: int = DEFAULT_BYTES,
    shapes: ShapesByName = (),
    constants: ConstantsByName = (),
    quantization: bool = False,
) -> BundleSummary | ModelSummary | QuantizationReport:
    """What a bundle or a model consists of.

    Args:
        source: A bundle's folder, or a model as in `compile`.
        example: As in `compile`.
        limit_bytes: The most that the model, or the files of the bundle, may take.
        shapes: As in `plan`; for a model.
        constants: As in `compile`; for a model.
        quantization: Tell in its place what a bundle's quantization loses, layer by layer, on the
            samples that it keeps.

    Raises:
        EpimcError: It is neither, or the bundle's program does not pass its check (exit code 1).
    """
    from epimc.results.summaries import inspected

    limit = ModelOptions(limit_bytes=limit_bytes).limit_bytes
    if quantization:
        from epimc.report.report import quantization_report

        # A model has none: it is refused as no bundle.
        return quantization_report(read_bundle(as_path(source, "source"), limit))
    return inspected(source, example, limit, shape_texts(shapes), checked_constants(constants))


def as_tuple(texts: object) -> Any:
    """Texts of a list as a tuple; anything else as it is, to be refused."""
    return tuple(texts) if isinstance(texts, Sequence) and not isinstance(texts, str) else texts


def checked_observers(observers: object) -> list[CompileObserver]:
    """The observers of a compile.

    Raises:
        EpimcError: They are no list of observers.
    """
    from epimc.ir.observers import CompileObserver

    listed: list[Any] = [*observers] if isinstance(observers, Iterable) else [observers]
    for each in listed:
        if not isinstance(each, CompileObserver):
            raise error(
                f"An observer cannot be of the type {type(each).__name__}.",
                hint="Pass a list of objects of subclasses of epimc.CompileObserver.",
            )
    return listed


def build(
    request: Request,
    output: Path,
    dump_ir: Path | None = None,
    observers: Sequence[CompileObserver] = (),
    memory: InMemory = NOTHING,
) -> Bundle:
    """Compile and write the bundle, and the IR dumps where they are asked for."""
    from epimc.compiler.compiler import compile_model
    from epimc.compiler.dumps import Dumps

    check_output(output)
    if dump_ir is not None:
        check_folder(dump_ir, output)
    dumps = Dumps()
    bundle = compile_model(request, [*observers, dumps], memory)
    extra = {f"ir/{name}": file for name, file in dumps.files()}
    bundle = replace(bundle, extra_files={**bundle.extra_files, **extra})
    write_bundle(output, bundle)
    if dump_ir is not None:
        dumps.write(dump_ir)
    # The reference is read from there, also after a change of the working directory.
    folder, manifest = output.absolute(), read_manifest(output)
    return replace(
        bundle,
        manifest=manifest,
        extra_files={},
        folder=folder,
        limit_bytes=request.limit_bytes,
    )


def load(
    folder: str | os.PathLike[str], *, limit_bytes: int = DEFAULT_BYTES, **options: Any
) -> Session:
    """Load a bundle.

    Args:
        folder: The bundle's folder.
        limit_bytes: The most that the files of the bundle may take.
        options: Those of the backend's simulator; of crossbars `path` and `engine`.

    Raises:
        EpimcError: It is no bundle, a file does not match its checksum, or an option is wrong.
    """
    limit = ModelOptions(limit_bytes=limit_bytes).limit_bytes
    bundle = read_bundle(as_path(folder, "folder"), limit)
    # As of a bundle that was just compiled.
    return Session(replace(bundle, folder=Path(folder).absolute()), **options)
