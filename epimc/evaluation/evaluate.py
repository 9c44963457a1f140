"""Evaluate a bundle on a data set: the float model, the epitomized one, integers and program.

Batches of samples go through all of them, in one process or several.  What is kept of a sample
depends on nothing but the sample, and figures are integers and exact sums over all of them: so
neither batches, processes nor interruptions change a digit.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from operator import itemgetter
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from epimc.bundle.bundle import Bundle
from epimc.evaluation.figures import result_of
from epimc.evaluation.memory import batch_size
from epimc.evaluation.messages import digest_of, job_of
from epimc.evaluation.options import FLOAT, EvaluateOptions
from epimc.evaluation.processes import Helpers, worked_off
from epimc.evaluation.records import Record, columns
from epimc.evaluation.results import NOTHING, EvaluateResult
from epimc.evaluation.state import Piece, State, together
from epimc.evaluation.work import Batch, Work
from epimc.samples.labels import Ints, checked, read_labels, require_count
from epimc.samples.opening import open_source
from epimc.samples.sample_arrays import SampleSource
from epimc.samples.samples import inputs_of
from epimc.samples.sources import Source
from epimc.samples.streams import Stream
from epimc.support.diagnostics import error
from epimc.support.files import sha256
from epimc.support.sample_types import Shaped
from epimc.support.version import VERSION

Progress = Callable[[int, int | None], None]
"""Told how many samples are done, and of how many, where that is known."""

PASSED_LABELS = "The array of labels"


def evaluate(
    bundle: Bundle,
    data: SampleSource,
    options: EvaluateOptions,
    *,
    labels: Any = None,
    first: int | None = None,
    progress: Progress | None = None,
    simulator: Mapping[str, Any] = MappingProxyType({}),
) -> EvaluateResult:
    """Run a data set through a bundle.

    Args:
        bundle: Read from a folder, or compiled into one.
        data: As `open_source` takes it.
        options: What is evaluated, and how.
        labels: Classes in memory, in the place of a file.
        first: So many samples, the first ones; None: all.
        progress: Told of every batch.
        simulator: Options of the backend's simulator.

    Raises:
        EpimcError: The program does not pass its check (exit code 1), or anything is wrong with
            the data, the labels, the options or the state.
    """
    if options.jobs > 1 or options.state is not None:
        refuse_unstated(simulator)
    with ExitStack() as stack:
        helpers = Helpers(stack)
        # They import what they need while this process checks and reads.
        helpers.start(min(options.jobs, os.cpu_count() or 1) - 1)
        bundle.program.refuse_bad()
        evaluation = Evaluation.of(bundle, data, options, simulator, labels, first)
        evaluation.refuse_alone()
        report = progress or (lambda done, count: None)
        record = evaluation.record(stack, helpers, report)
    outputs = [port.name for port in bundle.program.outputs]
    return result_of(record, options.models, outputs, classes=evaluation.gives_classes())


@dataclass(frozen=True, eq=False)
class Evaluation:
    """One evaluation, all of whose inputs are open.

    Attributes:
        bundle: What is evaluated.
        options: How.
        simulator: Options of the backend's simulator.
        batch: Samples that are run at once.
        source: The samples; a stream where they come once.
        labels: Of all of them; None: of none, or as a stream gives them.
        first: Of a stream so many samples.
    """

    bundle: Bundle
    options: EvaluateOptions
    simulator: Mapping[str, Any]
    batch: int
    source: Source | Stream
    labels: Ints | None
    first: int | None

    @staticmethod
    def of(
        bundle: Bundle,
        data: SampleSource,
        options: EvaluateOptions,
        simulator: Mapping[str, Any],
        labels: Any,
        first: int | None,
    ) -> Evaluation:
        """Open data and labels; arguments and errors as `evaluate`."""
        inputs, limit = inputs_of(bundle.program), bundle.limit_bytes
        if options.jobs > 1:
            refuse_unsendable(inputs)
        batch = batch_size(bundle.program, options.batch, options.jobs, limit)
        source = open_source(data, inputs, limit)
        if isinstance(source, Stream) and options.state is not None:
            raise error(
                "An iterable cannot be gone on with, and a state needs that.",
                hint="Pass a file, a folder of images or arrays, or leave out the state.",
            )
        classes = labels_of(source, options.labels, labels, limit)
        return Evaluation(bundle, options, simulator, batch, source, classes, first)

    def refuse_alone(self) -> None:
        """Raise EpimcError where no figure can come of it: a stream may have labels yet."""
        beside = FLOAT in self.options.names and len(self.options.models) > 1
        if self.labels is None and not beside and not isinstance(self.source, Stream):
            hint = "Name the labels, or evaluate float beside something else."
            raise error(NOTHING, hint=hint)

    @property
    def count(self) -> int | None:
        """How many samples are evaluated; None: a stream tells at its end."""
        if isinstance(self.source, Stream):
            return None
        return self.source.count if self.first is None else min(self.first, self.source.count)

    @cached_property
    def columns(self) -> dict[str, str]:
        """The arrays of a record."""
        outputs = len(self.bundle.program.outputs)
        return columns(
            [model.key for model in self.options.models], outputs, labelled=self.labels is not None
        )

    def record(self, stack: ExitStack, helpers: Helpers, progress: Progress) -> Record:
        """The records of all samples, one behind the other.

        Args:
            stack: What has to be done at the end, whatever happens.
            helpers: Other processes, some of which may be there.
            progress: Told of every batch.
        """
        state = self.state
        if state is not None:
            stack.callback(state.close)
        parts = [] if state is None else self.kept(state)
        done = sum(end - start for start, end, _ in parts)
        progress(done, self.count)
        gaps = None if isinstance(self.source, Stream) else self.gaps(parts)
        if gaps is None or gaps:
            for batch, record in self.worked(helpers, gaps):
                parts.append((batch.first, batch.end, record))
                if state is not None:
                    state.add(parts[-1])
                done += batch.end - batch.first
                progress(done, self.count)
        _, _, joined = together(sorted(parts, key=itemgetter(0)))
        return joined

    def worked(
        self, others: Helpers, gaps: Sequence[tuple[int, int]] | None
    ) -> Iterator[tuple[Batch, Record]]:
        """All batches that are left, with their records."""
        jobs = self.options.jobs
        helpers = others.start((jobs if gaps is None else min(jobs, len(gaps))) - 1)
        simulator = {**self.simulator, "batch": self.batch}
        work = Work(self.options.models, self.options.integers, simulator)
        source = None if isinstance(self.source, Stream) else self.source
        if helpers:
            job = job_of(work, self.bundle, source)
            for helper in helpers:
                helper.begin(job)
        batches = self.streamed() if gaps is None else self.cut(gaps)
        inputs = [port.name for port in inputs_of(self.bundle.program)]
        return worked_off(batches, work.begun(self.bundle, source), helpers, inputs)

    def cut(self, gaps: Sequence[tuple[int, int]]) -> Iterator[Batch]:
        """The batches of a source."""
        for start, end in gaps:
            labels = None if self.labels is None else self.labels[start:end]
            yield Batch(start, end, labels)

    def streamed(self) -> Iterator[Batch]:
        """The batches of a stream.

        Raises:
            EpimcError: It gives fewer or more samples than there are labels.
        """
        assert isinstance(self.source, Stream)
        start = 0
        for samples in self.source.batches(self.batch, self.first):
            end, labels = start + samples.count, samples.labels
            if self.labels is not None:
                labels = self.labels[start:end]
                if len(labels) < samples.count:
                    raise error(f"There are {len(self.labels)} labels, and more samples.")
            yield Batch(start, end, labels, samples.inputs)
            start = end
        if self.labels is not None and self.first is None:
            require_count(PASSED_LABELS, self.labels, start)

    # --- what is done already ---------------------------------------------------------------------

    @cached_property
    def state(self) -> State | None:
        """Where results are kept."""
        if self.options.state is None:
            return None
        return State(self.options.state, self.columns, self.bundle.limit_bytes)

    def kept(self, state: State) -> list[Piece]:
        """What is done.

        Raises:
            EpimcError: As `State.open`.
        """
        assert not isinstance(self.source, Stream)
        assert self.count is not None
        labels = None if self.labels is None else self.labels[: self.count].tolist()
        header = {
            "epimc": VERSION,
            "bundle": digest_of(self.bundle),
            "data": self.source.identity(),
            "labels": None if labels is None else digest_of_numbers(labels),
            "samples": self.count,
            "of": [model.key for model in self.options.models],
            "integers": self.options.integers,
            "simulator": {**self.simulator},
        }
        return state.open(header, self.count)

    def gaps(self, parts: Sequence[Piece]) -> list[tuple[int, int]]:
        """The first and the last but one sample of each batch that is left."""
        assert self.count is not None
        borders = [(0, 0), *((start, end) for start, end, _ in parts), (self.count, self.count)]
        return [
            (first, min(first + self.batch, start))
            for (_, end), (start, _) in pairwise(borders)
            for first in range(end, start, self.batch)
        ]

    # --- classes ----------------------------------------------------------------------------------

    def gives_classes(self) -> bool:
        """Whether the float model says that its first output is one of classes."""
        if FLOAT not in self.options.names:
            return False
        from epimc.backends.onnx.classes import is_of_classes
        from epimc.backends.onnx.reading import large_model
        from epimc.verification.verify import reference_model

        model = large_model(reference_model(self.bundle, "float.onnx"), "the float model")
        outputs = [port.name for port in self.bundle.program.outputs]
        return bool(outputs) and is_of_classes(model.proto, outputs[0])


def labels_of(
    source: Source | Stream, path: Path | None, passed: Any, limit_bytes: int
) -> Ints | None:
    """The classes of all samples; None where nothing says them, or a stream is to.

    Args:
        source: The samples.
        path: A file of labels.
        passed: Labels in memory.
        limit_bytes: The most bytes of the file.

    Raises:
        EpimcError: They are no labels, or not as many as samples.
    """
    names = None if isinstance(source, Stream) else source.names
    if path is not None:
        subject, labels = f"Labels file '{path}'", read_labels(path, names, limit_bytes)
    elif passed is not None:
        subject, labels = PASSED_LABELS, checked(PASSED_LABELS, passed)
    else:
        return None if isinstance(source, Stream) else source.labels
    if not isinstance(source, Stream):
        require_count(subject, labels, source.count)
    return labels


def refuse_unstated(simulator: Mapping[str, Any]) -> None:
    """Raise EpimcError for an option of a simulator that no other process could be told."""
    for name, value in simulator.items():
        if not isinstance(value, str | int | float | None):
            raise error(
                f"The option '{name}' of the simulator can be used in one process alone.",
                hint="Evaluate with one job, and without a state.",
            )


def refuse_unsendable(inputs: Sequence[Shaped]) -> None:
    """Raise EpimcError for inputs whose samples no other process could get."""
    for port in inputs:
        if not port.in_files:
            raise error(
                f"Input '{port.name}' is {port.type}, which one process alone evaluates.",
                hint="Evaluate with one job.",
            )


def digest_of_numbers(numbers: Sequence[int]) -> str:
    """A SHA-256 of integers."""
    return sha256(np.array(numbers, np.int64).tobytes())
