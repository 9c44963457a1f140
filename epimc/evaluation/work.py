"""The work of one process: batches of samples through all that is evaluated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from epimc.bundle.bundle import Bundle
from epimc.evaluation.models import evaluated
from epimc.evaluation.options import Integers, Model
from epimc.evaluation.records import Ints, Record, record_of
from epimc.samples.sources import Source

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Batch:
    """Samples that are run together.

    Attributes:
        first: The number of the first, from 0.
        end: That behind the last.
        labels: int64 [end - first]; None where there are none.
        inputs: For each input by name; None: they are read from the source.
    """

    first: int
    end: int
    labels: Ints | None
    inputs: Mapping[str, Array] | None = None

    def read(self, source: Source | None) -> Mapping[str, Array]:
        """The samples; `source` has them where they are not here."""
        if self.inputs is not None:
            return self.inputs
        assert source is not None
        return source.read(self.first, self.end)


@dataclass(frozen=True)
class Work:
    """What is done with every batch.

    Attributes:
        models: What is evaluated.
        integers: What computes `integers`.
        simulator: Options of the backend's simulator, among them how many samples at once.
    """

    models: tuple[Model, ...]
    integers: Integers
    simulator: Mapping[str, Any]

    def begun(self, bundle: Bundle, source: Source | None) -> Worker:
        """Load everything.

        Raises:
            EpimcError: The bundle has not all of it any more.
        """
        return Worker(self, bundle, source)


class Worker:
    """All that is evaluated, loaded once."""

    def __init__(self, work: Work, bundle: Bundle, source: Source | None) -> None:
        """Load it; arguments and errors as `Work.begun`."""
        self.source = source
        self.models = {
            model.key: evaluated(model, bundle, work.integers, work.simulator)
            for model in work.models
        }

    def record(self, batch: Batch) -> Record:
        """What a batch comes to.

        Raises:
            EpimcError: Samples cannot be read, something does not run, or labels do not fit.
        """
        inputs = batch.read(self.source)
        outputs = {name: model.run(inputs) for name, model in self.models.items()}
        return record_of(outputs, batch.labels, batch.first, batch.end - batch.first)
