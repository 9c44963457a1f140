"""Rules that ops of several dialects keep: each raises IrError unless it holds."""

from __future__ import annotations

import math

import numpy as np

from epimc.ir.core.attributes import Ref
from epimc.ir.core.op import Stored
from epimc.ir.core.types import IrError, as_map, expect
from epimc.ir.semantics.arrays import pieces
from epimc.ir.semantics.windows import Sides, Window, common_multiple
from epimc.support.limits import LARGEST_WINDOW, LARGEST_WORK

# A padded map is an array of its own.
LARGEST_PADDED = 2**28


def check_groups(groups: int, inputs: int, taken: int, outputs: int) -> None:
    """Weights [outputs, taken, …] fit `inputs` channels in so many groups."""
    expect(groups >= 1, "there must be at least one group")
    expect(inputs == taken * groups, f"the weights take {taken * groups} input channels")
    expect(outputs % groups == 0, f"{outputs} outputs are not divisible into {groups} groups")


def check_bias(bias: Ref | None, stored: Stored, channels: int) -> None:
    """A bias, where there is one, has one value an output channel."""
    expect(
        bias is None or stored(bias).shape == (channels,), f"the bias must hold {channels} values"
    )


def window_shape(shape: tuple[int, ...], channels: int, window: Window) -> tuple[int, int, int]:
    """Result shape of a sliding window with `channels` outputs over a map [C, H, W].

    Raises:
        IrError: The window does not fit into the padded map, or is larger than any may be.
    """
    _, height, width = as_map(shape)
    # A vector is a map of 1 by 1.
    size = window.output_size(height, 0), window.output_size(width, 1)
    if min(size) < 1:
        raise IrError(f"a window of {list(window.kernel)} does not fit into {list(shape)}")
    expect(
        window.padded(as_map(shape)) <= LARGEST_PADDED,
        f"the padded map has more than {LARGEST_PADDED} elements",
    )
    longest = max(window.kernel)
    expect(longest <= LARGEST_WINDOW, f"a window of {longest} is more than {LARGEST_WINDOW}")
    return (channels, *size)


def expect_little_work(channels: int, result: tuple[int, ...], window: Window) -> None:
    """All windows together read no more than LARGEST_WORK elements of a map with so many channels.

    The result is [..., Hout, Wout].
    """
    visits = channels * math.prod(result[1:]) * math.prod(window.kernel)
    expect(
        visits <= LARGEST_WORK,
        f"its windows read {visits} elements of one sample, more than {LARGEST_WORK}",
    )


def expect_inside(window: Window) -> None:
    """Every window reads at least one element of the image, as far as its pads tell."""
    extents = window.extent(0), window.extent(1)
    inside = all(p < e for p, e in zip(window.pads, extents * 2, strict=True))
    expect(inside, "a pad as large as the window would make a window of nothing but padding")


def expect_maxima(shape: tuple[int, ...], window: Window) -> None:
    """Every window has a maximum, and onnxruntime, which refuses more padding, agrees to it."""
    inside = all(p < k for p, k in zip(window.pads, window.kernel * 2, strict=True))
    expect(inside, "the pads of a maximum must be smaller than its kernel")
    for axis, size in enumerate(shape[1:]):
        for part in pieces(window.output_size(size, axis), 1):
            places = np.arange(part.start, part.stop, dtype=np.int64)
            first = places * window.strides[axis] - window.pads[axis]
            full = (window.inside(axis, first, 0, size) > 0).all()
            expect(bool(full), "the dilations would make a window of nothing but padding")


def check_counted(counted: Sides | None, window: Window, shape: tuple[int, ...]) -> None:
    """The padding that counts is padding, and the means are integers of one step."""
    if counted is None:
        return
    inside = all(0 <= some <= every for some, every in zip(counted, window.pads, strict=True))
    expect(inside, "more padding counts than there is")
    try:
        common_multiple(window, counted, shape[1:])
    except ValueError as problem:
        raise IrError(str(problem)) from None
