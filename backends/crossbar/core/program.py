"""A program for a crossbar chip, as data: feature maps, tables, and one instruction stream a tile.

Everything here describes ONE sample; the batch is an execution-time dimension.  The bundle stores
it (`bundle/program_files.py`), the compiler makes it (`lower/emit.py`), the checker and the
simulator read it.  What the tables are, the instructions say that use them (`instructions/`).
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal, Protocol, TypeVar

import numpy as np
from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from epimc.backends.crossbar.core.counts import Counts
from epimc.backends.crossbar.core.limits import (
    FIRST_MISTAKE,
    STRICT,
    Activation,
    Count,
    Index,
    Name,
)
from epimc.backends.crossbar.core.source_rows import SourceRows
from epimc.support.origins import Nodes
from epimc.support.port_types import PortType

# Every row starts at a multiple of this many bytes, in tile buffers and off chip: that of the
# largest element, so that a row can be viewed as its elements without a copy.
ALIGNMENT = 8

NO_ADDRESS = -1

ElementName = Literal["u8", "u16", "i64", "token"]


@dataclass(frozen=True)
class Element:
    """An element type of feature maps.

    Attributes:
        dtype: How an element lies in memory, little-endian.
        bits: The most bits of an activation; 0 for what is none.
    """

    dtype: np.dtype[Any]
    bits: int

    @property
    def size(self) -> int:
        """Bytes of an element."""
        return self.dtype.itemsize


ELEMENTS: Mapping[str, Element] = {
    "u8": Element(np.dtype("u1"), 8),
    "u16": Element(np.dtype("<u2"), 16),
    "i64": Element(np.dtype("<i8"), 0),
    "token": Element(np.dtype("u1"), 0),
}
ACCUMULATOR: ElementName = "i64"
TOKEN: ElementName = "token"


def activation_element(bits: int) -> ElementName:
    """The smallest element type that holds activations of so many bits, at most 16."""
    return "u8" if bits <= ELEMENTS["u8"].bits else "u16"


def aligned(size: int) -> int:
    """The next multiple of ALIGNMENT."""
    return -(-size // ALIGNMENT) * ALIGNMENT


def with_rows(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of a map in a file, if it has rows, columns and channels.

    Raises:
        PydanticCustomError: It has not.
    """
    if len(shape) < 3:
        raise PydanticCustomError("map", "a map has three dims or more")
    return shape


@dataclass(frozen=True)
class FeatureMap:
    """A value that instructions write and read row by row; a row is [channels, width].

    Attributes:
        name: Name of the IR value; unique in the program.
        shape: Of one sample: rows and columns last, and before them dims that count as channels.
        element: `u8` (activations of 1 to 8 bits), `u16` (of 9 to 16), `i64` (accumulators) or
            `token`: one byte that says that the host has certain values, of any type.
        bits: Bits of an activation, 0 for all else.
        zero_point: Of activations, 0 for all else.
        address: Off-chip address of row 0; -1 for a map that never leaves the chip.
        nodes: The ONNX nodes it stands for; none for inputs.
        scale: Real value of one step of activations; 0 for all else.
    """

    __pydantic_config__ = STRICT

    name: Name
    shape: Annotated[tuple[Count, ...], Field(max_length=16), AfterValidator(with_rows)]
    element: ElementName
    bits: Annotated[int, Field(ge=0, le=16)] = 0
    zero_point: Activation = 0
    address: Annotated[int, Field(ge=NO_ADDRESS, le=2**40)] = NO_ADDRESS
    nodes: Annotated[Nodes, FIRST_MISTAKE] = ()
    scale: Annotated[float, Field(ge=0)] = 0.0

    @cached_property
    def channels(self) -> int:
        """Of a row: all dims but the last two, as one."""
        return math.prod(self.shape[:-2])

    @property
    def height(self) -> int:
        """How many rows there are."""
        return self.shape[-2]

    @property
    def width(self) -> int:
        """How many columns there are."""
        return self.shape[-1]

    @property
    def dims(self) -> tuple[int, int, int]:
        """[C, H, W]: dims before the last two count as channels."""
        return self.channels, self.height, self.width

    @property
    def dtype(self) -> np.dtype[Any]:
        """How an element lies in memory."""
        return ELEMENTS[self.element].dtype

    @property
    def is_activation(self) -> bool:
        """Whether it holds activations, and neither accumulators nor a token."""
        return self.element not in (ACCUMULATOR, TOKEN)

    @property
    def is_token(self) -> bool:
        """Whether it stands for values that the host alone knows."""
        return self.element == TOKEN

    @cached_property
    def row_bytes(self) -> int:
        """Bytes of a row, without padding."""
        return self.channels * self.width * ELEMENTS[self.element].size

    @cached_property
    def row_stride(self) -> int:
        """Bytes from a row to the next, off chip and in a ring."""
        return aligned(self.row_bytes)


