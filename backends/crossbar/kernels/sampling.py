"""What rounds do, as index arithmetic: the word lines they drive, the channels they write."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from epimc.backends.crossbar.core.rounds import Round, spread
from epimc.backends.crossbar.kernels.layer_part import LayerPart, column_places, epitome_columns
from epimc.ir.semantics import arrays


def driven_lines(part: LayerPart) -> NDArray[np.bool_]:
    """Which word lines each round drives, bool [rounds, epitome rows]."""
    driven = np.zeros((len(part.rounds), part.weights.shape[0]), bool)
    for row, round_ in zip(driven, part.rounds, strict=True):
        row[spread(round_.ifrt)] = True
    return driven


def column_destinations(part: LayerPart, round_: Round) -> arrays.Ints:
    """How many destinations a round has for each physical column; a reference serves all as one.

    Returns:
        int64 [physical columns].
    """
    destinations = np.zeros(epitome_columns(part), np.int64)
    for entry in round_.ofat:
        destinations[entry.column : entry.column + entry.count] += 1
    places = column_places(part)
    return np.where(places < 0, 1, destinations[places])


def apply_ofat(
    result: NDArray[np.int64],
    round_: Round,
    values: arrays.Ints,
    where: arrays.Ints | slice = slice(None),
) -> None:
    """Store or accumulate the columns of one round to the output channels, in place.

    Args:
        result: [Cout, n].
        round_: The round, for its OFAT.
        values: [epitome columns, m].
        where: The m columns of `result` that `values` belong to.
    """
    for entry in round_.ofat:
        target = slice(entry.destination, entry.destination + entry.count)
        block = values[entry.column : entry.column + entry.count]
        if entry.multiplier != 1:
            block = block * entry.multiplier
        # All columns, not only `where`: in those that no round serves the result is 0.
        if not entry.accumulate:
            result[target] = 0
        result[target, where] += block


def input_positions(part: LayerPart, round_: Round) -> arrays.Ints:
    """Positions in the flattened window [Cin, Kh, Kw] that the word lines of `ifrt` read."""
    return window_positions(part, spread(round_.ifat))


def window_positions(part: LayerPart, channels: arrays.Ints) -> arrays.Ints:
    """Positions of channels in a flattened window [channels, Kh, Kw]."""
    area = part.window.kernel[0] * part.window.kernel[1]
    positions = channels[:, None] * area + np.arange(area)
    return positions.reshape(-1)


def within_group(numbers: arrays.Ints, size: int) -> arrays.Ints:
    """What a round names in the first of its groups, counted in groups of `size`.

    All groups that a round drives take the same channels and rows of their own.
    """
    own: arrays.Ints = numbers[numbers // size == numbers[0] // size] % size
    return own


def contiguous(numbers: arrays.Ints) -> arrays.Ints | slice:
    """The same numbers, as a slice where they follow one another: that is faster to index with."""
    if len(numbers) and (np.diff(numbers) == 1).all():
        return slice(int(numbers[0]), int(numbers[-1]) + 1)
    return numbers
