"""The part of a layer on the crossbars of one tile, and how its epitome lies in their arrays.

Epitome columns stand side by side in packs, each as its bit slices; `core/rounds.py` says which
physical column is which.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from epimc.backends.crossbar.core.rounds import Array, Round
from epimc.ir.semantics import cells, windows
from epimc.ir.semantics.arrays import Ints


class LayerPart(Protocol):
    """What kernels need to know of a layer's part on one tile; a table of `mvm` is one."""

    @property
    def window(self) -> windows.Window:
        """Kernel, strides, pads and dilations of the convolution."""

    @property
    def weights(self) -> NDArray[Any]:
        """Integers [groups * rows, Eo]: the epitome of all the layer, not of the part alone."""

    @property
    def weight_bits(self) -> int:
        """Bits of a weight, its sign included."""

    @property
    def mapping(self) -> str:
        """How signs become cells, one of `cells.MAPPINGS`."""

    @property
    def cell_bits(self) -> int:
        """Bits that one cell stores."""

    @property
    def rounds(self) -> tuple[Round, ...]:
        """The activation rounds in their order."""

    @property
    def arrays(self) -> tuple[Array, ...]:
        """The crossbars of the part."""

    @property
    def corrections(self) -> Ints:
        """Sums of driven levels, int64 [rounds, sum of array columns]."""

    @property
    def bias(self) -> Ints:
        """What is added at every position, int64 [Cout]."""

    @property
    def adc_step(self) -> int:
        """What one code of the ADCs stands for."""

    @property
    def groups(self) -> int:
        """Groups of the convolution."""

    @property
    def pack(self) -> int:
        """Groups that share an array."""


@dataclass(frozen=True)
class Pack:
    """The pack that an array lies in.

    Attributes:
        group: Its first group.
        groups: How many it has.
        row: Its first epitome row.
        rows: Its epitome rows.
        column: Its first physical column.
        columns: Its physical columns.
        sliced: Those of them that hold weights; the others are a reference column or none.
        slices: Bit slices of an epitome column.
        epitome: Its epitome columns, as the OFAT counts them.
    """

    group: int
    groups: int
    row: int
    rows: int
    column: int
    columns: int
    sliced: int
    slices: int
    epitome: slice


def pack_at(part: LayerPart, row: int) -> Pack:
    """The pack that holds an epitome row."""
    slices = len(cells.slice_coefficients(part.mapping, part.weight_bits, part.cell_bits))
    reference = int(part.mapping == "offset")
    height, width = len(part.weights) // part.groups, int(part.weights.shape[1])
    # Packs are of equal size but for the last, so that the row alone says which one it is in.
    number = row // (height * part.pack)
    group = number * part.pack
    groups = min(part.pack, part.groups - group)
    return Pack(
        group=group,
        groups=groups,
        row=group * height,
        rows=groups * height,
        column=group * width * slices + number * reference,
        columns=groups * width * slices + reference,
        sliced=groups * width * slices,
        slices=slices,
        epitome=slice(group * width, (group + groups) * width),
    )


def epitome_columns(part: LayerPart) -> int:
    """Epitome columns of all groups."""
    return int(part.weights.shape[1]) * part.groups


def physical_columns(part: LayerPart) -> int:
    """Bit lines of all packs: the slices of their columns and, for `offset`, the references."""
    last = pack_at(part, len(part.weights) - 1)
    return last.column + last.columns


def column_places(part: LayerPart) -> Ints:
    """The epitome column, as the OFAT counts them, that each physical column is a slice of.

    Returns:
        int64 [physical columns]; -1 for reference columns.
    """
    height = len(part.weights) // part.groups * part.pack
    parts = []
    for row in range(0, len(part.weights), height):
        pack = pack_at(part, row)
        parts.append(np.repeat(np.arange(pack.epitome.start, pack.epitome.stop), pack.slices))
        parts.append(np.full(pack.columns - pack.sliced, -1))
    return np.concatenate(parts)