Maps = tuple[FeatureMap, ...]
"""All feature maps of a program; tables name them by their numbers."""


def stated_type(text: str) -> str:
    """The text of a port's type, if it is one.

    Raises:
        PydanticCustomError: It is not.
    """
    try:
        PortType.parse(text)
    except ValueError as problem:
        raise PydanticCustomError("type", "{said}", {"said": str(problem)}) from None
    return text


@dataclass(frozen=True)
class Port:
    """A graph input or output at the border: quantized from, or dequantized to, float32.

    Attributes:
        name: The ONNX name.
        shape: Of one sample, as the model has it.
        map: The feature map that holds it off chip.
        scale: Real value of one step.
    """

    __pydantic_config__ = STRICT

    name: Name
    shape: Annotated[tuple[Count, ...], Field(max_length=16)]
    map: Index
    scale: Annotated[float, Field(gt=0)]

    @property
    def port_type(self) -> PortType:
        """What it is."""
        return PortType(dims=self.shape)


@dataclass(frozen=True)
class HostPort:
    """A graph input that the host takes, or an output that it gives, as the user's model has it.

    Attributes:
        name: The ONNX name.
        type: What it is (`support/port_types.py`).
        token: The map that stands for it off chip, by number.
        result: Which of the values is it that the map stands for.
    """

    __pydantic_config__ = STRICT

    name: Name
    type: Annotated[str, Field(max_length=1000), AfterValidator(stated_type)]
    token: Index
    result: Annotated[int, Field(ge=0, lt=2**20)] = 0

    @property
    def map(self) -> int:
        """The map, as a port of the chip names it."""
        return self.token

    @property
    def port_type(self) -> PortType:
        """What it is."""
        return PortType.parse(self.type)

    @property
    def shape(self) -> tuple[int, ...] | None:
        """Of one sample, where it is known beforehand."""
        return self.port_type.shape


AnyPort = Port | HostPort


@dataclass(frozen=True)
class Ring:
    """A ring of `rows` rows in a tile buffer: row y lies at address + (y % rows) * row_stride."""

    address: int
    rows: int

    def slot(self, row: int, stride: int) -> int:
        """The address of a row, rows being `stride` bytes apart."""
        return self.address + row % self.rows * stride


@dataclass(frozen=True)
class Advance:
    """An operand inside loops that advances with their iterations.

    Attributes:
        first: Its value in the first iteration of all loops.
        strides: What every further iteration adds, innermost loop first; the last is not 0.
        region: (low, size): the sum is taken modulo `size` from `low` on, which is how an address
            goes round a ring; None: it is taken as it is.
    """

    first: int | tuple[int, int]
    strides: tuple[int, ...]
    region: tuple[int, int] | None = None


@dataclass(frozen=True)
class Instruction:
    """One instruction in a stream: the name of its class (`instructions/`), and its operands."""

    opcode: str
    operands: tuple[int | tuple[int, int] | Ring | tuple[Ring, ...] | Advance, ...]

    @cached_property
    def advances(self) -> bool:
        """Whether an operand advances, so that it differs from iteration to iteration."""
        return any(isinstance(operand, Advance) for operand in self.operands)


Streams = tuple[tuple[Instruction, ...], ...]
"""What each tile executes."""


@dataclass(frozen=True)
class Chip:
    """What a program needs to know of its target, and what the checker holds it to.

    Attributes:
        tiles: How many there are.
        crossbars_per_tile: Arrays of a tile.
        crossbar_rows: Word lines of an array.
        crossbar_columns: Bit lines of an array.
        cell_bits: Bits of a cell.
        dac_bits: Input bits that drive a word line at a time.
        adc_bits: Bits that are read from a bit line.
        buffer_bytes: Of a tile.
        off_chip_bytes: Memory beside the chip.
        rows_per_read: The most word lines of an array that are driven at a time; 0 for all.
    """

    tiles: int
    crossbars_per_tile: int
    crossbar_rows: int
    crossbar_columns: int
    cell_bits: int
    dac_bits: int
    adc_bits: int
    buffer_bytes: int
    off_chip_bytes: int
    rows_per_read: int = 0


