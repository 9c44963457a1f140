"""Static checks of layers: crossbars, cells, corrections, coverage, sums of parts, precision."""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np

from epimc.backends.crossbar.core.findings import Findings
from epimc.backends.crossbar.core.rounds import Round, spread
from epimc.backends.crossbar.instructions.mvm import Mvm
from epimc.backends.crossbar.instructions.table import Table, TableCheck
from epimc.backends.crossbar.instructions.vector import Add
from epimc.backends.crossbar.kernels.cells import column_sums
from epimc.backends.crossbar.kernels.converters import lossless, most_lost
from epimc.backends.crossbar.kernels.layer_part import pack_at
from epimc.backends.crossbar.kernels.sampling import contiguous, within_group
from epimc.ir.semantics import arrays

Parts = list[tuple[int, Mvm]]
"""The tables of one layer, with their numbers."""


def check_layers(findings: Findings) -> None:
    """All layers; maps and tables by themselves are good already."""
    layers = _layers_of(findings)
    _check_crossbars(findings)
    for parts in layers.values():
        # Checks of cells and rounds compare parts, which means something only where they agree.
        if _check_agreement(findings, parts):
            _check_cells(findings, parts)
            _check_coverage(findings, parts)
    sums = _check_sums(findings, layers)
    # Bounds of layers that are wrong would be wrong as well.
    if not findings.diagnostics:
        _check_precision(findings, layers, sums)


def check_converters(findings: Findings) -> None:
    """What depends on the converters, of a program that was good before these changed."""
    layers = _layers_of(findings)
    _check_precision(findings, layers, _check_sums(findings, layers))


def _layers_of(findings: Findings) -> dict[str, Parts]:
    """The parts of each layer."""
    layers: dict[str, Parts] = {}
    for index, table in enumerate(findings.program.tables):
        if isinstance(table, Mvm):
            # The parts of a split layer share one tensor, whose name is what tells that they belong
            # together.
            layers.setdefault(table.weights_name, []).append((index, table))
    return layers


def _check_crossbars(findings: Findings) -> None:
    """No crossbar holds two arrays, and those that a tile uses are its first ones."""
    users: dict[tuple[int, int], str] = {}
    used: dict[int, list[int]] = defaultdict(list)
    for index, table in enumerate(findings.program.tables):
        if not isinstance(table, Mvm):
            continue
        where = findings.table_place(index)
        for array in table.arrays:
            place = (table.tile, array.crossbar)
            findings.require(
                place not in users,
                where,
                f"Crossbar {array.crossbar} of tile {table.tile} is also used by "
                f"{users.get(place, '')}.",
            )
            if place not in users:
                used[table.tile].append(array.crossbar)
            users[place] = where
    for tile, crossbars in sorted(used.items()):
        free = next((k for k, crossbar in enumerate(sorted(crossbars)) if crossbar > k), None)
        message = f"It uses {len(crossbars)} crossbars, but not crossbar {free}."
        findings.require(free is None, f"tile {tile}", message)


def _check_agreement(findings: Findings, parts: Parts) -> bool:
    """Whether the parts of a layer describe the same layer."""
    first = parts[0][1]
    biased = [index for index, table in parts if table.bias.any()]
    if len(biased) > 1:
        findings.add(findings.table_place(biased[1]), "Two parts of the layer have a bias.")
    good = True
    for index, table in parts[1:]:
        same = (
            table.source == first.source
            and table.window == first.window
            and (table.mapping, table.weight_bits) == (first.mapping, first.weight_bits)
            and (table.groups, table.pack) == (first.groups, first.pack)
            and table.adc_step == first.adc_step
            # Parts of one layer mostly share one array, which then need not be compared with
            # itself.
            and (table.weights is first.weights or np.array_equal(table.weights, first.weights))
            and table.bias.shape == first.bias.shape
        )
        good &= findings.require(
            same,
            findings.table_place(index),
            f"It is no part of the layer '{first.weights_name}' of table {parts[0][0]}.",
        )
    return good


def _check_cells(findings: Findings, parts: Parts) -> None:
    """The arrays of all parts hold every cell once, and the corrections are theirs."""
    for index, table in parts:
        where = findings.table_place(index)
        sums = column_sums(table)
        if not findings.require(
            table.corrections.dtype == np.int64 and table.corrections.shape == sums.shape,
            where,
            f"Its corrections must be int64 {list(sums.shape)}.",
        ):
            continue
        wrong = np.argwhere(table.corrections != sums)
        if len(wrong):
            number, column = wrong[0]
            findings.add(
                where,
                f"The correction of round {number}, column {column} is "
                f"{table.corrections[number, column]}, but the driven cells sum to "
                f"{sums[number, column]}.",
            )
    _check_cells_once(findings, parts)


