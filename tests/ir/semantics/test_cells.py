"""Cells against the weights that they stand for."""

from __future__ import annotations

import numpy as np
import pytest

from epimc.ir.semantics.cells import (
    MAPPINGS,
    has_weights,
    lossless_adc_bits,
    reference_coefficient,
    slice_coefficients,
    slice_weights,
)
from epimc.ir.semantics.quantization import weight_limit


@pytest.mark.parametrize("mapping", MAPPINGS)
@pytest.mark.parametrize("bits", [*range(2, 10), 16])
@pytest.mark.parametrize("cell_bits", range(1, 5))
def test_slices_and_coefficients_give_every_weight_back(
    mapping: str, bits: int, cell_bits: int
) -> None:
    limit = weight_limit(bits)
    assert limit == 2 ** (bits - 1) - 1
    weights = np.arange(-limit, limit + 1)
    levels = slice_weights(weights, mapping, bits, cell_bits)
    coefficients = slice_coefficients(mapping, bits, cell_bits)
    assert levels.shape == (len(weights), len(coefficients))
    assert levels.dtype == np.uint8
    assert levels.max() < 2**cell_bits
    reference = reference_coefficient(mapping, bits)
    assert np.array_equal(levels.astype(np.int64) @ np.array(coefficients) + reference, weights)


@pytest.mark.parametrize(
    ("mapping", "columns", "levels", "reference"),
    [("offset", (2,), [[0], [1]], -1), ("differential", (1, -1), [[0, 1], [1, 0]], 0)],
)
@pytest.mark.parametrize("cell_bits", range(1, 5))
def test_weights_of_one_bit_are_minus_one_and_one(
    mapping: str, columns: tuple[int, ...], levels: list[list[int]], reference: int, cell_bits: int
) -> None:
    assert has_weights(mapping, 1)
    assert slice_coefficients(mapping, 1, cell_bits) == columns
    assert slice_weights(np.array([-1, 1]), mapping, 1, cell_bits).tolist() == levels
    assert reference_coefficient(mapping, 1) == reference
    assert (np.array(levels) @ columns + reference).tolist() == [-1, 1]


def test_a_sign_alone_is_no_weight() -> None:
    assert not has_weights("twos_complement", 1)
    assert all(has_weights(mapping, 2) for mapping in MAPPINGS)


@pytest.mark.parametrize(
    ("mapping", "columns", "reference"),
    [
        ("offset", (1, 4, 16, 64), -128),
        ("twos_complement", (1, 4, 16, 64, -128), 0),
        ("differential", (1, 4, 16, 64, -1, -4, -16, -64), 0),
    ],
)
def test_columns_of_an_eight_bit_weight(
    mapping: str, columns: tuple[int, ...], reference: int
) -> None:
    assert slice_coefficients(mapping, 8, 2) == columns
    assert reference_coefficient(mapping, 8) == reference


def test_slices_keep_the_shape_of_the_weights() -> None:
    weights = np.array([[-3, 2], [1, 0]])
    assert slice_weights(weights, "offset", 3, 2).tolist() == [
        [[1, 0], [2, 1]],
        [[1, 1], [0, 1]],
    ]
    assert slice_weights(weights, "twos_complement", 3, 2).tolist() == [
        [[1, 1], [2, 0]],
        [[1, 0], [0, 0]],
    ]
    assert slice_weights(weights, "differential", 3, 2).tolist() == [
        [[0, 3], [2, 0]],
        [[1, 0], [0, 0]],
    ]


@pytest.mark.parametrize(
    ("rows", "dac", "cell", "bits"),
    [(256, 1, 1, 9), (255, 1, 1, 8), (252, 1, 1, 8), (32, 2, 2, 9), (1, 1, 1, 1), (3, 4, 4, 10)],
)
def test_an_adc_without_loss_holds_the_largest_sum(
    rows: int, dac: int, cell: int, bits: int
) -> None:
    assert lossless_adc_bits(rows, dac, cell) == bits
    largest = rows * (2**dac - 1) * (2**cell - 1)
    assert 2 ** (bits - 1) <= largest < 2**bits
