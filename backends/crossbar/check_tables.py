"""Static checks of tables: indices, shapes, element types, ranges."""

from __future__ import annotations

import math
import re

import numpy as np

from epimc.backends.crossbar.check_mvm import check_mvm, check_window
from epimc.backends.crossbar.program import (
    NO_ADDRESS,
    AddTable,
    ConcatTable,
    ConstantTable,
    FeatureMap,
    HostTable,
    LookupTable,
    MultiplyTable,
    MvmTable,
    PadTable,
    PoolTable,
    RearrangeTable,
    RequantizeTable,
    SelectTable,
    Table,
    table_sources,
)
from epimc.backends.crossbar.report import OPERATIONS, Report
from epimc.ir import integers

# It names a file, `host/NAME.onnx`.
FRAGMENT_NAME = re.compile(r"[A-Za-z0-9_.\-]+")

# Element types of (source, destination), None for any.
_ELEMENTS: dict[str, tuple[str | None, str | None]] = {
    "mvm": ("u8", "i64"),
    "requantize": (None, "u8"),
    "max": ("u8", "u8"),
    "sum": ("u8", "i64"),
    "rearrange": ("u8", "u8"),
    "add": ("i64", "i64"),
    "multiply": ("u8", "i64"),
    "lookup": ("u8", "u8"),
    "concat": ("u8", "u8"),
    "pad": ("u8", "u8"),
    "select": ("u8", "u8"),
    "constant": (None, "u8"),
    "host": ("u8", "u8"),
}


def check_tables(report: Report) -> None:
    """Each table by itself."""
    for index, table in enumerate(report.program.tables):
        where = report.table_place(index)
        if not _check_indices(report, where, table):
            continue
        match table:
            case MvmTable():
                check_mvm(report, where, table)
            case RequantizeTable():
                _check_requantize(report, where, table)
            case PoolTable():
                _check_pool(report, where, table)
            case RearrangeTable():
                _check_rearrange(report, where, table)
            case HostTable():
                _check_host(report, where, table)
            case AddTable():
                distinct = len(table.sources) == 2 == len(set(table.sources))
                report.require(distinct, where, "It must add two different maps.")
                _check_same_shape(report, where, table.sources, table.destination)
            case MultiplyTable():
                _check_multiply(report, where, table)
            case LookupTable():
                _check_lookup(report, where, table)
            case ConcatTable():
                _check_concat(report, where, table)
            case PadTable():
                _check_pad(report, where, table)
            case SelectTable():
                _check_select(report, where, table)
            case ConstantTable():
                _check_constant(report, where, table)


def _check_indices(report: Report, where: str, table: Table) -> bool:
    """Whether the maps that a table names exist and have the right element types."""
    maps = report.program.maps
    sources = table_sources(table)
    if not report.require(
        bool(sources) or isinstance(table, ConstantTable), where, "It reads no map."
    ):
        return False
    for index in (*sources, table.destination):
        if not report.require(0 <= index < len(maps), where, f"There is no map {index}."):
            return False
    kind = table.kind if isinstance(table, PoolTable) else OPERATIONS[type(table)]
    if not report.require(kind in _ELEMENTS, where, f"Unknown kind of pool '{kind}'."):
        return False
    wanted, made = _ELEMENTS[kind]
    good = [
        report.require(
            expected in (None, maps[index].element),
            where,
            f"'{maps[index].name}' must be of type {expected}, not {maps[index].element}.",
        )
        for index, expected in [
            *((source, wanted) for source in sources),
            (table.destination, made),
        ]
    ]
    return all(good)


def _shape(held: FeatureMap) -> tuple[int, int, int]:
    return held.channels, held.height, held.width


def _check_same_shape(
    report: Report, where: str, sources: tuple[int, ...], destination: int
) -> None:
    maps = report.program.maps
    target = maps[destination]
    for source in sources:
        held = maps[source]
        report.require(
            _shape(held) == _shape(target),
            where,
            f"'{held.name}' has not the shape {list(_shape(target))} of '{target.name}'.",
        )


def _check_multiply(report: Report, where: str, table: MultiplyTable) -> None:
    if not report.require(len(table.sources) == 2, where, "It must multiply two maps."):
        return
    second = report.program.maps[table.sources[1]]
    channelwise = _shape(second) == (report.program.maps[table.destination].channels, 1, 1)
    sources = table.sources[:1] if channelwise else table.sources
    _check_same_shape(report, where, sources, table.destination)


def _check_lookup(report: Report, where: str, table: LookupTable) -> None:
    source, target = (report.program.maps[i] for i in (table.source, table.destination))
    _check_same_shape(report, where, (table.source,), table.destination)
    shapes = [(rows, 2**source.bits) for rows in (1, source.channels)]
    if report.require(
        table.values.shape in shapes and table.values.dtype == np.int64,
        where,
        f"Its values must be int64 [1 or {source.channels}, {2**source.bits}].",
    ):
        inside = bool(((table.values >= 0) & (table.values < 2**target.bits)).all())
        report.require(inside, where, f"A value is no activation of {target.bits} bits.")


def _check_concat(report: Report, where: str, table: ConcatTable) -> None:
    maps = report.program.maps
    target = maps[table.destination]
    for source in table.sources:
        _check_kept(report, where, maps[source], target)
    if not report.require(0 <= table.axis <= 2, where, f"There is no axis {table.axis}."):
        return
    shapes = [_shape(maps[source]) for source in table.sources]
    whole = list(_shape(target))
    others = {(*shape[: table.axis], *shape[table.axis + 1 :]) for shape in shapes}
    size = sum(shape[table.axis] for shape in shapes)
    report.require(
        others == {(*whole[: table.axis], *whole[table.axis + 1 :])} and size == whole[table.axis],
        where,
        f"Its sources do not make up the shape {whole}.",
    )


