"""Cells: how a signed weight becomes unsigned levels."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal, get_args

import numpy as np

from epimc.ir.semantics.arrays import Cells, Ints

MappingName = Literal["twos_complement", "offset", "differential"]
"""How signed weights become unsigned cells."""

MAPPINGS: tuple[MappingName, ...] = get_args(MappingName)


def has_weights(mapping: str, bits: int) -> bool:
    """Whether a mapping has cells for weights of so many bits.

    The only bit of two's complement would be a sign, which stands for -1 and 0.
    """
    return bits > 1 or mapping != "twos_complement"


@lru_cache(maxsize=256)
def slice_coefficients(mapping: str, bits: int, cell_bits: int) -> tuple[int, ...]:
    """What a column of each bit slice counts for, lowest slice first.

    A weight is sum_k coefficient[k] * level[k], for `offset` less 2^(bits-1), which the
    reference column (every driven cell at level 1) delivers.

    - offset: ceil(b/c) slices of w + 2^(b-1); of one bit, which is -1 or 1, (w + 1) / 2 counts 2;
    - twos_complement: ceil((b-1)/c) slices of the low b-1 bits, then the sign with -2^(b-1); it has
      no weights of one bit;
    - differential: ceil((b-1)/c) slices of max(w, 0), but one at least, then as many of max(-w, 0).
    """
    if mapping == "offset":
        if bits == 1:
            return (2,)
        return tuple(1 << (cell_bits * k) for k in range(-(-bits // cell_bits)))
    least = 1 if mapping == "differential" else 0
    count = max(-(-(bits - 1) // cell_bits), least)
    low = tuple(1 << (cell_bits * k) for k in range(count))
    if mapping == "twos_complement":
        return (*low, -(1 << (bits - 1)))
    return (*low, *(-value for value in low))


def reference_coefficient(mapping: str, bits: int) -> int:
    """What the reference column counts for in every weight column; 0 when there is none."""
    return -(1 << (bits - 1)) if mapping == "offset" else 0


def slice_weights(weights: Ints, mapping: str, bits: int, cell_bits: int) -> Cells:
    """Cell levels [..., slices] of signed weights, in the order of `slice_coefficients`."""
    count = len(slice_coefficients(mapping, bits, cell_bits))
    if mapping == "differential":
        parts = [np.maximum(weights, 0), np.maximum(-weights, 0)]
        return np.concatenate([low_slices(p, count // 2, cell_bits) for p in parts], axis=-1)
    if mapping == "offset":
        above = weights + (1 << (bits - 1))
        return low_slices(above if bits > 1 else above >> 1, count, cell_bits)
    low = low_slices(weights & ((1 << (bits - 1)) - 1), count - 1, cell_bits)
    # The sign bit is a slice by itself, with a negative coefficient.
    sign = (weights < 0).astype(np.uint8)[..., None]
    return np.concatenate([low, sign], axis=-1)


def low_slices(values: Ints, count: int, cell_bits: int) -> Cells:
    """The lowest `count` groups of `cell_bits` bits of integers in [0, 2^16), [..., count]."""
    shifts = np.arange(count, dtype=np.uint16) * np.uint16(cell_bits)
    levels = (values.astype(np.uint16)[..., None] >> shifts) & np.uint16((1 << cell_bits) - 1)
    return levels.astype(np.uint8)


def lossless_adc_bits(driven_rows: int, dac_bits: int, cell_bits: int) -> int:
    """Bits of an ADC with step 1 that reads `driven_rows` word lines without loss."""
    highest = driven_rows * (2**dac_bits - 1) * (2**cell_bits - 1)
    return int(highest).bit_length()
