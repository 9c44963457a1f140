"""The tables of a program as files: a JSON document and two sets of arrays.

`tables.json` is for people as well: it holds maps, rounds and numbers.  What is long goes into
safetensors: int64 biases and offsets, int32 corrections, multipliers and shifts, uint8 values of
look-ups and constants, and the epitome matrices in the smallest signed type that holds their bits,
each once, though several tables may use it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from epimc.backends.crossbar.documents import lay_out, read_document
from epimc.backends.crossbar.program import (
    AddTable,
    Array,
    ConcatTable,
    ConstantTable,
    FeatureMap,
    HostTable,
    LookupTable,
    MultiplyTable,
    MvmTable,
    PadTable,
    PoolTable,
    Port,
    Program,
    RearrangeTable,
    RequantizeTable,
    SelectTable,
    Table,
)
from epimc.backends.crossbar.records import (
    FORMAT,
    TABLE_TYPES,
    AddRecord,
    ConcatRecord,
    ConstantRecord,
    HostRecord,
    LookupRecord,
    MultiplyRecord,
    MvmRecord,
    PadRecord,
    PoolRecord,
    ProgramRecord,
    RequantizeRecord,
    SelectRecord,
    TableRecord,
    complaints,
)
from epimc.backends.crossbar.report import OPERATIONS
from epimc.diagnostics import error
from epimc.ir.integers import Ints

Arrays = dict[str, NDArray[Any]]

DOCUMENT, NUMBERS, WEIGHTS = "tables.json", "tables.safetensors", "weights.safetensors"

MAXIMUM_NOTES = 20


@dataclass(frozen=True, eq=False)
class Contents:
    """All of a program but its streams and its chip."""

    maps: tuple[FeatureMap, ...]
    tables: tuple[Table, ...]
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]


# --- writing ------------------------------------------------------------------------------------


def write_tables(program: Program) -> dict[str, bytes]:
    """The files `tables.json`, `tables.safetensors` and `weights.safetensors` by name.

    Raises:
        ValueError: Two tables use one name for different weights, or an integer does not fit its
            type: a defect of the compiler.
    """
    numbers: Arrays = {}
    weights: Arrays = {}
    document = {
        "format": FORMAT,
        "inputs": [asdict(port) for port in program.inputs],
        "outputs": [asdict(port) for port in program.outputs],
        "maps": [asdict(item) for item in program.maps],
        "tables": [
            as_record(str(i), table, numbers, weights) for i, table in enumerate(program.tables)
        ],
    }
    text = lay_out(document).encode()
    return {DOCUMENT: text, NUMBERS: save(numbers), WEIGHTS: save(weights)}


# The integers in `tables.safetensors` of a requantization, by field.
REQUANTIZE_TYPES: dict[str, type[np.integer[Any]]] = {
    "multipliers": np.int32,
    "shifts": np.int32,
    "offsets": np.int64,
}


def as_record(key: str, table: Table, numbers: Arrays, weights: Arrays) -> dict[str, Any]:
    """One table for the document; its arrays go into `numbers` and `weights`."""
    if isinstance(table, MvmTable):
        return as_mvm_record(key, table, numbers, weights)
    if isinstance(table, RequantizeTable):
        replaced = {name: f"{key}.{name}" for name in REQUANTIZE_TYPES}
        for name, kind in REQUANTIZE_TYPES.items():
            numbers[replaced[name]] = narrowed(getattr(table, name), kind, replaced[name])
        return {"type": "requantize", **vars(table), **replaced}
    if isinstance(table, LookupTable):
        name = f"{key}.values"
        numbers[name] = narrowed(table.values, np.uint8, name)
        return {"type": "lookup", **vars(table), "values": {"key": name, "rows": len(table.values)}}
    if isinstance(table, ConstantTable):
        name = f"{key}.values"
        numbers[name] = narrowed(table.values, np.uint8, name)
        return {"type": "constant", "destination": table.destination, "values": name}
    return {"type": OPERATIONS[type(table)], **asdict(table)}


def as_mvm_record(key: str, table: MvmTable, numbers: Arrays, weights: Arrays) -> dict[str, Any]:
    """An `MvmTable` for the document."""
    name = table.weights_name
    matrix = narrowed(table.weights, weight_type(table.weight_bits), name)
    known = weights.setdefault(name, matrix)
    if known is not matrix and not np.array_equal(known, matrix):
        raise ValueError(f"two tables have different weights of the name '{name}'")
    numbers[f"{key}.corrections"] = narrowed(table.corrections, np.int32, f"{key}.corrections")
    numbers[f"{key}.bias"] = narrowed(table.bias, np.int64, f"{key}.bias")
    rows, columns = table.weights.shape
    return {
        "type": "mvm",
        "tile": table.tile,
        "source": table.source,
        "destination": table.destination,
        "window": asdict(table.window),
        "weights": {"key": name, "rows": rows, "columns": columns},
        "weight_bits": table.weight_bits,
        "mapping": table.mapping,
        "cell_bits": table.cell_bits,
        "rounds": [asdict(item) for item in table.rounds],
        "arrays": [asdict(item) for item in table.arrays],
        "corrections": f"{key}.corrections",
        "bias": f"{key}.bias",
        "groups": table.groups,
        "pack": table.pack,
    }


def weight_type(bits: int) -> type[np.signedinteger[Any]]:
    """The smallest type that holds signed weights of so many bits, at most 16."""
    return np.int8 if bits <= 8 else np.int16


def narrowed(values: Ints, kind: DTypeLike, name: str) -> NDArray[Any]:
    """The same integers in another type, contiguous; ValueError if one does not fit."""
    result = np.ascontiguousarray(values, kind)
    if result is not values and not np.array_equal(result, values):
        raise ValueError(f"a number of '{name}' does not fit {np.dtype(kind).name}")
    return result


# --- reading ------------------------------------------------------------------------------------


def read_tables(files: Mapping[str, bytes], bundle: str) -> Contents:
    """The inverse of `write_tables`.

    Args:
        files: Contents of the three files by name.
        bundle: What messages call the bundle.

    Raises:
        OtherVersionError: The document is of another version of its format.
        EpimcError: A file is broken, or holds something else than the document declares.
    """
    subject = f"File '{DOCUMENT}' of bundle '{bundle}'"
    record = read_document(files[DOCUMENT], ProgramRecord, subject, TABLE_TYPES, FORMAT)
    if found := complaints(record):
        raise error(f"{subject} contradicts itself.", notes=found[:MAXIMUM_NOTES])
    maps = tuple(item.build() for item in record.maps)
    numbers = Tensors(files[NUMBERS], f"File '{NUMBERS}' of bundle '{bundle}'", np.int64)
    weights = Tensors(files[WEIGHTS], f"File '{WEIGHTS}' of bundle '{bundle}'")
    tables = tuple(build(item, maps, numbers, weights) for item in record.tables)
    for tensors in (numbers, weights):
        tensors.check_all_are_used()
    inputs = tuple(port.build() for port in record.inputs)
    outputs = tuple(port.build() for port in record.outputs)
    return Contents(maps, tables, inputs, outputs)


class Tensors:
    """The arrays of a safetensors file, each converted once."""

    def __init__(self, data: bytes, subject: str, kind: DTypeLike | None = None) -> None:
        """Read the file.

        Args:
            data: Its contents.
            subject: What messages begin with.
            kind: The type in which arrays are handed out; None: that in which they are stored.

        Raises:
            EpimcError: It is not a safetensors file.
        """
        self.subject, self.kind = subject, kind
        self.used: Arrays = {}
        try:
            self.stored = load(data)
        # Besides its own error, the library raises these for types that numpy does not have.
        except (SafetensorError, KeyError, TypeError, ValueError) as caught:
            raise error(f"{subject} is not a safetensors file.", notes=[str(caught)]) from None

    def take(self, key: str, kind: DTypeLike, shape: tuple[int, ...]) -> NDArray[Any]:
        """The array of a key, which must have this type and shape."""
        array = self.stored.get(key)
        if array is None:
            raise error(f"{self.subject} lacks the array '{key}'.")
        if array.dtype != kind or array.shape != shape:
            expected = f"{np.dtype(kind).name} {list(shape)}"
            found = f"{array.dtype.name} {list(array.shape)}"
            raise error(
                f"{self.subject} has a wrong array '{key}'.",
                notes=[f"Expected {expected}, found {found}."],
            )
        if key not in self.used:
            self.used[key] = array.astype(self.kind or array.dtype, copy=False)
        return self.used[key]

    def check_all_are_used(self) -> None:
        """Raise EpimcError if an array has never been taken."""
        if spare := sorted(set(self.stored) - set(self.used)):
            raise error(f"{self.subject} has an array '{spare[0]}' that no table uses.")


def build(
    record: TableRecord, maps: tuple[FeatureMap, ...], numbers: Tensors, weights: Tensors
) -> Table:
    """The table that a record describes."""
    if isinstance(record, MvmRecord):
        return build_mvm(record, maps[record.destination].channels, numbers, weights)
    if isinstance(record, RequantizeRecord):
        channels = maps[record.destination].channels
        return RequantizeTable(
            record.sources,
            record.destination,
            numbers.take(record.multipliers, np.int32, (len(record.sources), channels)),
            numbers.take(record.shifts, np.int32, (channels,)),
            record.low,
            record.high,
            numbers.take(record.offsets, np.int64, (channels,)),
        )
    if isinstance(record, LookupRecord):
        shape = (record.values.rows, 2 ** maps[record.source].bits)
        values = numbers.take(record.values.key, np.uint8, shape)
        return LookupTable(record.source, record.destination, values)
    if isinstance(record, PoolRecord):
        window = record.window.build()
        return PoolTable(record.kind, record.source, record.destination, window, record.counted)
    if isinstance(record, AddRecord):
        return AddTable(record.sources, record.destination)
    if isinstance(record, MultiplyRecord):
        return MultiplyTable(record.sources, record.destination)
    if isinstance(record, ConcatRecord):
        return ConcatTable(record.sources, record.destination, record.axis)
    if isinstance(record, SelectRecord):
        return SelectTable(record.source, record.destination, record.selection.build())
    if isinstance(record, ConstantRecord):
        held = maps[record.destination]
        values = numbers.take(record.values, np.uint8, (held.channels, held.height, held.width))
        return ConstantTable(record.destination, values)
    if isinstance(record, PadRecord):
        return PadTable(record.source, record.destination, record.channels, record.pads)
    if isinstance(record, HostRecord):
        return HostTable(record.fragment, record.sources, record.destination)
    return RearrangeTable(record.source, record.destination, record.perm, record.shape)


def build_mvm(record: MvmRecord, channels: int, numbers: Tensors, weights: Tensors) -> MvmTable:
    """The `MvmTable` that a record describes."""
    shape = (record.weights.rows, record.weights.columns)
    columns = sum(array.columns for array in record.arrays)
    return MvmTable(
        tile=record.tile,
        source=record.source,
        destination=record.destination,
        window=record.window.build(),
        weights_name=record.weights.key,
        weights=weights.take(record.weights.key, weight_type(record.weight_bits), shape),
        weight_bits=record.weight_bits,
        mapping=record.mapping,
        cell_bits=record.cell_bits,
        rounds=tuple(item.build() for item in record.rounds),
        arrays=tuple(Array(**dict(item)) for item in record.arrays),
        corrections=numbers.take(record.corrections, np.int32, (len(record.rounds), columns)),
        bias=numbers.take(record.bias, np.int64, (channels,)),
        groups=record.groups,
        pack=record.pack,
    )
