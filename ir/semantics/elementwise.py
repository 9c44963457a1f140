"""What is computed for each element: products of two activations, and look-ups of one."""

from __future__ import annotations

import numpy as np

from epimc.ir.semantics.arrays import Ints


def multiply(a: Ints, b: Ints, zero_points: tuple[int, int]) -> Ints:
    """Accumulators (a - its zero point) * (b - its zero point); sizes of 1 in `b` are repeated."""
    product: Ints = (a - zero_points[0]) * (b - zero_points[1])
    return product


def lookup(q: Ints, table: Ints) -> Ints:
    """table[q], or table[c, q] in channel c.

    Args:
        q: Activations [batch, C, ...].
        table: [1, 2^bits] for all channels, or [C, 2^bits].
    """
    channels = np.arange(len(table)).reshape((1, -1) + (1,) * (q.ndim - 2))
    result: Ints = table[channels, q]
    return result
