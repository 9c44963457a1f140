"""Static checks of one `mvm` table: its window, cells, rounds and arrays."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np

from epimc.backends.crossbar.arrays import epitome_columns, pack_at, within_group
from epimc.backends.crossbar.program import (
    Array,
    MvmTable,
    OfatEntry,
    PoolTable,
    Ranges,
    Round,
    spread,
)
from epimc.backends.crossbar.report import Report
from epimc.ir import integers

MULTIPLIER_LIMIT = 2**11


def check_window(report: Report, where: str, table: MvmTable | PoolTable) -> bool:
    """Whether the window is sensible and makes the destination's height and width."""
    window, maps = table.window, report.program.maps
    source, target = maps[table.source], maps[table.destination]
    positive = min(*window.kernel, *window.strides, *window.dilations) >= 1
    if not report.require(
        positive and min(window.pads) >= 0, where, "Its window has a size that is too small."
    ):
        return False
    size = [
        window.output_size(held, axis) for axis, held in enumerate((source.height, source.width))
    ]
    return report.require(
        size == [target.height, target.width],
        where,
        f"Its window makes rows and columns {size}, not {[target.height, target.width]}.",
    )


def check_mvm(report: Report, where: str, table: MvmTable) -> None:
    """An `mvm` table whose maps exist and have the right element types."""
    program = report.program
    target = program.maps[table.destination]
    report.require(0 <= table.tile < program.chip.tiles, where, f"There is no tile {table.tile}.")
    good = report.require(
        table.bias.shape == (target.channels,) and table.bias.dtype == np.int64,
        where,
        f"Its bias must be int64 [{target.channels}].",
    )
    good &= check_window(report, where, table) and _check_cells(report, where, table)
    good = good and _check_groups(report, where, table)
    good = good and report.require(bool(table.rounds), where, "It has no activation round.")
    if not good:
        return
    written = np.zeros(target.channels, bool)
    for number, round_ in enumerate(table.rounds):
        place = f"{where}, round {number}"
        if not _check_round(report, place, table, round_):
            return
        for entry in round_.ofat:
            goal = slice(entry.destination, entry.destination + entry.count)
            report.require(
                bool((written[goal] == entry.accumulate).all()),
                place,
                "The first write to an output channel must store, every later one accumulate.",
            )
            written[goal] = True
    report.require(bool(written.all()), where, "Some output channels are never written.")
    for array in table.arrays:
        _check_array(report, f"{where}, crossbar {array.crossbar}", table, array)
    report.require(bool(table.arrays), where, "It has no array.")


def _check_groups(report: Report, where: str, table: MvmTable) -> bool:
    groups, maps = table.groups, report.program.maps
    if not report.require(groups >= 1, where, f"It has {groups} groups."):
        return False
    good = True
    for count, what in (
        (maps[table.source].channels, "input channels"),
        (len(table.bias), "output channels"),
        (len(table.weights), "rows of weights"),
    ):
        good &= report.require(
            count % groups == 0, where, f"{count} {what} do not divide into {groups} groups."
        )
    if not good or not report.require(
        1 <= table.pack <= groups,
        where,
        f"A pack of {table.pack} groups is none of a layer of {groups}.",
    ):
        return False
    chip, pack = report.program.chip, pack_at(table, 0)
    return report.require(
        pack.groups == 1
        or (pack.rows <= chip.crossbar_rows and pack.columns <= chip.crossbar_columns),
        where,
        f"A pack of {pack.groups} groups, {pack.rows} rows and {pack.columns} columns, "
        "does not fit in a crossbar.",
    )


def _check_cells(report: Report, where: str, table: MvmTable) -> bool:
    cell_bits = report.program.chip.cell_bits
    if not (
        report.require(table.mapping in integers.MAPPINGS, where, f"Mapping '{table.mapping}'.")
        and report.require(
            2 <= table.weight_bits <= 16, where, f"Weights of {table.weight_bits} bits."
        )
        and report.require(
            table.cell_bits == cell_bits,
            where,
            f"Its cells have {table.cell_bits} bits, the chip's {cell_bits}.",
        )
        and report.require(
            table.weights.ndim == 2 and table.weights.size > 0 and table.weights.dtype.kind == "i",
            where,
            "Its weights must be integers [rows, columns].",
        )
    ):
        return False
    limit = integers.weight_limit(table.weight_bits)
    inside = int(table.weights.min()) >= -limit and int(table.weights.max()) <= limit
    return report.require(inside, where, f"A weight lies outside [-{limit}, {limit}].")


def _inside(ranges: Ranges, size: int) -> bool:
    """Whether ranges name numbers in [0, size), each at most once, and at least one."""
    if not ranges or any(f < 0 or n < 1 or f + n > size for f, n in ranges):
        return False
    ordered = sorted(ranges)
    return all(first + count <= following for (first, count), (following, _) in pairwise(ordered))