def _check_select(report: Report, where: str, table: SelectTable) -> None:
    source, target = (report.program.maps[i] for i in (table.source, table.destination))
    _check_kept(report, where, source, target)
    if report.require(
        table.selection.fits(_shape(source)),
        where,
        f"It takes what the shape {list(_shape(source))} of '{source.name}' lacks.",
    ):
        size = list(table.selection.shape(_shape(source)))
        made = size == list(_shape(target))
        report.require(made, where, f"Its result must have the shape {size}.")


def _check_constant(report: Report, where: str, table: ConstantTable) -> None:
    target = report.program.maps[table.destination]
    if report.require(
        table.values.shape == _shape(target) and table.values.dtype == np.int64,
        where,
        f"Its values must be int64 {list(_shape(target))}.",
    ):
        inside = bool(((table.values >= 0) & (table.values < 2**target.bits)).all())
        report.require(inside, where, f"A value is no activation of {target.bits} bits.")


def _check_pad(report: Report, where: str, table: PadTable) -> None:
    source, target = (report.program.maps[i] for i in (table.source, table.destination))
    _check_kept(report, where, source, target)
    (before, after), (top, left, bottom, right) = table.channels, table.pads
    size = [
        source.channels + before + after,
        source.height + top + bottom,
        source.width + left + right,
    ]
    report.require(min(*table.channels, *table.pads) >= 0, where, "It pads with less than nothing.")
    report.require(size == list(_shape(target)), where, f"Its result must have the shape {size}.")


def _check_pool(report: Report, where: str, table: PoolTable) -> None:
    source, target = (report.program.maps[i] for i in (table.source, table.destination))
    report.require(source.channels == target.channels, where, "It changes the number of channels.")
    if not check_window(report, where, table):
        return
    if table.kind == "sum":
        _check_counted(report, where, table)
        return
    report.require(table.counted is None, where, "Nothing is counted for a maximum.")
    _check_kept(report, where, source, target)
    for axis, (size, outputs) in enumerate(
        ((source.height, target.height), (source.width, target.width))
    ):
        first = np.arange(outputs) * table.window.strides[axis] - table.window.pads[axis]
        reads = first[:, None] + np.arange(table.window.kernel[axis]) * table.window.dilations[axis]
        inside = ((reads >= 0) & (reads < size)).any(axis=1).all()
        report.require(bool(inside), where, "One of its windows lies outside the image.")


def _check_counted(report: Report, where: str, table: PoolTable) -> None:
    """What counts is padding, and the sums have a common multiple."""
    counted, pads = table.counted, table.window.pads
    if counted is None or not report.require(
        all(0 <= some <= every for some, every in zip(counted, pads, strict=True)),
        where,
        "It counts more padding than there is.",
    ):
        return
    source = report.program.maps[table.source]
    try:
        integers.window_shares(table.window, counted, (source.height, source.width))
    except ValueError as problem:
        report.add(where, f"Its sums have no common step: {problem}.")


def _check_kept(report: Report, where: str, source: FeatureMap, target: FeatureMap) -> None:
    same = (source.element, source.bits, source.zero_point) == (
        target.element,
        target.bits,
        target.zero_point,
    )
    report.require(same, where, "It must keep the type, the bits and the zero point.")


def _check_rearrange(report: Report, where: str, table: RearrangeTable) -> None:
    source, target = (report.program.maps[i] for i in (table.source, table.destination))
    _check_kept(report, where, source, target)
    permuted = sorted(table.perm) == [0, 1, 2]
    report.require(permuted, where, f"{list(table.perm)} does not permute 3 dims.")
    report.require(
        (target.channels, target.height, target.width) == table.shape,
        where,
        f"Its result must have the shape {list(table.shape)}.",
    )
    size = source.channels * source.height * source.width
    report.require(
        math.prod(table.shape) == size,
        where,
        f"Its shape {list(table.shape)} has not the {size} elements of its source.",
    )


def _check_host(report: Report, where: str, table: HostTable) -> None:
    good = FRAGMENT_NAME.fullmatch(table.fragment) is not None
    report.require(good, where, f"'{table.fragment}' is no name of a fragment.")
    for index in (*table.sources, table.destination):
        held = report.program.maps[index]
        placed = held.address != NO_ADDRESS
        report.require(placed, where, f"'{held.name}' has no place off chip.")


def _check_requantize(report: Report, where: str, table: RequantizeTable) -> None:
    _check_same_shape(report, where, table.sources, table.destination)
    target = report.program.maps[table.destination]
    arrays = (table.multipliers, table.shifts, table.offsets)
    expected = [(len(table.sources), target.channels), (target.channels,), (target.channels,)]
    if report.require(
        [a.shape for a in arrays] == expected and {a.dtype for a in arrays} == {np.dtype(np.int64)},
        where,
        "Its multipliers must be int64 [sources, channels], its shifts and offsets int64 "
        "[channels].",
    ):
        shifts = bool(((table.shifts >= 1) & (table.shifts <= integers.MAXIMUM_SHIFT)).all())
        report.require(shifts, where, f"A shift lies outside [1, {integers.MAXIMUM_SHIFT}].")
        limit = 2**integers.MULTIPLIER_BITS
        sizes = bool((np.abs(table.multipliers) < limit).all())
        report.require(sizes, where, f"A multiplier lies outside [{1 - limit}, {limit - 1}].")
    report.require(
        0 <= table.low <= table.high < 2**target.bits,
        where,
        f"Its bounds {table.low} and {table.high} are no range of {target.bits}-bit activations.",
    )
