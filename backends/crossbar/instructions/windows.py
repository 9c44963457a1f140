"""What instructions share that slide a window over their source."""

from __future__ import annotations

import math
from dataclasses import fields, replace
from typing import Annotated

import numpy as np
from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

from epimc.backends.crossbar.core.program import ELEMENTS, FeatureMap
from epimc.backends.crossbar.instructions.computing import Data, RowBlock
from epimc.backends.crossbar.instructions.table import TableCheck
from epimc.ir.semantics import windows
from epimc.support.limits import LARGEST_WINDOW


def sane(window: windows.Window) -> windows.Window:
    """The window of a file, if its sizes are sane.

    Raises:
        PydanticCustomError: One is not.
    """
    for field in fields(window):
        least = int(field.name != "pads")
        for k, size in enumerate(getattr(window, field.name)):
            if not least <= size <= LARGEST_WINDOW:
                text = f"its {field.name}[{k}] = {size} lies outside [{least}, {LARGEST_WINDOW}]"
                raise PydanticCustomError("window", text)
    return window


SaneWindow = Annotated[windows.Window, AfterValidator(sane)]


class Windows:
    """Gathers the windows of output rows from the rows of a source."""

    def __init__(self, window: windows.Window) -> None:
        self.window = window
        self._shifted: dict[int, windows.Window] = {}

    def gather(self, block: RowBlock, fill: int, first: int, end: int) -> Data:
        """The windows [batch, C, Kh, Kw, end - first, W] of output rows; outside lies `fill`."""
        above = block.first - (first * self.window.strides[0] - self.window.pads[0])
        window = self._shifted.get(above)
        if window is None:
            # The block is all there is of the source: what lies above it is padding, or not read.
            window = replace(self.window, pads=(above, *self.window.pads[1:]))
            self._shifted[above] = window
        return windows.gather(block.data, window, fill, 0, end - first)


def window_elements(window: windows.Window, source: FeatureMap, y: int) -> int:
    """Elements of one channel that the windows of output row `y` read inside the image."""
    count = window.output_size(source.width, 1)
    first = np.arange(count) * window.strides[1] - window.pads[1]
    columns = int(window.inside(1, first, 0, source.width).sum())
    return len(window.rows(y, source.height)) * columns


def window_bytes(window: windows.Window, source: FeatureMap, channels: int) -> int:
    """Bytes of a window over some channels."""
    return channels * math.prod(window.kernel) * ELEMENTS[source.element].size


def check_window(check: TableCheck, window: windows.Window) -> bool:
    """Whether the window is sensible and makes the destination's height and width."""
    (source,) = check.sources
    target = check.target
    positive = min(*window.kernel, *window.strides, *window.dilations) >= 1
    if not check.require(
        positive and min(window.pads) >= 0, "Its window has a size that is too small."
    ):
        return False
    size = [window.output_size(side, axis) for axis, side in enumerate(source.dims[1:])]
    wanted = [target.height, target.width]
    return check.require(size == wanted, f"Its window makes rows and columns {size}, not {wanted}.")
