"""The tables of a program as files: a JSON document and two sets of arrays.

`tables.json` is for people as well: it holds maps, rounds and numbers.  Every table stands there
with the fields of its instruction's class.  What is long goes into safetensors, and the document
keeps its element type and shape: in `tables.safetensors` under `NUMBER.FIELD`, or, what several
tables may share, in `weights.safetensors` under its name.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, is_dataclass, make_dataclass, replace
from functools import lru_cache, partial, reduce
from operator import or_
from typing import Annotated, Any

import numpy as np
from numpy.typing import DTypeLike, NDArray
from pydantic import Discriminator, Field, Tag, TypeAdapter
from safetensors import SafetensorError
from safetensors.numpy import load

from epimc.backends.crossbar.core.limits import (
    MAXIMUM_MADE,
    MAXIMUM_MAP_BYTES,
    MAXIMUM_ROW_BYTES,
    MAXIMUM_ROWS,
    MAXIMUM_ROWS_READ,
    STRICT,
)
from epimc.backends.crossbar.core.program import AnyPort, FeatureMap, HostPort, Maps, Port, Program
from epimc.backends.crossbar.instructions.registry import instructions
from epimc.backends.crossbar.instructions.table import StoredArray, Table, stored_fields
from epimc.support.diagnostics import error
from epimc.support.documents import MAXIMUM_NOTES, lay_out, read_document
from epimc.support.files import File, pieces_of
from epimc.support.limits import DEFAULT_BYTES, Budget
from epimc.support.tensor_files import array_pieces

Arrays = dict[str, NDArray[Any]]

DOCUMENT, NUMBERS, WEIGHTS = "tables.json", "tables.safetensors", "weights.safetensors"

# Of `tables.json`: to be raised when a document that was right before is refused or means another.
# Up to format 1 none was stated, maps named their nodes in words, and arrays had keys.
FORMAT = 2


CHIP_PORT, HOST_PORT = "chip port", "host port"


def kind_of_port(stated: Any) -> str:
    """Whether a document has a port of the host, which names a token."""
    return HOST_PORT if isinstance(stated, dict) and "token" in stated else CHIP_PORT


StatedPort = Annotated[
    Annotated[Port, Tag(CHIP_PORT)] | Annotated[HostPort, Tag(HOST_PORT)],
    Discriminator(kind_of_port),
]


@dataclass(frozen=True, eq=False)
class Contents:
    """All of a program but its streams and its chip."""

    inputs: tuple[AnyPort, ...]
    outputs: tuple[AnyPort, ...]
    maps: Maps
    tables: tuple[Table, ...]


# --- writing ------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Stated:
    """What the three files of tables hold.

    Attributes:
        document: The text of `tables.json`.
        numbers: The arrays of `tables.safetensors`.
        weights: The arrays of `weights.safetensors`.
    """

    document: bytes
    numbers: Arrays
    weights: Arrays

    @property
    def files(self) -> dict[str, File]:
        """The files by name; none of the arrays is copied."""
        return {
            DOCUMENT: self.document,
            NUMBERS: partial(array_pieces, self.numbers),
            WEIGHTS: partial(array_pieces, self.weights),
        }


def write_tables(program: Program) -> dict[str, bytes]:
    """The files `tables.json`, `tables.safetensors` and `weights.safetensors` by name.

    Raises:
        ValueError: As `stated_tables`.
    """
    return {name: b"".join(pieces_of(file)) for name, file in stated_tables(program).files.items()}


def stated_tables(program: Program) -> Stated:
    """What the files of a program's tables hold.

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
            as_record(number, table, numbers, weights)
            for number, table in enumerate(program.tables_of(Table))
        ],
    }
    return Stated(lay_out(document).encode(), numbers, weights)


def as_record(number: int, table: Table, numbers: Arrays, weights: Arrays) -> dict[str, Any]:
    """One table for the document; its arrays go into `numbers` and `weights`."""
    stored = stored_fields(type(table))
    record: dict[str, Any] = {"type": table.name}
    for name in stated_names(table):
        value = getattr(table, name)
        if name not in stored:
            record[name] = plain(value)
            continue
        mark, key = stored[name], array_key(number, table, name)
        array = mark.narrowed(value, key)
        store(weights if mark.shared_by else numbers, key, array)
        record[name] = {"type": array.dtype.name, "shape": array.shape}
    return record


def stated_names(table: Table) -> Iterator[str]:
    """The fields of a table, in order, but for its type and for defaults that need no words."""
    for item in fields(table):
        silent = "brief" in item.metadata and getattr(table, item.name) == item.default
        if item.name != "type" and not silent:
            yield item.name


