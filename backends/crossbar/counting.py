"""Counting crossbars from shapes alone: the rules of the field, and what a mapping really takes.

Sources: `packed` is the rule behind the baselines of EPIM (arXiv 2311.07620, table 1: 13,120
crossbars for ResNet-50); `mnsim` is what the released MNSIM 2.0 prints (a whole array a bit plane).
Both count one polarity.
"""

from __future__ import annotations

from dataclasses import dataclass

from epimc.ir import integers


@dataclass(frozen=True)
class Geometry:
    """What counting needs to know of a crossbar.

    Attributes:
        rows: Word lines.
        columns: Bit lines.
        cell_bits: Bits of a cell.
        mapping: How signs become cells.
    """

    rows: int
    columns: int
    cell_bits: int
    mapping: str


@dataclass(frozen=True)
class Matrix:
    """A layer's weights, or its epitome, as a crossbar sees them.

    Attributes:
        columns: Cout, or Eo.
        channels: Cin, or Ei.
        kernel: Kh * Kw, or Eh * Ew: rows a channel.
    """

    columns: int
    channels: int
    kernel: int

    @property
    def cells(self) -> int:
        """Weights."""
        return self.columns * self.channels * self.kernel


def block_rows(matrix: Matrix, geometry: Geometry) -> int:
    """Rows that an array takes: whole channels, or all its word lines where no channel fits."""
    return geometry.rows // matrix.kernel * matrix.kernel or geometry.rows


def row_blocks(matrix: Matrix, geometry: Geometry) -> int:
    """Arrays that the rows take."""
    return -(-matrix.channels * matrix.kernel // block_rows(matrix, geometry))


def packed(matrix: Matrix, bits: int, geometry: Geometry) -> int:
    """Rule `packed`: bit slices side by side, a column may straddle two arrays."""
    slices = -(-bits // geometry.cell_bits)
    return row_blocks(matrix, geometry) * -(-matrix.columns * slices // geometry.columns)


def mnsim(matrix: Matrix, bits: int, geometry: Geometry) -> int:
    """Rule `mnsim`: every bit slice has arrays of its own."""
    slices = -(-bits // geometry.cell_bits)
    return row_blocks(matrix, geometry) * -(-matrix.columns // geometry.columns) * slices


def physical_columns(columns: int, bits: int, geometry: Geometry) -> int:
    """Bit lines that a mapping really takes: all slices, and the reference column of `offset`."""
    slices = len(integers.slice_coefficients(geometry.mapping, bits, geometry.cell_bits))
    reference = integers.reference_coefficient(geometry.mapping, bits) != 0
    return columns * slices + reference


def mapped(matrix: Matrix, bits: int, geometry: Geometry) -> int:
    """Arrays that the mapping really takes; signs cost cells."""
    columns = physical_columns(matrix.columns, bits, geometry)
    return row_blocks(matrix, geometry) * -(-columns // geometry.columns)