class ProgramTable(Protocol):
    """What a program asks of its tables; `instructions/table.py` says all that they are.

    Attributes:
        name: Of its instruction.
        joins_parts: Whether it adds the parts of one layer.
    """

    name: ClassVar[str]
    joins_parts: ClassVar[bool]

    @property
    def destination(self) -> int:
        """The map that it computes, by number."""

    @property
    def sources(self) -> Sequence[int]:
        """The maps that it reads, by number."""

    def tile_problem(self, tile: int, number: int) -> str:
        """Why a tile cannot execute it as table `number`; empty when it can."""

    def source_rows(self, maps: Maps) -> SourceRows:
        """Which rows of its sources each row of its destination reads."""

    def position_events(self, program: Program) -> Counts:
        """What one output position uses of crossbars and their periphery."""


T = TypeVar("T")


@dataclass(frozen=True)
class Program:
    """A program for all tiles: `streams[t]` is what tile t executes, ending in `halt`."""

    chip: Chip
    maps: Maps
    tables: tuple[ProgramTable, ...]
    inputs: tuple[AnyPort, ...]
    outputs: tuple[AnyPort, ...]
    streams: Streams = field(default=())

    @cached_property
    def off_chip_extent(self) -> int:
        """Bytes of off-chip memory one sample needs."""
        ends = [m.address + m.height * m.row_stride for m in self.maps if m.address >= 0]
        return max(ends, default=0)

    @cached_property
    def _off_chip(self) -> tuple[list[int], list[int]]:
        # For many look-ups: `map_at` is asked for every row that is loaded or stored.
        placed = sorted((m.address, i) for i, m in enumerate(self.maps) if m.address >= 0)
        return [address for address, _ in placed], [index for _, index in placed]

    def map_at(self, address: int) -> int:
        """The number of the map that lies at an off-chip address of a program that is good."""
        addresses, indices = self._off_chip
        return indices[bisect_right(addresses, address) - 1]

    @cached_property
    def layer_of(self) -> list[int]:
        """For each map the map with its layer's result: of a split layer the sum of all parts."""
        joins = (table for table in self.tables if table.joins_parts)
        sums = {source: table.destination for table in joins for source in table.sources}
        return [_end(sums, index) for index in range(len(self.maps))]

    @cached_property
    def layer_tables(self) -> dict[int, list[ProgramTable]]:
        """The tables that make a map, or the parts of which it is the sum, by the map's number."""
        tables: dict[int, list[ProgramTable]] = {}
        for table in self.tables:
            tables.setdefault(self.layer_of[table.destination], []).append(table)
        return tables

    @cached_property
    def source_rows(self) -> list[SourceRows]:
        """For each table the rows of its sources that each row of its destination reads."""
        return [table.source_rows(self.maps) for table in self.tables]

    @cached_property
    def position_events(self) -> list[Counts]:
        """For each table what one output position uses of crossbars and their periphery."""
        return [table.position_events(self) for table in self.tables]

    @property
    def chip_inputs(self) -> tuple[Port, ...]:
        """The inputs that are quantized for the chip."""
        return tuple(port for port in self.inputs if isinstance(port, Port))

    @property
    def host_inputs(self) -> tuple[HostPort, ...]:
        """The inputs that the host takes."""
        return tuple(port for port in self.inputs if isinstance(port, HostPort))

    @property
    def chip_outputs(self) -> tuple[Port, ...]:
        """The outputs that are dequantized from the chip."""
        return tuple(port for port in self.outputs if isinstance(port, Port))

    @property
    def host_outputs(self) -> tuple[HostPort, ...]:
        """The outputs that the host gives."""
        return tuple(port for port in self.outputs if isinstance(port, HostPort))

    @cached_property
    def input_tokens(self) -> frozenset[int]:
        """The maps that stand for one value each, an input that the host takes."""
        return frozenset(port.token for port in self.host_inputs)

    @property
    def counted_by(self) -> str:
        """The input whose samples the integer reference counts; empty: it runs one at a time."""
        tokens = any(feature.is_token for feature in self.maps)
        return "" if tokens else self.inputs[0].name

    def tables_of(self, kind: type[T]) -> Iterator[T]:
        """The tables of one instruction, in order."""
        return (table for table in self.tables if isinstance(table, kind))


def _end(sums: Mapping[int, int], index: int) -> int:
    """The end of a chain of sums."""
    # Bounded, since the tables of a wrong program may add in a circle.
    for _ in range(len(sums)):
        if index not in sums:
            break
        index = sums[index]
    return index
