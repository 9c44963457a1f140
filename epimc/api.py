"""The Python interface: `epimc.compile` and `epimc.load`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from epimc.backends import DEFAULT_BACKEND
from epimc.bundle.bundle import Bundle, check_output, read_bundle, write_bundle
from epimc.compiler.options import Request
from epimc.runtime.session import Session

if TYPE_CHECKING:
    from epimc.ir.observers import CompileObserver


def compile(  # The name is the interface, as in `re.compile`.
    model: str | Path,
    output: str | Path,
    *,
    target: str | Path | None = None,
    epitome: str | Path = "none",
    limit_bytes: int = 2**32,
    backend: str = DEFAULT_BACKEND,
    weight_bits: int = 8,
    activation_bits: int = 8,
    calibration: str | Path | None = None,
    strict: bool = False,
    pass_options: Sequence[str] = (),
    dump_ir: str | Path | None = None,
    observers: Sequence[CompileObserver] = (),
) -> Session:
    """Compile an ONNX model to a bundle and load it.

    Args:
        model: The ONNX file.
        output: The bundle's folder; an existing bundle is replaced.
        target: A built-in target's name or a TOML file; None: the backend's default.
        epitome: What gives each layer its epitome: the policy `none` or `uniform:RxC`, or a TOML
            file with plans layer by layer.
        limit_bytes: The most that the model, and the samples, may take.
        backend: The kind of chip.
        weight_bits: Bits of a weight, 2 to 8.
        activation_bits: Bits of an activation, 4 to 8.
        calibration: An npz file with one array per model input, samples first; without it,
            seeded standard normal samples are used and figures mean little.
        strict: Refuse a model that needs the host.
        pass_options: Options of passes, each text as in `quantize{weight_bits=4}`; they come last.
        dump_ir: A folder for the IR after every stage, beside the copy in the bundle.
        observers: Told of every stage (`epimc.CompileObserver`).

    Raises:
        EpimcError: Anything wrong with the arguments, the model or the samples.
    """
    request = Request(
        Path(model),
        target=None if target is None else str(target),
        epitome=str(epitome),
        limit_bytes=limit_bytes,
        backend=backend,
        weight_bits=weight_bits,
        activation_bits=activation_bits,
        calibration=None if calibration is None else Path(calibration),
        strict=strict,
        pass_options=tuple(pass_options),
    )
    folder = None if dump_ir is None else Path(dump_ir)
    return Session(build(request, Path(output), folder, observers))


def build(
    request: Request,
    output: Path,
    dump_ir: Path | None = None,
    observers: Sequence[CompileObserver] = (),
) -> Bundle:
    """Compile and write the bundle, and the IR dumps where they are asked for."""
    from epimc.compiler.compiler import compile_model
    from epimc.compiler.dumps import Dumps, check_folder

    check_output(output)
    if dump_ir is not None:
        check_folder(dump_ir)
    dumps = Dumps()
    bundle = compile_model(request, [*observers, dumps])
    extra = {f"ir/{name}": file for name, file in dumps.files()}
    bundle = replace(bundle, extra_files={**bundle.extra_files, **extra})
    write_bundle(output, bundle)
    if dump_ir is not None:
        dumps.write(dump_ir)
    return replace(bundle, extra_files={}, folder=output)


def load(folder: str | Path, **options: Any) -> Session:
    """Load a bundle.

    Args:
        folder: The bundle's folder.
        options: Those of the backend's simulator; of crossbars `path` and `engine`.

    Raises:
        EpimcError: It is no bundle, a file does not match its checksum, or an option is wrong.
    """
    return Session(read_bundle(Path(folder)), **options)
