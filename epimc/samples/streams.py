"""Samples that come in batches, one after the other, as data loaders give them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from epimc.samples.sample_arrays import Batch, batches_of, is_array
from epimc.samples.samples import LABELS, Samples, checked_samples
from epimc.support.diagnostics import error
from epimc.support.sample_types import Shaped

STREAMED = "the data"


class Stream:
    """Batches of samples that come one after the other, once, from a Python user."""

    def __init__(
        self, batches: Iterable[Batch], inputs: Sequence[Shaped], limit_bytes: int
    ) -> None:
        """Take an iterable; nothing is asked of it yet."""
        self.coming = batches_of((labelled(batch, inputs) for batch in batches), inputs)
        self.inputs, self.limit_bytes = inputs, limit_bytes
        self.has_labels: bool | None = None

    def batches(self, size: int, most: int | None) -> Iterator[Samples]:
        """Samples, `size` at a time, the last ones fewer.

        Args:
            size: How many.
            most: So many altogether, or fewer where there are not so many.

        Raises:
            EpimcError: A batch is no array, or does not fit.
        """
        rest, left = self.next_part(), most
        if rest is None:
            raise error(f"There are no samples in {STREAMED}: the iterable is empty.")
        while rest is not None and left != 0:
            wanted = size if left is None else min(size, left)
            while rest.count < wanted and (more := self.next_part()) is not None:
                rest = together(rest, more)
            part = rest.first(wanted)
            yield part
            left = None if left is None else left - part.count
            rest = behind(rest, part.count) or self.next_part()

    def next_part(self) -> Samples | None:
        """The next of the user's batches, checked; None where there are no more."""
        arrays = next(self.coming, None)
        if arrays is None:
            return None
        if sum(array.nbytes for array in arrays.values()) > self.limit_bytes:
            raise error(f"A batch of {STREAMED} takes more than {self.limit_bytes} bytes.")
        samples = checked_samples(arrays, self.inputs, STREAMED, "")
        has_labels = samples.labels is not None
        if self.has_labels not in (None, has_labels):
            raise error(f"Some batches of {STREAMED} have labels, and some have not.")
        self.has_labels = has_labels
        return samples


def labelled(batch: Any, inputs: Sequence[Shaped]) -> Any:
    """A batch; a pair of samples and their classes, as data loaders give it, by names."""
    if len(inputs) != 1 or not isinstance(batch, tuple | list) or len(batch) != 2:
        return batch
    if not all(map(is_array, batch)):
        return batch
    samples, classes = map(np.asarray, batch)
    is_pair = samples.ndim > classes.ndim == 1 and classes.dtype.kind in "iu"
    return {inputs[0].name: samples, LABELS: classes} if is_pair else batch


def together(first: Samples, second: Samples) -> Samples:
    """Samples one behind the other."""
    inputs = {
        name: np.concatenate([array, second.inputs[name]]) for name, array in first.inputs.items()
    }
    labels = None
    if first.labels is not None and second.labels is not None:
        labels = np.concatenate([first.labels, second.labels])
    return Samples(inputs, labels, "", "")


def behind(samples: Samples, count: int) -> Samples | None:
    """The samples behind the first ones; None where there are no more."""
    if samples.count <= count:
        return None
    inputs = {name: array[count:] for name, array in samples.inputs.items()}
    labels = None if samples.labels is None else samples.labels[count:]
    return Samples(inputs, labels, "", "")
