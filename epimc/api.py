"""The Python interface: what the commands do, with objects in the place of files and tables."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from epimc.backends import DEFAULT_BACKEND
from epimc.bundle.bundle import Bundle, check_output, read_bundle, write_bundle
from epimc.compiler.memory import NOTHING, InMemory
from epimc.compiler.options import PlanRequest, Request
from epimc.runtime.session import Session

if TYPE_CHECKING:
    from epimc.compiler.planning import PlanResult
    from epimc.compiler.sample_arrays import SampleSource
    from epimc.frontend import ModelSource
    from epimc.ir.observers import CompileObserver
    from epimc.results.summaries import BundleSummary, ModelSummary
    from epimc.verification.results import VerifyResult


def compile(  # The name is the interface, as in `re.compile`.
    model: ModelSource,
    output: str | os.PathLike[str],
    *,
    example: Any = None,
    target: str | os.PathLike[str] | None = None,
    epitome: str | os.PathLike[str] = "none",
    limit_bytes: int = 2**32,
    backend: str = DEFAULT_BACKEND,
    weight_bits: int = 8,
    activation_bits: int = 8,
    calibration: SampleSource | None = None,
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
        weight_bits: Bits of a weight, 2 to 8.
        activation_bits: Bits of an activation, 4 to 8.
        calibration: Samples, samples first: an npz file with one array per model input, a mapping
            of such arrays, one array for a model with one input, or an iterable of batches; None:
            seeded standard normal samples, with which figures mean little.
        strict: Refuse a model that needs the host.
        pass_options: Options of passes, each text as in `quantize{weight_bits=4}`; they come last.
        dump_ir: A folder for the IR after every stage, beside the copy in the bundle.
        observers: Told of every stage (`epimc.CompileObserver`).

    Raises:
        EpimcError: Anything wrong with the arguments, the model or the samples.
    """
    request = Request(
        None,
        target=None if target is None else os.fspath(target),
        epitome=os.fspath(epitome),
        limit_bytes=limit_bytes,
        backend=backend,
        weight_bits=weight_bits,
        activation_bits=activation_bits,
        strict=strict,
        pass_options=tuple(pass_options),
    )
    folder = None if dump_ir is None else Path(dump_ir)
    memory = InMemory(model, example, calibration)
    return Session(build(request, Path(output), folder, observers, memory))


def plan(
    model: ModelSource,
    *,
    example: Any = None,
    target: str | os.PathLike[str] | None = None,
    epitome: str | os.PathLike[str] = "none",
    limit_bytes: int = 2**32,
    backend: str = DEFAULT_BACKEND,
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
        weight_bits: Bits of a weight, 2 to 32.
        activation_bits: Bits of an activation, 1 to 32.

    Raises:
        EpimcError: Anything wrong with the arguments or the model.
    """
    from epimc.compiler.planning import plan_model

    request = PlanRequest(
        None,
        target=None if target is None else os.fspath(target),
        epitome=os.fspath(epitome),
        limit_bytes=limit_bytes,
        backend=backend,
        weight_bits=weight_bits,
        activation_bits=activation_bits,
    )
    return plan_model(request, model, example)


def verify(
    bundle: Session | str | os.PathLike[str],
    samples: SampleSource | None = None,
    *,
    layers: bool = False,
    limit_bytes: int = 2**32,
) -> VerifyResult:
    """Hold a program to onnxruntime: exact against the integers, measured against the floats.

    Args:
        bundle: A bundle's folder, or a session.
        samples: As `calibration` of `compile`; an array `labels` gives accuracy.  None: those that
            the bundle keeps.
        layers: Measure also what each layer loses.
        limit_bytes: The most that the samples may take.

    Raises:
        EpimcError: The program does not pass its check (exit code 1), the bundle has no reference,
            or the samples do not fit.
    """
    from epimc.verification.verify import verify as verified

    read = bundle.bundle if isinstance(bundle, Session) else read_bundle(Path(bundle))
    return verified(read, samples, None, limit_bytes, layers=layers)


def inspect(source: ModelSource, *, example: Any = None) -> BundleSummary | ModelSummary:
    """What a bundle or a model consists of.

    Args:
        source: A bundle's folder, or a model as in `compile`.
        example: As in `compile`.

    Raises:
        EpimcError: It is neither, or the bundle's program does not pass its check (exit code 1).
    """
    from epimc.results.summaries import inspected

    return inspected(source, example)


def build(
    request: Request,
    output: Path,
    dump_ir: Path | None = None,
    observers: Sequence[CompileObserver] = (),
    memory: InMemory = NOTHING,
) -> Bundle:
    """Compile and write the bundle, and the IR dumps where they are asked for."""
    from epimc.compiler.compiler import compile_model
    from epimc.compiler.dumps import Dumps, check_folder

    check_output(output)
    if dump_ir is not None:
        check_folder(dump_ir)
    dumps = Dumps()
    bundle = compile_model(request, [*observers, dumps], memory)
    extra = {f"ir/{name}": file for name, file in dumps.files()}
    bundle = replace(bundle, extra_files={**bundle.extra_files, **extra})
    write_bundle(output, bundle)
    if dump_ir is not None:
        dumps.write(dump_ir)
    return replace(bundle, extra_files={}, folder=output)


def load(folder: str | os.PathLike[str], **options: Any) -> Session:
    """Load a bundle.

    Args:
        folder: The bundle's folder.
        options: Those of the backend's simulator; of crossbars `path` and `engine`.

    Raises:
        EpimcError: It is no bundle, a file does not match its checksum, or an option is wrong.
    """
    return Session(read_bundle(Path(folder)), **options)
