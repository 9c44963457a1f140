"""Windows that slide over a map, and pools."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from epimc.ir.semantics.arrays import Array, Ints

Sides = tuple[int, int, int, int]
"""(top, left, bottom, right)."""

# So large may the common multiple of the counts of windows be: the means, of 8 bits more, leave a
# requantization its 16 bits.
MAXIMUM_SHARE = 2**32


@dataclass(frozen=True)
class Window:
    """The geometry of a sliding window over [C, H, W].

    Attributes:
        kernel: (height, width).
        strides: (vertical, horizontal).
        pads: (top, left, bottom, right).
        dilations: (vertical, horizontal).
    """

    kernel: tuple[int, int]
    strides: tuple[int, int] = (1, 1)
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilations: tuple[int, int] = (1, 1)

    def extent(self, axis: int) -> int:
        """Rows (axis 0) or columns (axis 1) that one window spans, dilation included."""
        return (self.kernel[axis] - 1) * self.dilations[axis] + 1

    def output_size(self, size: int, axis: int) -> int:
        """Output rows or columns for `size` input rows or columns; may be below 1."""
        padded = size + self.pads[axis] + self.pads[axis + 2]
        return (padded - self.extent(axis)) // self.strides[axis] + 1

    def rows(self, y: int, height: int) -> range:
        """The input rows inside the image that output row `y` reads, ascending."""
        first, step = y * self.strides[0] - self.pads[0], self.dilations[0]
        # Steps to the first row at or below the top, and to the first one below the bottom.
        above, below = max(-(first // step), 0), -((first - height) // step)
        return range(first + above * step, first + min(below, self.kernel[0]) * step, step)


def gather(x: Array, window: Window, fill: float, row: int, count: int) -> Array:
    """The windows of output rows row..row+count-1, as [batch, C, Kh, Kw, count, Wout].

    A read outside the image delivers `fill`.  `x` is [batch, C, H, W].
    """
    (kh, kw), (sy, sx), (dy, dx) = window.kernel, window.strides, window.dilations
    top, left, _, right = window.pads
    batch, channels, height, width = x.shape
    out_width = window.output_size(width, 1)
    first = row * sy - top
    span = (count - 1) * sy + window.extent(0)
    padded = np.full((batch, channels, span, width + left + right), fill, x.dtype)
    begin, end = max(first, 0), min(first + span, height)
    # Rows that lie in the padding altogether have nothing to copy.
    if begin < end:
        padded[:, :, begin - first : end - first, left : left + width] = x[:, :, begin:end]
    b, c, r, w = padded.strides
    return np.lib.stride_tricks.as_strided(
        padded,
        (batch, channels, kh, kw, count, out_width),
        # Windows overlap in memory: that is why the view must not be written to.
        (b, c, r * dy, w * dx, r * sy, w * sx),
        writeable=False,
    )


def max_pool(x: Ints, window: Window) -> Ints:
    """Maximum of each window; reads outside the image never win.  Activations are >= 0."""
    height = window.output_size(x.shape[2], 0)
    result: Ints = gather(x, window, -1, 0, height).max(axis=(2, 3))
    return result


def sum_pool(x: Ints, window: Window, zero_point: int, counted: Sides | None = None) -> Ints:
    """Accumulators: the sum over each window of q - zero_point, zero outside the image.

    With `counted` each sum is multiplied by its window's share (`window_shares`).
    """
    height = window.output_size(x.shape[2], 0)
    total: Ints = gather(x - zero_point, window, 0, 0, height).sum(axis=(2, 3))
    if counted is not None:
        total *= window_shares(window, counted, x.shape[2:])[1]
    return total


def window_counts(window: Window, counted: Sides, size: tuple[int, ...]) -> Ints:
    """How many elements of each window lie in a map [height, width] or in its counted padding.

    Args:
        window: Slides over the map with all of its padding.
        counted: How much of the padding counts: (top, left, bottom, right).
        size: (height, width) of the map.

    Returns:
        int64 [Hout, Wout].
    """
    numbers = []
    for axis in (0, 1):
        first = np.arange(window.output_size(size[axis], axis)) * window.strides[axis]
        steps = np.arange(window.kernel[axis]) * window.dilations[axis]
        read = first[:, None] + steps - window.pads[axis]
        inside = (read >= -counted[axis]) & (read < size[axis] + counted[axis + 2])
        numbers.append(inside.sum(axis=1))
    return np.outer(numbers[0], numbers[1])


def window_shares(window: Window, counted: Sides, size: tuple[int, ...]) -> tuple[int, Ints]:
    """The least common multiple of all counts, and what it is of each window's, [Hout, Wout].

    Means over windows of different counts so become integers of one step: sum * share is the mean
    times the multiple.

    Raises:
        ValueError: A window counts nothing, or the multiple exceeds MAXIMUM_SHARE.
    """
    counts = window_counts(window, counted, size)
    if not counts.all():
        raise ValueError("a window of nothing but padding has no mean")
    multiple = math.lcm(*np.unique(counts).tolist())
    if multiple > MAXIMUM_SHARE:
        raise ValueError("the counts of the windows have too large a common multiple")
    return multiple, multiple // counts
