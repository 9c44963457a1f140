"""`epimc inspect --stage`: a bundle's IR at each level, and its program, as text."""

from __future__ import annotations

from pathlib import Path

from epimc.backends.crossbar.bundle.bundle import Bundle, to_compile_again
from epimc.backends.crossbar.isa.listing import list_program
from epimc.cli.console import read_text
from epimc.compiler.passes import PASSES
from epimc.ir.core.levels import LEVELS
from epimc.ir.pipeline import parse_pipeline
from epimc.support.diagnostics import OtherVersionError, did_you_mean, error

ASSEMBLY = "asm"
STAGES = (*LEVELS, ASSEMBLY)


def stage_text(bundle: Bundle, stage: str) -> str:
    """The IR after the last pass of a level, or the program with comments; ends in a newline.

    Args:
        bundle: Read from a folder; its program passes the check.
        stage: A level of the IR, or `asm`.

    Raises:
        EpimcError: There is no such stage, or the dump was deleted.
    """
    if stage not in STAGES:
        raise error(f"There is no stage '{stage}'.", hint=did_you_mean(stage, STAGES))
    if stage == ASSEMBLY:
        return list_program(bundle.program)
    assert bundle.folder is not None
    name = dump_name(bundle.manifest.options.passes, stage)
    path = bundle.folder / name
    if name not in bundle.manifest.files or not path.is_file():
        raise error(
            f"Bundle '{bundle.folder}' has no '{name}': the IR of stage {stage} is lost.",
            hint="Compile the model again.",
        )
    return of_this_version(read_text(path), path, bundle.folder)


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


def dump_name(pipeline: str, level: str) -> str:
    """The file with the IR after the last pass of a pipeline that gives this level."""
    passes = parse_pipeline(pipeline, PASSES)
    numbers = [number for number, step in enumerate(passes, 1) if step.ensures == level]
    if not numbers:
        return "ir/00-import.epi"
    return f"ir/{numbers[-1]:02d}-{passes[numbers[-1] - 1].name}.epi"
