"""What is kept of a batch: for each sample its class and its errors, whatever runs beside it.

A record is arrays with one value for each sample, by name:

    program.class      the class that its first output says; -1: none
    program.classes    among how many; 0: the output is the class itself
    program.rank       how many classes stand before the label's, 0 for a right one; with labels
    program.0.mean     mean of absolute differences of output 0 from the float model's; NaN: nothing
    program.0.max      the largest of them

A program with ADCs of other bits than its target's is `program:6`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from epimc.evaluation.options import FLOAT
from epimc.support.diagnostics import error
from epimc.verification.measures import comparable

Array = NDArray[Any]
Ints = NDArray[np.int64]
Record = dict[str, Array]

WRONG = 2**31
"""The rank of a label where the output is the class itself, and another one."""


def record_of(
    models: Mapping[str, Sequence[Any]], labels: Ints | None, first: int, count: int
) -> Record:
    """The record of a batch.

    Args:
        models: The outputs of each model that is evaluated, by its name.
        labels: Of the samples.
        first: The number of the first sample, from 0.
        count: How many there are.

    Raises:
        EpimcError: There are labels, and outputs that say no class, or not so many.
    """
    record: Record = {}
    for model, outputs in models.items():
        record |= {f"{model}.{key}": array for key, array in chosen(outputs[0], count).items()}
        if labels is not None:
            record[f"{model}.rank"] = ranks(outputs[0], labels, first)
        if model != FLOAT and FLOAT in models:
            for number, (ours, theirs) in enumerate(zip(outputs, models[FLOAT], strict=True)):
                errors = [errors_of(a, b) for a, b in zip(ours, theirs, strict=True)]
                means, largest = zip(*errors, strict=True)
                record[f"{model}.{number}.mean"] = np.array(means, np.float64)
                record[f"{model}.{number}.max"] = np.array(largest, np.float64)
    return record


def scores_of(output: Any) -> Array | None:
    """[samples, classes] of an output that has a number for each class; None of any other."""
    if not isinstance(output, np.ndarray) or output.dtype.kind not in "fiu" or output.ndim < 2:
        return None
    sizes = [size for size in output.shape[1:] if size != 1]
    if len(sizes) != 1:
        return None
    scores: Array = output.reshape(len(output), sizes[0])
    # What is no number stands behind all that are.
    return np.where(np.isnan(scores), -np.inf, scores) if scores.dtype.kind == "f" else scores


def classes_of(output: Any) -> Ints | None:
    """[samples] of an output that is the class itself; None of any other."""
    if not isinstance(output, np.ndarray) or output.dtype.kind not in "iu":
        return None
    return output.reshape(-1).astype(np.int64) if output.size == len(output) else None


def chosen(output: Any, count: int) -> Record:
    """The class that is chosen for each sample, and among how many."""
    scores = scores_of(output)
    if scores is not None:
        winners = scores.argmax(axis=1).astype(np.int64)
        return {"class": winners, "classes": np.full(count, scores.shape[1], np.int64)}
    classes = classes_of(output)
    none = np.full(count, -1, np.int64)
    return {"class": none if classes is None else classes, "classes": np.zeros(count, np.int64)}


def ranks(output: Any, labels: Ints, first: int) -> Ints:
    """How many classes stand before the label's in the order of an output, the first of equals.

    Raises:
        EpimcError: The output says no classes, or there is no class of a label.
    """
    classes = classes_of(output)
    if classes is not None:
        return np.where(classes == labels, 0, WRONG).astype(np.int64)
    scores = scores_of(output)
    if scores is None:
        raise error(
            "The first output of the model gives no classes, of which there are labels.",
            hint="Leave out the labels.",
        )
    count = scores.shape[1]
    wrong = (labels < 0) | (labels >= count)
    if wrong.any():
        place = int(np.argmax(wrong))
        raise error(
            f"Label {labels[place]} of sample {first + place} is none of the model's {count} "
            "classes, which count from 0."
        )
    right = np.take_along_axis(scores, labels[:, np.newaxis], axis=1)
    before = np.arange(count) < labels[:, np.newaxis]
    ahead: NDArray[np.bool_] = (scores > right) | ((scores == right) & before)
    counts: Ints = ahead.sum(axis=1, dtype=np.int64)
    return counts


def errors_of(ours: Any, theirs: Any) -> tuple[float, float]:
    """Mean and largest absolute difference of two values of one sample; NaN: nothing to compare."""
    pair = comparable(ours, theirs)
    if pair is None:
        return float("nan"), float("nan")
    if not pair[0].size:
        return 0.0, 0.0
    # One sample by itself: numpy sums rows of several samples in an order of its own.
    differences = np.abs(pair[0] - pair[1])
    if not np.isfinite(differences).all():
        return float("inf"), float("inf")
    return float(differences.mean()), float(differences.max())


def columns(models: Sequence[str], outputs: int, *, labelled: bool) -> dict[str, str]:
    """The names of all arrays of a record, with the kinds of their numbers.

    Args:
        models: What is evaluated.
        outputs: How many the program has.
        labelled: Whether there are labels.
    """
    names: dict[str, str] = {}
    for model in models:
        names |= {f"{model}.class": "int64", f"{model}.classes": "int64"}
        if labelled:
            names[f"{model}.rank"] = "int64"
        if model != FLOAT and FLOAT in models:
            for number in range(outputs):
                names |= {f"{model}.{number}.mean": "float64", f"{model}.{number}.max": "float64"}
    return names
