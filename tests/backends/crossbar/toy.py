"""An instruction that epimc does not have, in a file of its own, and all there is to know of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np

from epimc.backends.crossbar.core.counts import Counts
from epimc.backends.crossbar.core.limits import Activation, Index
from epimc.backends.crossbar.core.program import Maps, Program
from epimc.backends.crossbar.instructions.computing import (
    Computing,
    Data,
    Kernel,
    KernelSetting,
    RowBlock,
)
from epimc.backends.crossbar.instructions.table import OneSource, Stored, TableCheck
from epimc.backends.forms.claims import INT64, UINT8, Claim, Node, Tensor, channelwise, constant
from epimc.ir.semantics.arrays import Ints


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

    def kernel(self, setting: KernelSetting) -> Kernel:
        """On all rows at once."""

        def trailed(blocks: list[RowBlock], first: int, end: int) -> Data:
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

    def claims(self, program: Program) -> Iterator[Claim]:
        """The same in ONNX's operators."""
        target, source = program.maps[self.destination], program.maps[self.source].name

        def part(role: str) -> Tensor:
            return Tensor(target.name, role)

        for role, numbers in (
            ("pads", [0, 0, 1, 0, 0, 0, 0, 0]),
            ("first", [0]),
            ("end", [target.height]),
            ("axis", [2]),
            ("two", 2),
            ("highest", self.highest),
        ):
            yield constant(part(role), numbers)
        yield constant(part("steps"), channelwise(self.steps))
        yield Node(part("wide"), "Cast", (Tensor(source),), {"to": INT64})
        yield Node(part("padded"), "Pad", (part("wide"), part("pads")), {"mode": "constant"})
        bounds = part("first"), part("end"), part("axis")
        yield Node(part("above"), "Slice", (part("padded"), *bounds))
        yield Node(part("halved"), "Div", (part("above"), part("two")))
        yield Node(part("sum"), "Add", (part("wide"), part("halved")))
        yield Node(part("total"), "Add", (part("sum"), part("steps")))
        yield Node(part("least"), "Min", (part("total"), part("highest")))
        yield Node(Tensor(target.name), "Cast", (part("least"),), {"to": UINT8})

    def position_events(self, program: Program) -> Counts:
        """An addition for every channel."""
        return Counts(multiply_adds=program.maps[self.destination].channels)