def plain(value: Any) -> Any:
    """A value of a field as JSON has it."""
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    return [plain(item) for item in value] if isinstance(value, tuple) else value


def array_key(number: int, table: Table, name: str) -> str:
    """Under which key an array of a table lies in its file."""
    shared_by = stored_fields(type(table))[name].shared_by
    return str(getattr(table, shared_by)) if shared_by else f"{number}.{name}"


def store(arrays: Arrays, key: str, array: NDArray[Any]) -> None:
    """Put an array into a file; an equal one may lie there already.

    Raises:
        ValueError: Another one does.
    """
    known = arrays.setdefault(key, array)
    if known is not array and not np.array_equal(known, array):
        raise ValueError(f"two tables have different weights of the name '{key}'")


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
    numbers, weights = (
        loaded(files[name], f"File '{name}' of bundle '{bundle}'") for name in (NUMBERS, WEIGHTS)
    )
    return tables_in(Stated(files[DOCUMENT], numbers, weights), bundle)


def loaded(data: bytes, subject: str) -> Arrays:
    """The arrays of a safetensors file.

    Raises:
        EpimcError: It is none.
    """
    try:
        return load(data)
    # Besides its own error, the library raises these for types that numpy does not have.
    except (SafetensorError, KeyError, TypeError, ValueError) as caught:
        raise error(f"{subject} is not a safetensors file.", notes=[str(caught)]) from None


def tables_in(stated: Stated, bundle: str) -> Contents:
    """What is stated as tables, checked.

    Raises:
        OtherVersionError: The document is of another version of its format.
        EpimcError: The arrays are not what the document declares, or it contradicts itself.
    """
    subject = f"File '{DOCUMENT}' of bundle '{bundle}'"
    kinds = table_classes()
    tags = [CHIP_PORT, HOST_PORT, *(kind.name for kind in kinds)]
    document = read_document(stated.document, document_of(kinds), subject, tags, FORMAT)
    contents = Contents(document.inputs, document.outputs, document.maps, document.tables)
    if problems := list(contradictions(contents)):
        raise error(f"{subject} contradicts itself.", notes=problems[:MAXIMUM_NOTES])
    budget = Budget(DEFAULT_BYTES, f"Bundle '{bundle}'", "Its tables are too large to be read.")
    numbers = Tensors(stated.numbers, f"File '{NUMBERS}' of bundle '{bundle}'", budget)
    weights = Tensors(stated.weights, f"File '{WEIGHTS}' of bundle '{bundle}'", budget)
    tables = tuple(
        with_arrays(number, table, numbers, weights) for number, table in enumerate(contents.tables)
    )
    for tensors in (numbers, weights):
        tensors.check_all_are_used()
    problems = [
        f"tables[{number}].{problem}"
        for number, table in enumerate(tables)
        for problem in table.limit_problems(contents.maps)
    ]
    made = {} if problems else numbers_made(tables, contents.maps)
    # Of so many the weights that stand in the file cost it something.
    if sum(made.values()) - sum(array.size for array in weights.used.values()) > MAXIMUM_MADE:
        most = max(made, key=lambda name: made[name])
        count = f"more than {MAXIMUM_MADE} numbers beside those in files"
        problems = [f"tables need {count}, most for '{most}'."]
    if problems:
        raise error(f"{subject} contradicts itself.", notes=problems[:MAXIMUM_NOTES])
    return replace(contents, tables=tables)


def numbers_made(tables: Sequence[Table], maps: Maps) -> dict[str, int]:
    """How many numbers are made for tables that stand in no file, by the names they share."""
    made: dict[str, int] = {}
    for table in tables:
        for name, count in table.made(maps).items():
            made[name] = max(made.get(name, 0), count)
    return made


def table_classes() -> tuple[type[Table], ...]:
    """The classes of all tables."""
    return tuple(kind for kind in instructions() if issubclass(kind, Table))


# Building a validator takes some 20 ms.
@lru_cache(maxsize=8)
def document_of(kinds: tuple[type[Table], ...]) -> TypeAdapter[Any]:
    """What `tables.json` holds, with tables of these classes; arrays are StoredArrays."""
    table: Any = Annotated[reduce(or_, kinds), Field(discriminator="type")]
    tables: Any = Annotated[tuple[table, ...], Field(max_length=2**16)]
    members = {
        "format": Annotated[int, Field(ge=FORMAT, le=FORMAT)],
        "inputs": Annotated[tuple[StatedPort, ...], Field(max_length=2**16)],
        "outputs": Annotated[tuple[StatedPort, ...], Field(max_length=2**16)],
        "maps": Annotated[tuple[FeatureMap, ...], Field(max_length=2**16)],
        "tables": tables,
    }
    document = make_dataclass(
        "Document", members.items(), namespace={"__pydantic_config__": STRICT}
    )
    return TypeAdapter(document)


