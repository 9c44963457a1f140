"""Static checks of tables: indices, shapes, element types, ranges."""

from __future__ import annotations

import math
import re

import numpy as np

from epimc.backends.crossbar.check_mvm import check_mvm, check_window
from epimc.backends.crossbar.program import (
    NO_ADDRESS,
    AddTable,
    FeatureMap,
    HostTable,
    MvmTable,
    PoolTable,
    RearrangeTable,
    RequantizeTable,
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
                _check_same_shape(report, where, table)


def _check_indices(report: Report, where: str, table: Table) -> bool:
    """Whether the maps that a table names exist and have the right element types."""
    maps = report.program.maps
    sources = table_sources(table)
    if not report.require(bool(sources), where, "It reads no map."):
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


def _check_same_shape(report: Report, where: str, table: Table) -> None:
    maps = report.program.maps
    target = maps[table.destination]
    shape = (target.channels, target.height, target.width)
    for source in table_sources(table):
        held = maps[source]
        report.require(
            (held.channels, held.height, held.width) == shape,
            where,
            f"'{held.name}' has not the shape {list(shape)} of '{target.name}'.",
        )


def _check_pool(report: Report, where: str, table: PoolTable) -> None:
    source, target = (report.program.maps[i] for i in (table.source, table.destination))
    report.require(source.channels == target.channels, where, "It changes the number of channels.")
    if not check_window(report, where, table) or table.kind == "sum":
        return
    _check_kept(report, where, source, target)
    for axis, (size, outputs) in enumerate(
        ((source.height, target.height), (source.width, target.width))
    ):
        first = np.arange(outputs) * table.window.strides[axis] - table.window.pads[axis]
        reads = first[:, None] + np.arange(table.window.kernel[axis]) * table.window.dilations[axis]
        inside = ((reads >= 0) & (reads < size)).any(axis=1).all()
        report.require(bool(inside), where, "One of its windows lies outside the image.")


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
    _check_same_shape(report, where, table)
    target = report.program.maps[table.destination]
    shapes = (table.multipliers.shape, table.shifts.shape)
    expected = ((len(table.sources), target.channels), (target.channels,))
    types = {table.multipliers.dtype, table.shifts.dtype}
    if report.require(
        shapes == expected and types == {np.dtype(np.int64)},
        where,
        "Its multipliers must be int64 [sources, channels], its shifts int64 [channels].",
    ):
        shifts = bool(((table.shifts >= 1) & (table.shifts <= integers.MAXIMUM_SHIFT)).all())
        report.require(shifts, where, f"A shift lies outside [1, {integers.MAXIMUM_SHIFT}].")
        limit = 2**integers.MULTIPLIER_BITS
        sizes = bool(((table.multipliers > 0) & (table.multipliers < limit)).all())
        report.require(sizes, where, f"A multiplier lies outside [1, {limit - 1}].")
    report.require(
        0 <= table.low <= table.high < 2**target.bits,
        where,
        f"Its bounds {table.low} and {table.high} are no range of {target.bits}-bit activations.",
    )
