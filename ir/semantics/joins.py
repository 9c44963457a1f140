"""What joins maps to others, or to zeros."""

from __future__ import annotations

import numpy as np

from epimc.ir.semantics.arrays import Array


def concat(parts: list[Array], axis: int = 0) -> Array:
    """Maps or vectors [batch, C, ...], one behind the other along a dim of the sample."""
    return np.concatenate(parts, axis=axis + 1)


def pad(
    q: Array, channels: tuple[int, int], pads: tuple[int, int, int, int], zero_point: float
) -> Array:
    """[batch, C, H, W] with channels (before, after) and pads (top, left, bottom, right) of 0."""
    top, left, bottom, right = pads
    width = ((0, 0), channels, (top, bottom), (left, right))
    return np.pad(q, width, constant_values=zero_point)
