"""Pools of whole maps."""

from __future__ import annotations

from typing import Any

import numpy as np

from epimc.backends.crossbar.compiled import vectors
from epimc.backends.crossbar.compiled.jit import compiled, inlined
from epimc.ir.semantics.arrays import Array, Ints
from epimc.ir.semantics.windows import Window

pointers, keep = vectors.pointers(), vectors.keeping()

NO_SHARES = np.empty((0, 0), np.int64)


def max_pool(x: Array, window: Window, out: Array) -> None:
    """What `ir.semantics.windows.max_pool` gives, with the channels last.

    Args:
        x: Activations [n, H, W, C].
        window: Strides, pads and dilations.
        out: Of x's type, [n, Hout, Wout, C].
    """
    # Activations are no less.
    out.fill(0)
    maxima(x, numbers_of(window), out)


def sum_pool(
    x: Array, window: Window, zero_point: int, out: Array, shares: Ints = NO_SHARES
) -> None:
    """What `ir.semantics.windows.sum_pool` gives, with the channels last.

    Args:
        x: Activations [n, H, W, C].
        window: Strides, pads and dilations.
        zero_point: Of the activations.
        out: int32 or int64 [n, Hout, Wout, C]; must be wide enough.
        shares: What to multiply the sums of each window by, [Hout, Wout]; of no elements for 1.
    """
    out.fill(0)
    sums(x, numbers_of(window), zero_point, shares, out)


def numbers_of(window: Window) -> tuple[int, ...]:
    """Kernel, strides, first pads and dilations, as kernels take them."""
    return (*window.kernel, *window.strides, *window.pads[:2], *window.dilations)


@inlined
def inside(place: int, stride: int, pad: int, step: int, kernel: int, size: int) -> Any:
    """Along one axis: where a window begins, and which of its elements lie in the map."""
    first = place * stride - pad
    low = max(0, -(first // step))
    high = min(kernel, -((first - size) // step))
    return first, low, max(low, high)


def joining(kind: str) -> Any:
    """What joins the channels of one position to results, by `umax` or `add` (`vectors.folding`).

    Returns:
        For `(source, at, result, place, count)`: so many channels of `source`, from `at` on, join
        those of `result` from `place` on.
    """
    by_64, by_16, by_1 = (vectors.folding(lanes, kind) for lanes in (64, 16, 1))

    @inlined
    def join(source: Any, at: int, result: Any, place: int, count: int) -> None:
        done = 0
        while done < count:
            if count - done >= 64:
                by_64(source, at + done, result, place + done)
                done += 64
            elif count - done >= 16:
                by_16(source, at + done, result, place + done)
                done += 16
            else:
                by_1(source, at + done, result, place + done)
                done += 1

    return join


raise_to, add_to = joining("umax"), joining("add")


@compiled
def maxima(x: Array, numbers: Any, out: Array) -> None:
    """The maxima of windows, `out` where no activation is larger."""
    kh, kw, sy, sx, top, left, dy, dx = numbers
    samples, height, width, channels = x.shape
    source, result = pointers((x, out))
    for sample in range(samples):
        for y in range(out.shape[1]):
            row, above, below = inside(y, sy, top, dy, kh, height)
            for column in range(out.shape[2]):
                begin, left_of, right_of = inside(column, sx, left, dx, kw, width)
                place = ((sample * out.shape[1] + y) * out.shape[2] + column) * channels
                for i in range(above, below):
                    line = (sample * height + row + i * dy) * width + begin
                    for j in range(left_of, right_of):
                        raise_to(source, (line + j * dx) * channels, result, place, channels)
    keep((x, out))


@compiled
def sums(x: Array, numbers: Any, zero_point: int, shares: Ints, out: Array) -> None:
    """The sums of windows, added to `out`, times their shares."""
    kh, kw, sy, sx, top, left, dy, dx = numbers
    samples, height, width, channels = x.shape
    source, result = pointers((x, out))
    for sample in range(samples):
        for y in range(out.shape[1]):
            row, above, below = inside(y, sy, top, dy, kh, height)
            for column in range(out.shape[2]):
                begin, left_of, right_of = inside(column, sx, left, dx, kw, width)
                place = ((sample * out.shape[1] + y) * out.shape[2] + column) * channels
                for i in range(above, below):
                    line = (sample * height + row + i * dy) * width + begin
                    for j in range(left_of, right_of):
                        add_to(source, (line + j * dx) * channels, result, place, channels)
                less = zero_point * (below - above) * (right_of - left_of)
                share = shares[y, column] if shares.size else 1
                for channel in range(place, place + channels):
                    result[channel] = (result[channel] - less) * share
    keep((x, out))
