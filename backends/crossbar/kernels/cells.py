"""What cells hold, and what the columns that are read amount to, slices put together again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from epimc.backends.crossbar.core.rounds import Array
from epimc.backends.crossbar.kernels.layer_part import (
    LayerPart,
    column_places,
    epitome_columns,
    pack_at,
)
from epimc.backends.crossbar.kernels.sampling import driven_lines
from epimc.ir.semantics import arrays, convolution
from epimc.ir.semantics.cells import reference_coefficient, slice_coefficients, slice_weights


def array_cells(part: LayerPart, array: Array) -> arrays.Cells:
    """The cell levels [rows, columns] that an array holds; a reference column is all ones."""
    pack = pack_at(part, array.row)
    slices, column = pack.slices, array.column - pack.column
    end = min(column + array.columns, pack.sliced)
    # An array may begin and end within the slices of a column: slice whole columns, then cut.
    first, last = column // slices, -(-end // slices)
    block = part.weights[array.row : array.row + array.rows]
    if pack.groups > 1:
        # What is stored are the groups below each other; in the array they lie along the diagonal.
        block = block_diagonal(block, pack.groups)
    block = block[:, first:last].astype(np.int64)
    levels = slice_weights(block, part.mapping, part.weight_bits, part.cell_bits)
    levels = levels.reshape(len(block), -1)[:, column - first * slices : end - first * slices]
    ones = np.ones((len(block), column + array.columns - end), np.uint8)
    return np.concatenate([levels, ones], axis=1)


def holds_whole_pack(part: LayerPart, array: Array) -> bool:
    """Whether one array has all rows and columns of a pack."""
    pack = pack_at(part, array.row)
    whole = (pack.row, pack.rows, pack.column, pack.columns)
    return (array.row, array.rows, array.column, array.columns) == whole


def block_diagonal(blocks: arrays.Ints, groups: int) -> arrays.Ints:
    """Matrices one below the other, [groups * rows, n], as [groups * rows, groups * n]."""
    rows, columns = len(blocks) // groups, blocks.shape[1]
    dense = np.zeros((groups, rows, groups, columns), np.int64)
    # einsum gives a view of the diagonal blocks, so that writing to it fills them.
    np.einsum("grgc->grc", dense)[...] = blocks.reshape(groups, rows, columns)
    return dense.reshape(groups * rows, groups * columns)


def diagonal_blocks(dense: arrays.Ints, groups: int) -> arrays.Ints:
    """The inverse of `block_diagonal`: what does not lie on the diagonal is dropped."""
    rows, columns = dense.shape[0] // groups, dense.shape[1] // groups
    blocks = np.einsum("grgc->grc", dense.reshape(groups, rows, groups, columns))
    result: arrays.Ints = blocks.reshape(groups * rows, columns)
    return result


def recombine(part: LayerPart, array: Array, columns: NDArray[Any]) -> arrays.Ints:
    """Physical columns of one array to the epitome columns of its pack.

    Args:
        part: The part of a layer whose cells are meant.
        array: One of its arrays.
        columns: Values [array.columns, n] of its physical columns.

    Returns:
        int64 [epitome columns, n]: what they contribute to every epitome column of the pack.
    """
    pack = pack_at(part, array.row)
    result = np.zeros((pack.sliced // pack.slices, columns.shape[1]), np.int64)
    recombine_into(result, part, array, columns)
    return result


def recombine_into(
    result: NDArray[Any], part: LayerPart, array: Array, columns: NDArray[Any]
) -> None:
    """Add what physical columns of one array contribute to the epitome columns of its pack.

    Only those columns of `result` [epitome columns, n] are touched to which the array contributes.
    """
    coefficients = slice_coefficients(part.mapping, part.weight_bits, part.cell_bits)
    pack = pack_at(part, array.row)
    first = array.column - pack.column
    # An array may hold nothing but the reference column, which lies behind all slices.
    count = max(min(first + array.columns, pack.sliced) - first, 0)
    for k, factor in enumerate(coefficients):
        # The first physical column of this array that holds slice k, wherever the array begins.
        start = (k - first) % pack.slices
        slices = columns[start : max(count, start) : pack.slices]
        place = (first + start) // pack.slices
        result[place : place + len(slices)] += np.multiply(slices, factor, dtype=np.int64)
    if count < array.columns:
        # The last column is the pack's reference, which counts for every column of the epitome.
        factor = reference_coefficient(part.mapping, part.weight_bits)
        result += np.multiply(columns[-1], factor, dtype=np.int64)


def add_weights(values: NDArray[Any], part: LayerPart, array: Array) -> None:
    """Add what the cells of one array amount to, of a pack with one group.

    It is `recombine_into` of `array_cells`; but most columns of an epitome lie in one array with
    all their slices, and these amount to the weight, so that no cell need be made.

    Args:
        values: [array.rows, epitome columns of the pack], of a type that holds the weights.
        part: The part of a layer whose cells are meant.
        array: One of its arrays.
    """
    pack = pack_at(part, array.row)
    first, end = array.column - pack.column, array.column - pack.column + array.columns
    begin, stop = -(-first // pack.slices), min(end, pack.sliced) // pack.slices
    edges = [(first, end)]
    if begin < stop:
        own = values[:, begin:stop]
        own += part.weights[array.row : array.row + array.rows, begin:stop]
        # What the reference column will take away again, wherever it lies.
        own -= reference_coefficient(part.mapping, part.weight_bits)
        edges = [(first, begin * pack.slices), (stop * pack.slices, end)]
    # A column of which some slices lie in another array, and a reference, are made of their cells.
    for left, right in edges:
        if left < right:
            edge = replace(array, column=pack.column + left, columns=right - left)
            recombine_into(values.T, part, edge, array_cells(part, edge).T)


def column_targets(part: LayerPart) -> tuple[arrays.Ints, arrays.Ints]:
    """What each physical column adds to, and the logarithm of what it counts for.

    Targets are twice a row of values, odd where the column subtracts; the rows are the epitome's
    columns, then the reference columns of the packs.
    """
    places = column_places(part)
    coefficients = np.array(slice_coefficients(part.mapping, part.weight_bits, part.cell_bits))
    factors = np.zeros(len(places), np.int64)
    weights = places >= 0
    # The slices of a column stand side by side, whole, in every pack.
    factors[weights] = np.tile(coefficients, int(weights.sum()) // len(coefficients))
    factors[~weights] = reference_coefficient(part.mapping, part.weight_bits)
    rows = places.copy()
    rows[~weights] = epitome_columns(part) + np.arange(int((~weights).sum()))
    shifts = np.array([abs(int(factor)).bit_length() - 1 for factor in factors], np.int64)
    return 2 * rows + (factors < 0), shifts


def reference_rows(part: LayerPart) -> arrays.Ints:
    """For each epitome column the row of values of its reference; -1 where there is none."""
    columns = epitome_columns(part)
    rows = np.full(columns, -1, np.int64)
    if reference_coefficient(part.mapping, part.weight_bits):
        height = len(part.weights) // part.groups * part.pack
        for number, row in enumerate(range(0, len(part.weights), height)):
            rows[pack_at(part, row).epitome] = columns + number
    return rows


def column_sums(part: LayerPart) -> arrays.Ints:
    """What `part.corrections` must be, from the cells and the driven word lines.

    Returns:
        int64 [rounds, sum of array columns], arrays side by side in order.
    """
    # Not bool: the product with the cells is one of integers.
    driven = driven_lines(part).astype(np.int64)
    highest = (1 << part.cell_bits) - 1
    parts = [np.zeros((len(driven), 0), np.int64)]
    for array in part.arrays:
        cells = array_cells(part, array)
        lines = driven[:, array.row : array.row + array.rows]
        parts.append(convolution.matmul(lines, cells, array.rows * highest))
    return np.concatenate(parts, axis=1)


def corrected(part: LayerPart, corrections: arrays.Ints) -> arrays.Ints:
    """One round's corrections [sum of array columns], recombined to [epitome columns, 1]."""
    total = np.zeros((epitome_columns(part), 1), np.int64)
    first = 0
    for array in part.arrays:
        sums = corrections[first : first + array.columns, None]
        recombine_into(total[pack_at(part, array.row).epitome], part, array, sums)
        first += array.columns
    return total
