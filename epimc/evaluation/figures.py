"""Figures of all samples together: of integers and of exact sums, so that no order changes them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from epimc.evaluation.options import FLOAT, Model
from epimc.evaluation.records import Record
from epimc.evaluation.results import EvaluatedModel, EvaluateResult, OutputError, Rate

# Of the normal distribution, 95 % lie within so many standard deviations.
DEVIATIONS = 1.959963984540054

TOP = 5


def result_of(
    record: Record, models: Sequence[Model], outputs: Sequence[str], *, classes: bool
) -> EvaluateResult:
    """What the records of all batches come to.

    Args:
        record: One behind the other, in the order of the samples.
        models: What was evaluated.
        outputs: The names of the program's outputs.
        classes: Whether outputs are choices of classes, though there are no labels.
    """
    first = models[0].key
    labelled = f"{first}.rank" in record
    return EvaluateResult(
        samples=len(record[f"{first}.class"]),
        labelled=labelled,
        models=tuple(
            model_of(record, model, outputs, classes=labelled or classes) for model in models
        ),
    )


def model_of(
    record: Record, model: Model, outputs: Sequence[str], *, classes: bool
) -> EvaluatedModel:
    """The figures of one model; arguments as `result_of`."""
    key = model.key
    ranks, top1, top5, agreement = record.get(f"{key}.rank"), None, None, None
    if ranks is not None:
        top1 = rate_of(ranks == 0)
        top5 = rate_of(ranks < TOP) if record[f"{key}.classes"].min() > TOP else None
    if classes and key != FLOAT and f"{FLOAT}.class" in record:
        ours, theirs = record[f"{key}.class"], record[f"{FLOAT}.class"]
        agreement = rate_of(ours == theirs) if (theirs >= 0).all() else None
    errors = [
        error_of(name, record[f"{key}.{place}.mean"], record[f"{key}.{place}.max"])
        for place, name in enumerate(outputs)
        if f"{key}.{place}.mean" in record
    ]
    return EvaluatedModel(model.name, model.adc_bits, top1, top5, agreement, tuple(errors))


def rate_of(right: NDArray[np.bool_]) -> Rate:
    """A share of samples, with its interval."""
    return wilson(int(np.count_nonzero(right)), len(right))


def wilson(right: int, count: int) -> Rate:
    """The share of so many of a count, at least 1, with the interval of Wilson (1927).

    It stays within 0 and 1, and is right for shares near them too.
    """
    share, square = right / count, DEVIATIONS**2
    centre = (share + square / (2 * count)) / (1 + square / count)
    spread = math.sqrt(share * (1 - share) / count + square / (4 * count**2))
    half = DEVIATIONS * spread / (1 + square / count)
    return Rate(share, max(0.0, centre - half), min(1.0, centre + half))


def error_of(name: str, means: NDArray[np.float64], largest: NDArray[np.float64]) -> OutputError:
    """The errors of an output over all samples."""
    if not (np.isfinite(means).all() and np.isfinite(largest).all()):
        return OutputError(name, None, None, None, None)
    count = len(means)
    # Exact sums, rounded once.
    mean = math.fsum(means) / count
    low = high = None
    if count > 1:
        squares = math.fsum((value - mean) ** 2 for value in means.tolist())
        half = DEVIATIONS * math.sqrt(squares / (count - 1) / count)
        low, high = mean - half, mean + half
    return OutputError(name, mean, low, high, float(largest.max()))