def _check_cells_once(findings: Findings, parts: Parts) -> None:
    """Every cell of every pack lies in one array of one part."""
    first = parts[0][1]
    # Cells in the columns of their own pack: the whole matrix of many groups would be huge.
    height, width = len(first.weights), pack_at(first, 0).columns
    last = pack_at(first, height - 1)
    blocks = [(last.row, height, last.columns, width)]
    for _, table in parts:
        for array in table.arrays:
            column = array.column - pack_at(table, array.row).column
            blocks.append((array.row, array.row + array.rows, column, column + array.columns))
    # The blocks cut the matrix into a grid, in each field of which all cells are held alike.
    rows = np.unique([0, *(edge for block in blocks for edge in block[:2])])
    columns = np.unique([0, *(edge for block in blocks for edge in block[2:])])
    holders = np.zeros((len(rows) - 1, len(columns) - 1), np.int64)
    for block in blocks:
        top, bottom = np.searchsorted(rows, block[:2])
        left, right = np.searchsorted(columns, block[2:])
        holders[top:bottom, left:right] += 1
    wrong = np.argwhere(holders != 1)
    if len(wrong):
        k, j = wrong[0]
        row, column = int(rows[k]), int(columns[j])
        findings.add(
            findings.table_place(parts[0][0]),
            f"{holders[k, j]} crossbars hold the cell at row {row}, physical column "
            f"{pack_at(first, row).column + column} of '{first.weights_name}', where 1 must.",
        )


def _check_coverage(findings: Findings, parts: Parts) -> None:
    """The rounds rebuild every weight of the layer once; what they never use is zero."""
    index, first = parts[0]
    rounds = {round_.identity: round_ for _, table in parts for round_ in table.rounds}
    for number, table in parts:
        _check_rounds_of_part(findings, findings.table_place(number), table, rounds)
    inputs = findings.program.maps[first.source].channels // first.groups
    height, width = len(first.weights) // first.groups, first.weights.shape[1]
    pairs = np.zeros((len(first.bias), inputs), bool)
    repeated = False
    used = np.zeros((first.groups, height, width), bool)
    for round_ in rounds.values():
        channels = contiguous(within_group(spread(round_.ifat), inputs))
        taken = np.zeros((first.groups, 1, width), bool)
        for entry in round_.ofat:
            outputs = slice(entry.destination, entry.destination + entry.count)
            # Two rounds for one pair would add two weights: no plan says that.
            repeated |= bool(pairs[outputs, channels].any())
            pairs[outputs, channels] = True
            taken.reshape(-1)[entry.column : entry.column + entry.count] = True
        # A weight is used where its row is driven and its column is taken, in any one round.
        used[:, contiguous(within_group(spread(round_.ifrt), height))] |= taken
    where = findings.table_place(index)
    findings.require(
        not repeated, where, "Two rounds bring the same input to the same output channel."
    )
    findings.require(
        bool(pairs.all()),
        where,
        "The rounds do not bring every input channel to every output channel of its group.",
    )
    stray = np.argwhere(~used.reshape(first.weights.shape) & (first.weights != 0))
    if len(stray):
        row, column = stray[0]
        findings.add(
            where, f"The weight at row {row}, column {column} is not 0, but no round uses it."
        )


def _check_rounds_of_part(
    findings: Findings, where: str, table: Mvm, rounds: dict[tuple[object, ...], Round]
) -> None:
    """A part has every round of the layer that drives one of its word lines, once."""
    own = Counter(round_.identity for round_ in table.rounds)
    findings.require(max(own.values()) == 1, where, "It has the same round twice.")
    filled = np.zeros(len(table.weights), bool)
    for array in table.arrays:
        filled[array.row : array.row + array.rows] = True
    lacking = [key for key, r in rounds.items() if key not in own and filled[spread(r.ifrt)].any()]
    findings.require(
        not lacking, where, "It lacks a round of another part that drives its word lines."
    )


