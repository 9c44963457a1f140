"""Samples of any type: as users have them, together, and as onnxruntime takes them, one by one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from epimc.support.port_types import PortType


def count_of(inputs: Mapping[str, Any]) -> int:
    """How many samples there are; one where there are no inputs."""
    return len(next(iter(inputs.values()), [None]))


def apart(kind: PortType, samples: Any) -> Sequence[Any]:
    """A value for each sample, as the model takes it.

    Args:
        kind: Of the input.
        samples: [samples, *dims], or a sequence of values that are no tensors.
    """
    if not isinstance(samples, np.ndarray) or not kind.samples_first:
        return list(samples)
    # Axis 0 of the model counts samples as well.
    return [samples[number : number + 1] for number in range(len(samples))]


def joined(kind: PortType, values: Sequence[Any]) -> Any:
    """The inverse: [samples, *dims], or a list where the values have different shapes, or none.

    Args:
        kind: Of the output.
        values: One for each sample, as the model gives them.
    """
    if not all(isinstance(value, np.ndarray) for value in values):
        return list(values)
    if len({value.shape for value in values}) > 1:
        return list(values)
    return np.concatenate(values) if kind.samples_first else np.stack(values)
