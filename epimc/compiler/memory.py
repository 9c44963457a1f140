"""What Python users pass in memory, in the place of files; light, so that loading needs no ONNX."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import ArrayLike

    from epimc.frontend import ModelSource
    from epimc.samples.sample_arrays import SampleSource


@dataclass(frozen=True)
class InMemory:
    """What is passed in memory, in the place of files that a request would name.

    Attributes:
        model: The model; None: the request's file.
        example: Inputs to export a model of PyTorch with.
        calibration: Samples; None: the request's file, or standard normal ones.
        constants: What inputs are fixed to, beside those of the request.
        first: How many of the samples are taken; None: all.
    """

    model: ModelSource | None = None
    example: object = None
    calibration: SampleSource | None = None
    constants: Mapping[str, ArrayLike | Path] = field(default_factory=dict)
    first: int | None = None


NOTHING = InMemory()
"""All of it in files."""