def _check_round(report: Report, where: str, table: MvmTable, round_: Round) -> bool:
    inputs = report.program.maps[table.source].channels
    outputs = len(table.bias)
    rows, columns = len(table.weights), epitome_columns(table)
    area = math.prod(table.window.kernel)
    fetched, driven = (sum(count for _, count in r) for r in (round_.ifat, round_.ifrt))
    good = (
        report.require(
            _inside(round_.ifat, inputs), where, f"IFAT must name each of {inputs} channels once."
        )
        and report.require(
            _inside(round_.ifrt, rows), where, f"IFRT must name each of {rows} rows once."
        )
        and report.require(
            fetched * area == driven,
            where,
            f"IFRT drives {driven} rows for {fetched} channels of {area} elements.",
        )
        and report.require(bool(round_.ofat), where, "OFAT is empty.")
        and all(_check_entry(report, where, e, columns, outputs) for e in round_.ofat)
    )
    if not good:
        return False
    if not _check_driven(report, where, table, round_):
        return False
    blocks = sorted({(entry.column, entry.count) for entry in round_.ofat})
    apart = all(first + count <= following for (first, count), (following, _) in pairwise(blocks))
    return report.require(apart, where, "Two column blocks of OFAT overlap without being equal.")


def _check_driven(report: Report, where: str, table: MvmTable, round_: Round) -> bool:
    """Every group that a round drives is driven in the same window of its epitome."""
    inputs, height = report.program.maps[table.source].channels, len(table.weights)
    held, height = inputs // table.groups, height // table.groups
    channels, rows = spread(round_.ifat), spread(round_.ifrt)
    own = within_group(channels, held)
    driven = channels[:: len(own)] // held
    lines = rows[: len(own) * math.prod(table.window.kernel)] - driven[0] * height
    alike = np.array_equal(channels, (driven[:, None] * held + own).ravel())
    alike = alike and np.array_equal(rows, (driven[:, None] * height + lines).ravel())
    if not report.require(
        alike, where, "It does not drive the same channels and rows of each of its groups."
    ):
        return False
    window = lines.reshape(len(own), *table.window.kernel)
    regular = all(np.unique(np.diff(window, axis=axis)).size <= 1 for axis in (0, 1)) and bool(
        (np.diff(window, axis=2) == 1).all()
    )
    inside = lines.min() >= 0 and lines.max() < height
    report.require(
        bool(regular and inside), where, "The rows that IFRT drives are no window of an epitome."
    )
    return all(_check_columns(report, where, table, entry, driven) for entry in round_.ofat)


def _check_columns(
    report: Report, where: str, table: MvmTable, entry: OfatEntry, driven: integers.Ints
) -> bool:
    """The channels that an entry writes and the columns that it reads are of one driven group."""
    places = np.arange(entry.count)
    taken = (entry.column + places) // table.weights.shape[1]
    given = (entry.destination + places) // (len(table.bias) // table.groups)
    last = entry.destination + entry.count - 1
    return report.require(
        bool((taken == given).all() and np.isin(taken, driven).all()),
        where,
        f"OFAT gives channels {entry.destination} to {last} columns of another group, or of one "
        "that is not driven.",
    )


def _check_entry(report: Report, where: str, entry: OfatEntry, columns: int, outputs: int) -> bool:
    return (
        report.require(
            entry.count >= 1 and entry.column >= 0 and entry.column + entry.count <= columns,
            where,
            f"OFAT reads columns {entry.column} to {entry.column + entry.count - 1} of {columns}.",
        )
        and report.require(
            0 <= entry.destination <= outputs - entry.count,
            where,
            f"OFAT writes channels {entry.destination} to "
            f"{entry.destination + entry.count - 1} of {outputs}.",
        )
        and report.require(
            0 < abs(entry.multiplier) < MULTIPLIER_LIMIT,
            where,
            f"OFAT's multiplier {entry.multiplier} is 0 or has more than 12 bits.",
        )
    )


def _check_array(report: Report, where: str, table: MvmTable, array: Array) -> None:
    chip = report.program.chip
    report.require(
        0 <= array.crossbar < chip.crossbars_per_tile,
        where,
        f"A tile has {chip.crossbars_per_tile} crossbars.",
    )
    report.require(
        1 <= array.rows <= chip.crossbar_rows and 1 <= array.columns <= chip.crossbar_columns,
        where,
        f"{array.rows} rows and {array.columns} columns do not fit in a crossbar of "
        f"{chip.crossbar_rows} and {chip.crossbar_columns}.",
    )
    pack = pack_at(table, min(max(array.row, 0), len(table.weights) - 1))
    row, column = array.row - pack.row, array.column - pack.column
    inside = 0 <= row <= pack.rows - array.rows and 0 <= column <= pack.columns - array.columns
    what = "the epitome" if pack.groups == table.groups else f"the pack of group {pack.group}"
    if report.require(
        inside,
        where,
        f"It holds cells outside {what}'s {pack.rows} rows and {pack.columns} physical columns.",
    ):
        whole = pack.groups == 1 or (array.rows, array.columns) == (pack.rows, pack.columns)
        report.require(whole, where, "It holds only a part of a pack of several groups.")
