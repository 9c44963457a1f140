"""Counting crossbars from shapes alone: the rules of the field, and what a mapping really takes.

Sources: `packed` is the rule behind the baselines of EPIM (arXiv 2311.07620, table 1: 13,120
crossbars for ResNet-50); `mnsim` is what the released MNSIM 2.0 prints (a whole array a bit plane).
Both count one polarity.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from epimc.backends.crossbar.target.schema import Crossbar
from epimc.ir.semantics.cells import has_weights, reference_coefficient, slice_coefficients
from epimc.support.diagnostics import error


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
    """A layer's weights, or its epitome, as a crossbar sees them: a matrix for every group.

    Attributes:
        columns: Cout / groups, or Eo.
        channels: Cin / groups, or Ei.
        kernel: Kh * Kw, or Eh * Ew: rows a channel.
        groups: Of a convolution in groups.
    """

    columns: int
    channels: int
    kernel: int
    groups: int = 1

    @property
    def rows(self) -> int:
        """Word lines that one group takes: Cin / groups * Kh * Kw, or Ei * Eh * Ew."""
        return self.channels * self.kernel

    @property
    def cells(self) -> int:
        """Weights of all groups."""
        return self.columns * self.rows * self.groups


def geometry_of(crossbar: Crossbar) -> Geometry:
    """What counting needs to know of a target's crossbar."""
    return Geometry(crossbar.rows, crossbar.columns, crossbar.cell_bits, crossbar.mapping)


def refuse_mapping(mapping: str, bits: int, where: str = "") -> None:
    """Raise EpimcError where a mapping has no weights of so many bits.

    Args:
        mapping: The target's.
        bits: Of a weight.
        where: The layer, in words.
    """
    if not has_weights(mapping, bits):
        raise error(
            f"Mapping '{mapping}' has no weights of {bits} bit: a sign alone is -1 or 0.",
            where=where,
            hint="Take 2 bits, or a target whose crossbar.mapping is offset or differential.",
        )


def matrix_of(shape: tuple[int, int, int, int], groups: int) -> Matrix:
    """Weights or an epitome, each of all groups, as a crossbar sees them."""
    columns, channels, kh, kw = shape
    return Matrix(columns // groups, channels, kh * kw, groups)


def block_rows(matrix: Matrix, geometry: Geometry) -> int:
    """Rows that an array takes: whole channels, or all its word lines where no channel fits."""
    return geometry.rows // matrix.kernel * matrix.kernel or geometry.rows


def row_blocks(matrix: Matrix, geometry: Geometry) -> int:
    """Arrays that the rows take."""
    return -(-matrix.rows // block_rows(matrix, geometry))


def fitting(matrix: Matrix, columns: int, geometry: Geometry) -> int:
    """Groups of so many bit lines each that fit into an array block-diagonally; 0 when none does.

    Args:
        matrix: The layer.
        columns: Bit lines of one group.
        geometry: The array; a reference column is not counted.
    """
    return min(geometry.rows // matrix.rows, geometry.columns // columns, matrix.groups)


def arrays_of(matrix: Matrix, columns: int, geometry: Geometry) -> int:
    """Arrays of all groups, of so many bit lines each: groups share an array, or have several."""
    # A layer without groups that fits into an array is the case of one group: one array.
    if shared := fitting(matrix, columns, geometry):
        return -(-matrix.groups // shared)
    return matrix.groups * row_blocks(matrix, geometry) * -(-columns // geometry.columns)


def packed(matrix: Matrix, bits: int, geometry: Geometry) -> int:
    """Rule `packed`: bit slices side by side, a column may straddle two arrays."""
    slices = -(-bits // geometry.cell_bits)
    return arrays_of(matrix, matrix.columns * slices, geometry)


def mnsim(matrix: Matrix, bits: int, geometry: Geometry) -> int:
    """Rule `mnsim`: every bit slice has arrays of its own.

    The rule says nothing of groups: as in `packed`, they share arrays.
    """
    slices = -(-bits // geometry.cell_bits)
    return arrays_of(matrix, matrix.columns, geometry) * slices


def pack_groups(matrix: Matrix, bits: int, geometry: Geometry) -> int:
    """Groups that a mapping puts into one array, block-diagonally: a pack.

    1 where not even one fits: then a pack takes several arrays.
    """
    reference = physical_columns(0, bits, geometry)
    # All groups of a pack share its reference column.
    room = replace(geometry, columns=geometry.columns - reference)
    width = physical_columns(matrix.columns, bits, geometry) - reference
    return max(1, fitting(matrix, width, room))


def physical_columns(columns: int, bits: int, geometry: Geometry) -> int:
    """Bit lines that a mapping really takes: all slices, and the reference column of `offset`."""
    slices = len(slice_coefficients(geometry.mapping, bits, geometry.cell_bits))
    reference = reference_coefficient(geometry.mapping, bits) != 0
    return columns * slices + reference


def mapped(matrix: Matrix, bits: int, geometry: Geometry) -> int:
    """Arrays that the mapping really takes; signs cost cells."""
    packs = -(-matrix.groups // pack_groups(matrix, bits, geometry))
    return packs * row_blocks(matrix, geometry) * arrays_across(matrix, bits, geometry)


def arrays_across(matrix: Matrix, bits: int, geometry: Geometry) -> int:
    """Arrays side by side that a pack takes."""
    columns = pack_groups(matrix, bits, geometry) * matrix.columns
    return -(-physical_columns(columns, bits, geometry) // geometry.columns)