def contradictions(contents: Contents) -> Iterator[str]:
    """What the fields, each right by itself, say against each other."""
    maps = contents.maps
    for i, item in enumerate(maps):
        if item.row_stride * item.height > MAXIMUM_MAP_BYTES:
            yield f"maps[{i}] has more than {MAXIMUM_MAP_BYTES} bytes."
        if item.row_bytes > MAXIMUM_ROW_BYTES:
            yield f"maps[{i}] has rows of more than {MAXIMUM_ROW_BYTES} bytes."
    if sum(item.height for item in maps) > MAXIMUM_ROWS:
        yield f"maps have more than {MAXIMUM_ROWS} rows in all."
    for side in ("inputs", "outputs"):
        for i, port in enumerate(getattr(contents, side)):
            yield from unknown_maps(f"{side}[{i}]", [port.map], maps)
            if math.prod(port.shape or ()) > MAXIMUM_MAP_BYTES:
                yield f"{side}[{i}].shape has more than {MAXIMUM_MAP_BYTES} elements."
    for i, table in enumerate(contents.tables):
        yield from unknown_maps(f"tables[{i}]", [*table.sources, table.destination], maps)
    known = [t for t in contents.tables if t.destination < len(maps)]
    if sum(maps[t.destination].height * len(t.sources) for t in known) > MAXIMUM_ROWS_READ:
        yield f"tables read more than {MAXIMUM_ROWS_READ} rows in all."


def unknown_maps(place: str, numbers: list[int], maps: Maps) -> Iterator[str]:
    """A complaint for every number of a map that the program does not have."""
    count = len(maps)
    return (f"{place} names map {i}, but there are {count}." for i in numbers if i >= count)


def with_arrays(number: int, table: Table, numbers: Tensors, weights: Tensors) -> Table:
    """A table with its arrays in the place of what the document says of them."""
    changes = {}
    for name, mark in stored_fields(type(table)).items():
        stated: StoredArray = getattr(table, name)
        tensors, key = weights if mark.shared_by else numbers, array_key(number, table, name)
        types = [kind.name for kind in mark.types]
        if stated.type not in types:
            wanted = " or ".join(types)
            raise error(f"{tensors.subject} must hold '{key}' as {wanted}, not {stated.type}.")
        changes[name] = tensors.take(key, np.dtype(stated.type), stated.shape, mark.read_as)
    return replace(table, **changes) if changes else table


class Tensors:
    """The arrays of a safetensors file, each converted once."""

    def __init__(self, stored: Arrays, subject: str, budget: Budget) -> None:
        """Take from a file.

        Args:
            stored: Its arrays.
            subject: What messages begin with.
            budget: The bytes that all arrays of the bundle may take, as they are handed out.
        """
        self.stored, self.subject, self.budget = stored, subject, budget
        self.used: Arrays = {}

    def take(
        self, key: str, kind: np.dtype[Any], shape: tuple[int, ...], read_as: DTypeLike | None
    ) -> NDArray[Any]:
        """The array of a key, which must have this type and shape; `read_as` is what it becomes.

        Raises:
            EpimcError: It is not there, or has not, or the budget does not hold it.
        """
        array = self.stored.get(key)
        if array is None:
            raise error(f"{self.subject} lacks the array '{key}'.")
        if array.dtype != kind or array.shape != shape:
            expected = f"{kind.name} {list(shape)}"
            actual = f"{array.dtype.name} {list(array.shape)}"
            raise error(
                f"{self.subject} has a wrong array '{key}'.",
                notes=[f"Expected {expected}, found {actual}."],
            )
        if key not in self.used:
            kept = np.dtype(read_as or array.dtype)
            self.budget.read(array.size * kept.itemsize, f"array '{key}', as {kept.name},")
            self.used[key] = array.astype(read_as or array.dtype, copy=False)
        return self.used[key]

    def check_all_are_used(self) -> None:
        """Raise EpimcError if an array has never been taken."""
        if spare := sorted(set(self.stored) - set(self.used)):
            raise error(f"{self.subject} has an array '{spare[0]}' that no table uses.")
