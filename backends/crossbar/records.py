"""The form of `tables.json`: one record for every dataclass of `program.py`, with its limits.

What the records accept is of sane size, so that no number in a file makes a reader allocate
without bound; whether the program is right is for the checker to say.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field

from epimc.backends.crossbar import program
from epimc.backends.crossbar.documents import Record
from epimc.backends.crossbar.target import MappingName
from epimc.ir import integers
from epimc.layouts import Selection

MAXIMUM_MAP_BYTES = 2**31

Index = Annotated[int, Field(ge=0, lt=2**16)]
Count = Annotated[int, Field(ge=1, lt=2**31)]
Offset = Annotated[int, Field(ge=0, lt=2**31)]
Signed = Annotated[int, Field(gt=-(2**31), lt=2**31)]
Extent = Annotated[int, Field(ge=1, le=4096)]
Padding = Annotated[int, Field(ge=0, le=4096)]
Name = Annotated[str, Field(min_length=1, max_length=4096)]
Range = tuple[Offset, Count]
Run = tuple[Offset, Count, Signed]


class MapRecord(Record):
    """A `FeatureMap`."""

    name: Name
    channels: Count
    height: Count
    width: Count
    element: Literal["u8", "i64"]
    bits: Annotated[int, Field(ge=0, le=8)]
    zero_point: Annotated[int, Field(ge=0, le=255)]
    address: Annotated[int, Field(ge=program.NO_ADDRESS, le=2**40)]
    location: str
    scale: Annotated[float, Field(ge=0)]

    def build(self) -> program.FeatureMap:
        """The feature map itself."""
        return program.FeatureMap(**self.model_dump())


class WindowRecord(Record):
    """A `Window`."""

    kernel: tuple[Extent, Extent]
    strides: tuple[Extent, Extent]
    pads: tuple[Padding, Padding, Padding, Padding]
    dilations: tuple[Extent, Extent]

    def build(self) -> integers.Window:
        """The window itself."""
        return integers.Window(**self.model_dump())


class OfatRecord(Record):
    """An `OfatEntry`."""

    column: Offset
    count: Count
    destination: Offset
    multiplier: Signed
    accumulate: bool


class RoundRecord(Record):
    """A `Round`."""

    ifat: tuple[Range, ...]
    ifrt: tuple[Range, ...]
    ofat: tuple[OfatRecord, ...]

    def build(self) -> program.Round:
        """The round itself."""
        entries = tuple(program.OfatEntry(**dict(entry)) for entry in self.ofat)
        return program.Round(self.ifat, self.ifrt, entries)


class ArrayRecord(Record):
    """An `Array`."""

    crossbar: Index
    row: Offset
    rows: Extent
    column: Offset
    columns: Extent


class WeightsRecord(Record):
    """The epitome matrix: its key in `weights.safetensors` and its shape."""

    key: Name
    rows: Count
    columns: Count


class MvmRecord(Record):
    """An `MvmTable`; corrections and bias are keys in `tables.safetensors`."""

    type: Literal["mvm"]
    tile: Index
    source: Index
    destination: Index
    window: WindowRecord
    weights: WeightsRecord
    weight_bits: Annotated[int, Field(ge=1, le=16)]
    mapping: MappingName
    cell_bits: Annotated[int, Field(ge=1, le=4)]
    rounds: tuple[RoundRecord, ...]
    arrays: tuple[ArrayRecord, ...]
    corrections: Name
    bias: Name
    groups: Count
    pack: Count


class RequantizeRecord(Record):
    """A `RequantizeTable`; multipliers, shifts and offsets are keys in `tables.safetensors`."""

    type: Literal["requantize"]
    sources: Annotated[tuple[Index, ...], Field(min_length=1, max_length=255)]
    destination: Index
    multipliers: Name
    shifts: Name
    low: Annotated[int, Field(ge=0, le=255)]
    high: Annotated[int, Field(ge=0, le=255)]
    offsets: Name


class PoolRecord(Record):
    """A `PoolTable`."""

    type: Literal["pool"]
    kind: Literal["max", "sum"]
    source: Index
    destination: Index
    window: WindowRecord
    counted: tuple[Padding, Padding, Padding, Padding] | None


class RearrangeRecord(Record):
    """A `RearrangeTable`."""

    type: Literal["rearrange"]
    source: Index
    destination: Index
    perm: tuple[Index, Index, Index]
    shape: tuple[Count, Count, Count]


class AddRecord(Record):
    """An `AddTable`."""

    type: Literal["add"]
    sources: tuple[Index, Index]
    destination: Index


class MultiplyRecord(Record):
    """A `MultiplyTable`."""

    type: Literal["multiply"]
    sources: tuple[Index, Index]
    destination: Index


class ValuesRecord(Record):
    """The values of a look-up: their key in `tables.safetensors` and how many rows they have."""

    key: Name
    rows: Count


class LookupRecord(Record):
    """A `LookupTable`."""

    type: Literal["lookup"]
    source: Index
    destination: Index
    values: ValuesRecord


class ConcatRecord(Record):
    """A `ConcatTable`."""

    type: Literal["concat"]
    sources: Annotated[tuple[Index, ...], Field(min_length=1, max_length=255)]
    destination: Index
    axis: Annotated[int, Field(ge=0, le=2)]


class SelectionRecord(Record):
    """A `Selection`."""

    channels: tuple[Run, ...]
    rows: tuple[Run, ...]
    columns: tuple[Run, ...]

    def build(self) -> Selection:
        """The selection itself."""
        return Selection(**self.model_dump())


class SelectRecord(Record):
    """A `SelectTable`."""

    type: Literal["select"]
    source: Index
    destination: Index
    selection: SelectionRecord


class ConstantRecord(Record):
    """A `ConstantTable`; the values are a key in `tables.safetensors`."""

    type: Literal["constant"]
    destination: Index
    values: Name


class HostRecord(Record):
    """A `HostTable`."""

    type: Literal["host"]
    fragment: Name
    sources: Annotated[tuple[Index, ...], Field(min_length=1, max_length=255)]
    destination: Index


class PadRecord(Record):
    """A `PadTable`."""

    type: Literal["pad"]
    source: Index
    destination: Index
    channels: tuple[Offset, Offset]
    pads: tuple[Offset, Offset, Offset, Offset]


class PortRecord(Record):
    """A `Port`."""

    name: Name
    shape: Annotated[tuple[Count, ...], Field(max_length=16)]
    map: Index
    scale: Annotated[float, Field(gt=0)]

    def build(self) -> program.Port:
        """The port itself."""
        return program.Port(**self.model_dump())


TableRecord = (
    MvmRecord
    | RequantizeRecord
    | PoolRecord
    | RearrangeRecord
    | AddRecord
    | MultiplyRecord
    | LookupRecord
    | ConcatRecord
    | SelectRecord
    | ConstantRecord
    | PadRecord
    | HostRecord
)

TABLE_TYPES = (
    *("mvm", "requantize", "pool", "rearrange", "add"),
    *("multiply", "lookup", "concat", "select", "constant", "pad", "host"),
)


class ProgramRecord(Record):
    """The whole of `tables.json`."""

    inputs: tuple[PortRecord, ...]
    outputs: tuple[PortRecord, ...]
    maps: Annotated[tuple[MapRecord, ...], Field(max_length=2**16)]
    tables: Annotated[
        tuple[Annotated[TableRecord, Field(discriminator="type")], ...], Field(max_length=2**16)
    ]


def complaints(record: ProgramRecord) -> list[str]:
    """What the fields, each right by itself, say against each other; empty when nothing."""
    found = [
        f"maps[{i}] has more than {MAXIMUM_MAP_BYTES} bytes."
        for i, item in enumerate(record.maps)
        if (shape := item.build()).row_stride * shape.height > MAXIMUM_MAP_BYTES
    ]
    for side, ports in (("inputs", record.inputs), ("outputs", record.outputs)):
        for i, port in enumerate(ports):
            found += unknown_maps(f"{side}[{i}]", [port.map], len(record.maps))
            if math.prod(port.shape) > MAXIMUM_MAP_BYTES:
                found.append(f"{side}[{i}].shape has more than {MAXIMUM_MAP_BYTES} elements.")
    for i, table in enumerate(record.tables):
        found += unknown_maps(f"tables[{i}]", maps_of(table), len(record.maps))
        if not found and isinstance(table, MvmRecord):
            found += overlong_rounds(f"tables[{i}]", table, record.maps[table.source].channels)
    return found


def maps_of(table: TableRecord) -> list[int]:
    """The numbers of the maps that a table reads and writes."""
    if isinstance(table, (RequantizeRecord, AddRecord, MultiplyRecord, ConcatRecord, HostRecord)):
        return [*table.sources, table.destination]
    if isinstance(table, ConstantRecord):
        return [table.destination]
    return [table.source, table.destination]


def unknown_maps(place: str, maps: list[int], count: int) -> list[str]:
    """A complaint for every number of a map that the program does not have."""
    return [f"{place} names map {i}, but there are {count}." for i in maps if i >= count]


def overlong_rounds(place: str, table: MvmRecord, channels: int) -> list[str]:
    """A complaint for every round that names more channels or rows than there are."""
    found = []
    for i, item in enumerate(table.rounds):
        for name, ranges, limit in (
            ("ifat", item.ifat, channels),
            ("ifrt", item.ifrt, table.weights.rows),
        ):
            end = max((first + count for first, count in ranges), default=0)
            if max(end, sum(count for _, count in ranges)) > limit:
                found.append(f"{place}.rounds[{i}].{name} names more than there are, {limit}.")
    return found
