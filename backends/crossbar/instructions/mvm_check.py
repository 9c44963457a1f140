"""Static checks of the part of a layer on a tile: its window, cells, rounds and arrays."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np

from epimc.backends.crossbar.core.rounds import Array, OfatEntry, Ranges, Round, spread
from epimc.backends.crossbar.instructions.table import TableCheck
from epimc.backends.crossbar.instructions.windows import check_window
from epimc.backends.crossbar.kernels.layer_part import LayerPart, epitome_columns, pack_at
from epimc.backends.crossbar.kernels.sampling import within_group
from epimc.ir.semantics import arrays, quantization
from epimc.ir.semantics.cells import MAPPINGS, has_weights

MULTIPLIER_LIMIT = 2**11


def check_part(check: TableCheck, part: LayerPart) -> None:
    """What a part says of its crossbars; its maps exist and have the right element types."""
    target = check.target
    good = check.require(
        part.bias.shape == (target.channels,) and part.bias.dtype == np.int64,
        f"Its bias must be int64 [{target.channels}].",
    )
    good &= check_window(check, part.window) and _check_cells(check, part)
    good = good and _check_groups(check, part)
    good = good and check.require(bool(part.rounds), "It has no activation round.")
    if not good:
        return
    written = np.zeros(target.channels, bool)
    for number, round_ in enumerate(part.rounds):
        place = check.at(f"round {number}")
        # What follows indexes by the numbers of a round: one that is wrong ends it.
        if not _check_round(place, part, round_):
            return
        for entry in round_.ofat:
            goal = slice(entry.destination, entry.destination + entry.count)
            place.require(
                bool((written[goal] == entry.accumulate).all()),
                "The first write to an output channel must store, every later one accumulate.",
            )
            written[goal] = True
    check.require(bool(written.all()), "Some output channels are never written.")
    for array in part.arrays:
        _check_array(check.at(f"crossbar {array.crossbar}"), part, array)
    check.require(bool(part.arrays), "It has no array.")


def _check_groups(check: TableCheck, part: LayerPart) -> bool:
    groups = part.groups
    if not check.require(groups >= 1, f"It has {groups} groups."):
        return False
    good = True
    for count, what in (
        (check.sources[0].channels, "input channels"),
        (len(part.bias), "output channels"),
        (len(part.weights), "rows of weights"),
    ):
        good &= check.require(
            count % groups == 0, f"{count} {what} do not divide into {groups} groups."
        )
    if not good or not check.require(
        1 <= part.pack <= groups,
        f"A pack of {part.pack} groups is none of a layer of {groups}.",
    ):
        return False
    chip, pack = check.program.chip, pack_at(part, 0)
    return check.require(
        pack.groups == 1
        or (pack.rows <= chip.crossbar_rows and pack.columns <= chip.crossbar_columns),
        f"A pack of {pack.groups} groups, {pack.rows} rows and {pack.columns} columns, "
        "does not fit in a crossbar.",
    )


def _check_cells(check: TableCheck, part: LayerPart) -> bool:
    cell_bits = check.program.chip.cell_bits
    if not (
        check.require(part.mapping in MAPPINGS, f"Mapping '{part.mapping}'.")
        and check.require(part.adc_step >= 1, f"Its ADCs have the step {part.adc_step}.")
        and check.require(
            1 <= part.weight_bits <= 16 and has_weights(part.mapping, part.weight_bits),
            f"Weights of {part.weight_bits} bits in mapping '{part.mapping}'.",
        )
        and check.require(
            part.cell_bits == cell_bits,
            f"Its cells have {part.cell_bits} bits, the chip's {cell_bits}.",
        )
        and check.require(
            part.weights.ndim == 2 and part.weights.size > 0 and part.weights.dtype.kind == "i",
            "Its weights must be integers [rows, columns].",
        )
    ):
        return False
    if part.weight_bits == 1:
        check.require(part.pack == 1, "A pack of several groups has zeros, one bit has none.")
        return check.require(
            quantization.are_weights(part.weights, 1), "A weight of one bit is neither -1 nor 1."
        )
    limit = quantization.weight_limit(part.weight_bits)
    inside = quantization.are_weights(part.weights, part.weight_bits)
    return check.require(inside, f"A weight lies outside [-{limit}, {limit}].")


def _inside(ranges: Ranges, size: int) -> bool:
    """Whether ranges name numbers in [0, size), each at most once, and at least one."""
    if not ranges or any(f < 0 or n < 1 or f + n > size for f, n in ranges):
        return False
    ordered = sorted(ranges)
    return all(first + count <= following for (first, count), (following, _) in pairwise(ordered))


def _check_round(check: TableCheck, part: LayerPart, round_: Round) -> bool:
    inputs = check.sources[0].channels
    outputs = len(part.bias)
    rows, columns = len(part.weights), epitome_columns(part)
    area = math.prod(part.window.kernel)
    fetched, driven = (sum(count for _, count in r) for r in (round_.ifat, round_.ifrt))
    good = (
        check.require(
            _inside(round_.ifat, inputs), f"IFAT must name each of {inputs} channels once."
        )
        and check.require(_inside(round_.ifrt, rows), f"IFRT must name each of {rows} rows once.")
        and check.require(
            fetched * area == driven,
            f"IFRT drives {driven} rows for {fetched} channels of {area} elements.",
        )
        and check.require(bool(round_.ofat), "OFAT is empty.")
        and all(_check_entry(check, e, columns, outputs) for e in round_.ofat)
    )
    if not good:
        return False
    if not _check_driven(check, part, round_):
        return False
    blocks = sorted({(entry.column, entry.count) for entry in round_.ofat})
    apart = all(first + count <= following for (first, count), (following, _) in pairwise(blocks))
    return check.require(apart, "Two column blocks of OFAT overlap without being equal.")


def _check_driven(check: TableCheck, part: LayerPart, round_: Round) -> bool:
    """Every group that a round drives is driven in the same window of its epitome."""
    inputs, height = check.sources[0].channels, len(part.weights)
    size, height = inputs // part.groups, height // part.groups
    channels, rows = spread(round_.ifat), spread(round_.ifrt)
    own = within_group(channels, size)
    driven = channels[:: len(own)] // size
    lines = rows[: len(own) * math.prod(part.window.kernel)] - driven[0] * height
    alike = np.array_equal(channels, (driven[:, None] * size + own).ravel())
    alike = alike and np.array_equal(rows, (driven[:, None] * height + lines).ravel())
    if not check.require(
        alike, "It does not drive the same channels and rows of each of its groups."
    ):
        return False
    # Only rows that step evenly, and by 1 along a kernel row, are a patch's window.
    window = lines.reshape(len(own), *part.window.kernel)
    regular = all(np.unique(np.diff(window, axis=axis)).size <= 1 for axis in (0, 1)) and bool(
        (np.diff(window, axis=2) == 1).all()
    )
    inside = lines.min() >= 0 and lines.max() < height
    check.require(
        bool(regular and inside), "The rows that IFRT drives are no window of an epitome."
    )
    return all(_check_columns(check, part, entry, driven) for entry in round_.ofat)


def _check_columns(
    check: TableCheck, part: LayerPart, entry: OfatEntry, driven: arrays.Ints
) -> bool:
    """The channels that an entry writes and the columns that it reads are of one driven group."""
    places = np.arange(entry.count)
    taken = (entry.column + places) // part.weights.shape[1]
    written = (entry.destination + places) // (len(part.bias) // part.groups)
    last = entry.destination + entry.count - 1
    return check.require(
        bool((taken == written).all() and np.isin(taken, driven).all()),
        f"OFAT gives channels {entry.destination} to {last} columns of another group, or of one "
        "that is not driven.",
    )


def _check_entry(check: TableCheck, entry: OfatEntry, columns: int, outputs: int) -> bool:
    return (
        check.require(
            entry.count >= 1 and entry.column >= 0 and entry.column + entry.count <= columns,
            f"OFAT reads columns {entry.column} to {entry.column + entry.count - 1} of {columns}.",
        )
        and check.require(
            0 <= entry.destination <= outputs - entry.count,
            f"OFAT writes channels {entry.destination} to "
            f"{entry.destination + entry.count - 1} of {outputs}.",
        )
        and check.require(
            0 < abs(entry.multiplier) < MULTIPLIER_LIMIT,
            f"OFAT's multiplier {entry.multiplier} is 0 or has more than 12 bits.",
        )
    )


def _check_array(check: TableCheck, part: LayerPart, array: Array) -> None:
    chip = check.program.chip
    check.require(
        0 <= array.crossbar < chip.crossbars_per_tile,
        f"A tile has {chip.crossbars_per_tile} crossbars.",
    )
    check.require(
        1 <= array.rows <= chip.crossbar_rows and 1 <= array.columns <= chip.crossbar_columns,
        f"{array.rows} rows and {array.columns} columns do not fit in a crossbar of "
        f"{chip.crossbar_rows} and {chip.crossbar_columns}.",
    )
    pack = pack_at(part, min(max(array.row, 0), len(part.weights) - 1))
    row, column = array.row - pack.row, array.column - pack.column
    inside = 0 <= row <= pack.rows - array.rows and 0 <= column <= pack.columns - array.columns
    what = "the epitome" if pack.groups == part.groups else f"the pack of group {pack.group}"
    if check.require(
        inside,
        f"It holds cells outside {what}'s {pack.rows} rows and {pack.columns} physical columns.",
    ):
        complete = pack.groups == 1 or (array.rows, array.columns) == (pack.rows, pack.columns)
        check.require(complete, "It holds only a part of a pack of several groups.")