def _check_sums(findings: Findings, layers: dict[str, Parts]) -> dict[int, str]:
    """Every layer's parts are added up completely before they are requantized.

    Returns:
        For every map of accumulators that is a complete layer: the layer's name.
    """
    tables = findings.program.tables
    producer = {table.destination: index for index, table in enumerate(tables)}
    parts: dict[int, frozenset[int]] = {}
    pending = [i for i, t in enumerate(tables) if isinstance(t, (Mvm, Add))]
    # Sums may be terms of sums, in any order of tables; in the compiler's, one walk does it.
    while pending:
        waiting = []
        for i in pending:
            if isinstance(tables[i], Mvm) or all(s in parts for s in tables[i].sources):
                parts[tables[i].destination] = _leaves(findings, i, parts)
            else:
                waiting.append(i)
        # No progress: what is left adds something that is no sum, or a cycle.
        if len(waiting) == len(pending):
            findings.add(findings.table_place(pending[0]), "It adds what is no part of a layer.")
            return {}
        pending = waiting
    complete = {frozenset(i for i, _ in layer): name for name, layer in layers.items()}
    sums = {index: complete[leaves] for index, leaves in parts.items() if leaves in complete}
    for index, table in enumerate(tables):
        # An addition may read parts: that is what it is for.
        if isinstance(table, Add):
            continue
        for source in (source for source in table.sources if source in parts):
            findings.require(
                source in sums,
                findings.table_place(index),
                f"It reads the result of {findings.table_place(producer[source])}, "
                "which is only a part of its layer.",
            )
    return sums


def _leaves(findings: Findings, index: int, parts: dict[int, frozenset[int]]) -> frozenset[int]:
    """The mvm tables whose results a table's destination holds the sum of."""
    table = findings.program.tables[index]
    if not isinstance(table, Add):
        return frozenset((index,))
    first, second = (parts[source] for source in table.sources)
    tables = findings.program.tables
    names = {t.weights_name for i in first | second if isinstance(t := tables[i], Mvm)}
    findings.require(
        len(names) == 1 and not first & second,
        findings.table_place(index),
        "What it adds are not different parts of one layer.",
    )
    return first | second


def _check_precision(findings: Findings, layers: dict[str, Parts], sums: dict[int, str]) -> None:
    """No number exceeds its bits, whatever the inputs, and whatever the converters lose of sums."""
    maps = findings.program.maps
    bounds = {
        index: layer_bounds(findings, layers[name]) + layer_losses(findings, layers[name])
        for index, name in sums.items()
    }
    for table in findings.program.tables_of(Table):
        highest = table.bound(maps)
        if highest is not None:
            bounds[table.destination] = np.full(maps[table.destination].channels, highest)
    for index, table in enumerate(findings.program.tables_of(Table)):
        table.check_sums(TableCheck(findings, findings.table_place(index), table), bounds)


def layer_bounds(findings: Findings, parts: Parts) -> arrays.Ints:
    """Largest magnitude of the accumulators of a complete layer, int64 [Cout]."""
    first = parts[0][1]
    rounds = {round_.identity: round_ for _, table in parts for round_ in table.rounds}
    magnitudes = np.zeros(len(first.bias), np.int64)
    # Every input comes to every output once, so that the magnitudes of all rounds add up.
    for round_ in rounds.values():
        sums = driven_magnitudes(first, round_)
        for entry in round_.ofat:
            # Magnitudes, so that no order of rounds and no input can exceed them halfway.
            columns = sums[entry.column : entry.column + entry.count]
            target = slice(entry.destination, entry.destination + entry.count)
            magnitudes[target] += columns * abs(entry.multiplier)
    bias = sum((table.bias for _, table in parts), np.zeros_like(first.bias))
    bits = findings.program.maps[first.source].bits
    bounds: arrays.Ints = magnitudes * (2**bits - 1) + np.abs(bias)
    return bounds


def layer_losses(findings: Findings, parts: Parts) -> arrays.Ints:
    """How far converters may move the accumulators of a complete layer, int64 [Cout]."""
    program, first = findings.program, parts[0][1]
    bits, losses = program.maps[first.source].bits, np.zeros(len(first.bias), np.int64)
    for _, table in parts:
        if not lossless(table, program.chip):
            losses += most_lost(table, bits, program.chip)
    return losses


def driven_magnitudes(table: Mvm, round_: Round) -> arrays.Ints:
    """For every epitome column the sum of |weight| over the rows of its group that are driven."""
    height, width = len(table.weights) // table.groups, table.weights.shape[1]
    blocks = table.weights.reshape(table.groups, height, width)
    lines = within_group(spread(round_.ifrt), height)
    sums = np.zeros((table.groups, width), np.int64)
    for part in arrays.pieces(len(lines), table.groups * width):
        driven = blocks[:, contiguous(lines[part])]
        sums += np.abs(driven.astype(np.int64)).sum(axis=1)
    return sums.reshape(-1)
