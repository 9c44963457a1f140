"""The fused path of a part: the cells of its arrays recombined to one matrix.

It agrees with the bit-serial path of `bit_serial.py` wherever the ADC is lossless.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from epimc.backends.crossbar.core.rounds import spread
from epimc.backends.crossbar.kernels.cells import (
    add_weights,
    array_cells,
    corrected,
    diagonal_blocks,
    holds_whole_pack,
    recombine,
)
from epimc.backends.crossbar.kernels.layer_part import LayerPart, pack_at
from epimc.backends.crossbar.kernels.sampling import (
    apply_ofat,
    contiguous,
    window_positions,
    within_group,
)
from epimc.ir.semantics import arrays, convolution


@dataclass(frozen=True, eq=False)
class FusedMvm:
    """The fused path: a merged matrix for every group, and one constant [Cout, 1].

    Attributes:
        inputs: The positions in a group's window between which all are that have a weight: the
            arrays of a split layer hold a part of the rows.
        outputs: The outputs of a group between which all are that have a weight, likewise.
        matrix: The cells of the part's arrays, recombined and scaled, in the type in which the
            product is exact: of those outputs and positions, [groups, outputs, positions].
        constant: What the corrections, the zero point and the bias add.
        bound: Largest magnitude of any partial sum of the product.
    """

    inputs: slice
    outputs: slice
    matrix: NDArray[Any]
    constant: arrays.Ints
    bound: int

    def __call__(self, columns: NDArray[Any]) -> arrays.Ints:
        """Accumulators [Cout, n] of activations q [Cin*Kh*Kw, n]."""
        groups, count = len(self.matrix), columns.shape[1]
        split = columns.reshape(groups, -1, count)[:, self.inputs]
        product = convolution.matmul(self.matrix, split, self.bound)
        if product.shape[1] * groups == len(self.constant):
            result = product.reshape(-1, count)
            result += self.constant
            return result
        result = np.repeat(self.constant, count, axis=1)
        result.reshape(groups, -1, count)[:, self.outputs] += product
        return result


def fused(part: LayerPart, inputs: int, bits: int, zero_point: int) -> FusedMvm:
    """The fused path of a part.

    Args:
        part: The part of a layer whose cells are meant.
        inputs: Cin of its source map.
        bits: Of its activations.
        zero_point: Of its activations.
    """
    positions, matrix = programmed_weights(part, inputs)
    constant = np.zeros((len(part.bias), 1), np.int64)
    for round_, corrections in zip(part.rounds, part.corrections, strict=True):
        # The zero point goes the way of the values: recombined, and to the outputs by the OFAT.
        apply_ofat(constant, round_, corrected(part, corrections))
    constant = part.bias[:, None].astype(np.int64) - zero_point * constant
    bound = convolution.accumulator_bound(matrix, np.zeros(len(matrix), np.int64), bits)
    # Of a split layer most weights are of other parts: products with zeros, and these, are saved.
    grouped = matrix.reshape(part.groups, len(matrix) // part.groups, matrix.shape[1])
    outputs, chosen = extent(grouped.any(axis=(0, 2))), extent(grouped.any(axis=(0, 1)))
    typed = np.ascontiguousarray(grouped[:, outputs, chosen], convolution.exact_type(bound))
    first = positions.start + chosen.start
    return FusedMvm(slice(first, first + typed.shape[2]), outputs, typed, constant, bound)


def extent(used: Any) -> slice:
    """The places, of an array of booleans, between which all are that are used."""
    places = np.flatnonzero(used)
    return slice(int(places[0]), int(places[-1]) + 1) if len(places) else slice(0, 0)


def programmed_weights(part: LayerPart, inputs: int) -> tuple[slice, arrays.Ints]:
    """The weights that a part's cells and rounds amount to.

    Returns:
        Positions in a group's window, and int64 [Cout, positions]; the weights of all other
        positions are 0: the arrays of a split layer hold a part of the rows.
    """
    rows = rows_in_arrays(part)
    # Channels first, as the rounds write them; a weight, an offset and slices fit 32 bits.
    values = np.zeros((part.groups, part.weights.shape[1], rows.stop - rows.start), np.int32)
    for array in part.arrays:
        pack = pack_at(part, array.row)
        if pack.groups > 1:
            own = values[pack.group : pack.group + pack.groups].transpose(0, 2, 1)
            if holds_whole_pack(part, array):
                # All slices of all columns, and the reference: they amount to the weights.
                own += part.weights[pack.row : pack.row + pack.rows].reshape(own.shape)
                continue
            dense = recombine(part, array, array_cells(part, array).T).T
            # Off the diagonal the cells hold weight 0, and come out as 0.
            own += diagonal_blocks(dense, pack.groups).reshape(own.shape)
        else:
            first = array.row - pack.row - rows.start
            add_weights(values[pack.group, :, first : first + array.rows].T, part, array)
    return merged(part, values, inputs, rows.start)


def layer_weights(parts: Sequence[LayerPart], inputs: int) -> NDArray[np.int32]:
    """The weights [Cout, (Cin / groups)*Kh*Kw] that all parts of a layer add up to.

    In int32: the checker has seen that one round brings each weight, of at most 16 bits, with a
    multiplier of at most 12.
    """
    first = parts[0]
    area = math.prod(first.window.kernel)
    total = np.zeros((len(first.bias), inputs // first.groups * area), np.int32)
    for part in parts:
        positions, matrix = programmed_weights(part, inputs)
        total[:, positions] += matrix
    return total


def rows_in_arrays(part: LayerPart) -> slice:
    """The rows of a group between which all are that the part's arrays hold of any group."""
    packs = [pack_at(part, array.row) for array in part.arrays]
    height = len(part.weights) // part.groups
    # A pack of several groups lies in one array, with all rows of each.
    if not packs or any(pack.groups > 1 for pack in packs):
        return slice(0, height)
    firsts = [array.row - pack.row for array, pack in zip(part.arrays, packs, strict=True)]
    ends = [first + array.rows for array, first in zip(part.arrays, firsts, strict=True)]
    return slice(min(firsts), max(ends))


