"""Steps of a plan: what computes one map from others, for a block of samples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from epimc.backends.crossbar.core.program import ELEMENTS, FeatureMap
from epimc.backends.crossbar.instructions.computing import Computing, KernelSetting, RowBlock

Array = NDArray[Any]

Compute = Callable[[Sequence[Array], Array], None]
"""Computes a map from its sources, arrays [samples, H, W, C] all of them, into the last."""


@dataclass(frozen=True)
class Step:
    """One map of a plan.

    Attributes:
        destination: The map that it computes, by number.
        sources: Those that it reads.
        dtype: Of what it computes.
        compute: How.
    """

    destination: int
    sources: tuple[int, ...]
    dtype: np.dtype[Any]
    compute: Compute


def by_rows(table: Computing, setting: KernelSetting) -> Compute:
    """What the rows of a table are computed with, for all of them at once."""
    kernel = table.kernel(setting)
    height = setting.program.maps[table.destination].height

    def compute(sources: Sequence[Array], out: Array) -> None:
        # Kernels have the channels before rows and columns.
        blocks = [RowBlock(0, source.transpose(0, 3, 1, 2)) for source in sources]
        out[...] = kernel(blocks, 0, height).transpose(0, 2, 3, 1)

    return compute


def element_type(feature: FeatureMap) -> np.dtype[Any]:
    """What a map's elements are in a program."""
    return ELEMENTS[feature.element].dtype
