"""Maps computed element by element: look-ups and products."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from epimc.backends.crossbar.compiled.jit import compiled

Array = NDArray[Any]


def lookup(x: Array, table: Array, out: Array) -> None:
    """What `ir.semantics.elementwise.lookup` gives, with the channels last.

    Args:
        x: Activations [n, H, W, C].
        table: [1, 2^bits], or a row for each channel, of out's type.
        out: [n, H, W, C].
    """
    if len(table) == 1:
        # Not "raise", which would have a copy: the checker has seen that all indices are there.
        np.take(table[0], x, out=out, mode="clip")
        return
    channels = x.shape[3]
    _by_channel(x.reshape(-1, channels), table, out.reshape(-1, channels))


@compiled
def _by_channel(x: Array, table: Array, out: Array) -> None:
    for place in range(x.shape[0]):
        for c in range(x.shape[1]):
            out[place, c] = table[c, x[place, c]]


def multiply(a: Array, b: Array, zero_points: tuple[int, int], out: Array) -> None:
    """What `ir.semantics.elementwise.multiply` gives, with the channels last.

    Args:
        a: Activations [n, H, W, C].
        b: Of the same shape, or [n, 1, 1, C].
        zero_points: Of both.
        out: int32 or int64 [n, H, W, C].
    """
    samples, channels = len(a), a.shape[3]
    factors = (samples, -1, channels)
    _multiply(a.reshape(factors), b.reshape(factors), *zero_points, out.reshape(factors))


@compiled
def _multiply(a: Array, b: Array, a_zero: int, b_zero: int, out: Array) -> None:
    for n in range(a.shape[0]):
        for place in range(a.shape[1]):
            other = place if b.shape[1] > 1 else 0
            for c in range(a.shape[2]):
                out[n, place, c] = (a[n, place, c] - a_zero) * (b[n, other, c] - b_zero)