def merged(
    part: LayerPart, values: NDArray[Any], inputs: int, first: int = 0
) -> tuple[slice, arrays.Ints]:
    """The matrix that the rounds make of epitome values.

    Args:
        part: The part of a layer whose cells are meant.
        values: What is sampled, [groups, columns, rows]: some of the rows of every group.
        inputs: Cin of its source map.
        first: The first of these rows.

    Returns:
        The positions in a group's window between which all are that these rows serve, and int64
        [Cout, positions].
    """
    inputs_of_group, height = inputs // part.groups, len(part.weights) // part.groups
    places: list[tuple[arrays.Ints, arrays.Ints]] = []
    for round_ in part.rounds:
        rows = within_group(spread(round_.ifrt), height) - first
        chosen = (rows >= 0) & (rows < values.shape[2])
        positions = window_positions(part, within_group(spread(round_.ifat), inputs_of_group))
        places.append((positions[chosen], rows[chosen]))
    served = np.concatenate([positions for positions, _ in places])
    # Without an array that the rounds drive the part computes zeros, of no positions.
    low, high = (int(served.min()), int(served.max()) + 1) if len(served) else (0, 0)
    matrix = np.zeros((len(part.bias), high - low), np.int64)
    for round_, (positions, rows) in zip(part.rounds, places, strict=True):
        window = values[:, :, contiguous(rows)]
        # Not -1: a part may hold none of the rows that a round drives.
        flat = window.reshape(values.shape[0] * values.shape[1], len(rows))
        apply_ofat(matrix, round_, flat, contiguous(positions - low))
    return slice(low, high), matrix
