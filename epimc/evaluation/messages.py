"""What processes of an evaluation tell each other, as JSON and arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from epimc.bundle.bundle import Bundle, read_bundle
from epimc.bundle.manifest import sealed
from epimc.evaluation.options import Model
from epimc.evaluation.work import Batch, Work, Worker
from epimc.samples.opening import reopened
from epimc.samples.samples import inputs_of
from epimc.samples.sources import Source
from epimc.support.diagnostics import Diagnostic, EpimcError, error
from epimc.support.files import sha256

Array = NDArray[Any]

LABELS = "labels"


def digest_of(bundle: Bundle) -> str:
    """What tells a bundle from all others: its manifest has the checksums of all files."""
    return sha256(sealed(bundle.manifest.model_dump()))


def job_of(work: Work, bundle: Bundle, source: Source | None) -> dict[str, Any]:
    """What another process needs to do the same work."""
    assert bundle.folder is not None
    opening = None if source is None else source.reopening()
    return {
        "bundle": str(bundle.folder.absolute()),
        "digest": digest_of(bundle),
        "limit_bytes": bundle.limit_bytes,
        "inputs": [port.name for port in inputs_of(bundle.program)],
        "models": [model.key for model in work.models],
        "integers": work.integers,
        "simulator": {**work.simulator},
        "source": opening,
        "identity": None if source is None or opening is None else source.identity(),
    }


def begun(job: Mapping[str, Any]) -> Worker:
    """The worker for a job, in the other process.

    Raises:
        EpimcError: The bundle or the data cannot be read any more, or have changed.
    """
    bundle = read_bundle(Path(job["bundle"]), job["limit_bytes"])
    if digest_of(bundle) != job["digest"]:
        raise error(f"Bundle '{job['bundle']}' has changed while it was evaluated.")
    source = None
    if job["source"] is not None:
        source = reopened(job["source"], inputs_of(bundle.program), job["limit_bytes"])
        if source.identity() != job["identity"]:
            raise error(f"The {source.subject} has changed while it was evaluated.")
    work = Work(tuple(map(Model.of, job["models"])), job["integers"], job["simulator"])
    return work.begun(bundle, source)


def batch_message(
    batch: Batch, source: Source | None, inputs: Sequence[str]
) -> tuple[dict[str, Any], dict[str, Array]]:
    """A batch as a header and arrays; samples go along unless the other process reads them.

    Raises:
        EpimcError: They cannot be read.
    """
    arrays: dict[str, Array] = {}
    here = source is None or source.reopening() is None
    if here:
        samples = batch.read(source)
        # By their places: not every name could be that of a file in an archive.
        arrays = {str(place): samples[name] for place, name in enumerate(inputs)}
    if batch.labels is not None:
        arrays[LABELS] = batch.labels
    return {"first": batch.first, "end": batch.end, "samples": here}, arrays


def batch_of(
    header: Mapping[str, Any], arrays: Mapping[str, Array], inputs: Sequence[str]
) -> Batch:
    """The inverse."""
    samples = None
    if header["samples"]:
        samples = {name: arrays[str(place)] for place, name in enumerate(inputs)}
    return Batch(header["first"], header["end"], arrays.get(LABELS), samples)


def stated_error(problem: EpimcError) -> dict[str, Any]:
    """An error as a header; a place in a text becomes words."""
    known = problem.diagnostic
    return {
        "error": [known.message, str(known.where), list(known.notes), known.hint],
        "exit_code": problem.exit_code,
    }


def error_in(header: Mapping[str, Any]) -> EpimcError | None:
    """The error that a header states, if it does."""
    if "error" not in header:
        return None
    message, where, notes, hint = header["error"]
    return EpimcError(Diagnostic(message, where, tuple(notes), hint), header["exit_code"])
