"""`epimc inspect --stage`: a bundle's IR at each level, and its program, as text."""

from __future__ import annotations

from pathlib import Path

from epimc.backends.base import Backend
from epimc.backends.registry import load_backend
from epimc.bundle.bundle import Bundle, to_compile_again
from epimc.compiler.passes import passes_of
from epimc.ir.core.levels import COMMON
from epimc.ir.pipeline import parse_pipeline, pass_class
from epimc.support.diagnostics import OtherVersionError, did_you_mean, error
from epimc.support.files import decoded

ASSEMBLY = "asm"


def stages_of(backend: Backend) -> tuple[str, ...]:
    """The levels that a module goes through for a backend, and the program as text."""
    kinds = [pass_class(name, passes_of(backend)) for name in backend.passes]
    own = [kind.ensures for kind in kinds if kind.ensures not in COMMON]
    return (*COMMON, *dict.fromkeys(own), ASSEMBLY)


def stage_text(bundle: Bundle, stage: str) -> str:
    """The IR after the last pass of a level, or the program with comments; ends in a newline.

    Args:
        bundle: Read from a folder; its program passes the check.
        stage: A level of the IR, or `asm`.

    Raises:
        EpimcError: There is no such stage, or the dump was deleted.
    """
    backend = load_backend(bundle.manifest.backend)
    stages = stages_of(backend)
    if stage not in stages:
        raise error(f"There is no stage '{stage}'.", hint=did_you_mean(stage, stages))
    if stage == ASSEMBLY:
        return bundle.program.listing()
    name = dump_name(bundle.manifest.options.passes, stage, backend)
    return dump_text(bundle, name, f"the IR of stage {stage} is lost")


def pass_text(bundle: Bundle, name: str) -> str:
    """The IR after a pass; ends in a newline.

    Args:
        bundle: Read from a folder.
        name: Of a pass that made it.

    Raises:
        EpimcError: The dump was deleted.
    """
    registry = passes_of(load_backend(bundle.manifest.backend))
    passes = parse_pipeline(bundle.manifest.options.passes, registry)
    number = [step.name for step in passes].index(name) + 1
    return dump_text(bundle, f"ir/{number:02d}-{name}.epi", f"the IR after '{name}' is lost")


def dump_text(bundle: Bundle, name: str, lost: str) -> str:
    """The text of a dump; EpimcError, which says what is lost, if it was deleted."""
    data = bundle.deletable_file(name, lost)
    assert bundle.folder is not None
    path = bundle.folder / name
    return of_this_version(decoded(data, path), path, bundle.folder)


def of_this_version(text: str, path: Path, folder: Path) -> str:
    """The same text, which must be of the version of the IR's text form that is read.

    Raises:
        OtherVersionError: It is not: nothing that reads it next would understand it.
    """
    # The parser brings lark, which the other stages need not wait for.
    from epimc.ir.text.parser import refuse_other_version

    try:
        refuse_other_version(text, str(path))
    except OtherVersionError as problem:
        raise to_compile_again(problem, folder) from None
    return text


def dump_name(pipeline: str, level: str, backend: Backend) -> str:
    """The file with the IR after the last pass of a pipeline that gives this level."""
    passes = parse_pipeline(pipeline, passes_of(backend))
    numbers = [number for number, step in enumerate(passes, 1) if step.ensures == level]
    if not numbers:
        return "ir/00-import.epi"
    return f"ir/{numbers[-1]:02d}-{passes[numbers[-1] - 1].name}.epi"
