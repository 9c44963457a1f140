"""An instruction that epimc does not have, in a file of its own, and all there is to know of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np

from epimc.backends.crossbar.counts import Counts
from epimc.backends.crossbar.instructions.computing import Block, Computing, Data, Kernel, Setting
from epimc.backends.crossbar.instructions.table import OneSource, Stored, TableCheck
from epimc.backends.crossbar.limits import Activation, Index
from epimc.backends.crossbar.program import Maps, Program
from epimc.ir.integers import Ints


@dataclass(frozen=True, eq=False)
class Trail(OneSource, Computing):
    """Adds to each activation a part of the one above it, and the step of its channel.

    min(q[y] + q[y - 1] // 2 + steps[c], highest); above the first row lies nothing.

    Attributes:
        source: Feature map read (activations).
        destination: Feature map written, of the same shape.
        steps: [C].
        highest: The largest result.
    """

    code = 99

    source: Index
    destination: Index
    steps: Annotated[Ints, Stored(np.int16)]
    highest: Activation
    type: Literal["trail"] = "trail"

    def rows(self, maps: Maps, y: int) -> Sequence[Sequence[int]]:
        """The row and the one above it."""
        return [[row for row in (y - 1, y) if row >= 0]]

    def kernel(self, setting: Setting) -> Kernel:
        """On all rows at once."""

        def trailed(blocks: list[Block], first: int, end: int) -> Data:
            start, data = blocks[0]
            q = data.astype(np.int64)
            if start == first:
                q = np.concatenate([np.zeros_like(q[:, :, :1]), q], axis=2)
            total = q[:, :, 1:] + q[:, :, :-1] // 2 + self.steps.reshape(1, -1, 1, 1)
            result: Data = np.minimum(total, self.highest)
            return result

        return trailed

    def check(self, check: TableCheck) -> None:
        """Shapes, and results that are activations."""
        check.require_same_shape(check.sources)
        shape = (check.target.channels,)
        if check.require(self.steps.shape == shape, f"Its steps must be {list(shape)}."):
            check.require(bool((self.steps >= 0).all()), "A step is negative.")
        check.require(self.highest < 2**check.target.bits, f"{self.highest} is no activation.")

    def position_events(self, program: Program) -> Counts:
        """An addition for every channel."""
        return Counts(multiply_adds=program.maps[self.destination].channels)
