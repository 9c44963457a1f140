"""Instructions whose work a table describes: the class is the instruction, an instance a table.

A table is a dataclass whose fields say everything about it: they are what a bundle stores (JSON,
and arrays beside it), what the reader demands of a file, and what the documentation lists.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Protocol, Self, get_type_hints

import numpy as np
from numpy.typing import DTypeLike, NDArray
from pydantic import Field, GetCoreSchemaHandler

from epimc.backends.crossbar.core.counts import Counts
from epimc.backends.crossbar.core.findings import Findings
from epimc.backends.crossbar.core.limits import FIRST_MISTAKE, STRICT, Index
from epimc.backends.crossbar.core.program import FeatureMap, Maps, Program
from epimc.backends.crossbar.core.source_rows import SourceRows
from epimc.backends.crossbar.instructions.declaration import DeclaredInstruction
from epimc.backends.forms import Activation, Claim, Term
from epimc.ir.semantics.arrays import Ints

if TYPE_CHECKING:
    from pydantic_core import CoreSchema

ACTIVATIONS, ACCUMULATORS, TOKENS = "activations", "accumulators", "a token of the host"

# Metadata of a field that a document leaves out where the field has its default.
BRIEF = {"brief": True}

# The most maps that a list of rings can name: its length is a byte of the binary.
MOST_SOURCES = 255
Sources = Annotated[tuple[Index, ...], Field(min_length=1), FIRST_MISTAKE]


# --- arrays in a bundle ---------------------------------------------------------------------------


@dataclass(frozen=True)
class StoredArray:
    """What the document says of an array that lies beside it: its element type and shape."""

    __pydantic_config__ = STRICT

    type: str
    shape: Annotated[tuple[Annotated[int, Field(ge=0, lt=2**40)], ...], Field(max_length=16)]


class Stored:
    """Marks a field as an array of integers that a bundle keeps beside the document.

    Attributes:
        types: In which it may be stored; the first that holds its numbers is taken.
        shared_by: The field that names it, where tables share it: it is kept once, with the
            weights, and read in the type in which it is stored.  All others are read as int64.
    """

    def __init__(self, *types: type[np.integer[Any]], shared_by: str = "") -> None:
        self.types = tuple(np.dtype(kind) for kind in types)
        self.shared_by = shared_by

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """In a document a StoredArray stands for it."""
        return handler.generate_schema(StoredArray)

    def narrowed(self, values: NDArray[Any], name: str) -> NDArray[Any]:
        """The same integers in the first type that holds them, contiguous.

        Raises:
            ValueError: No type does: a defect of the compiler.
        """
        for kind in self.types:
            result = np.ascontiguousarray(values, kind)
            if result is values or np.array_equal(result, values):
                return result
        raise ValueError(f"a number of '{name}' does not fit {self.types[-1].name}")

    @property
    def read_as(self) -> DTypeLike | None:
        """The type in which a reader hands it out; None: as it is stored."""
        return None if self.shared_by else np.int64


_STORED: dict[type[Table], dict[str, Stored]] = {}


def stored_fields(kind: type[Table]) -> Mapping[str, Stored]:
    """The fields of a table that are arrays beside the document."""
    # Resolving type hints takes long, and a reader asks for every table of a program.
    if kind not in _STORED:
        _STORED[kind] = _marked_fields(kind)
    return _STORED[kind]


def _marked_fields(kind: type[Table]) -> dict[str, Stored]:
    hints = get_type_hints(kind, include_extras=True)
    marks = {name: getattr(hint, "__metadata__", ()) for name, hint in hints.items()}
    return {
        name: mark
        for name, marks_of in marks.items()
        for mark in marks_of
        if isinstance(mark, Stored)
    }


# --- checks ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class TableCheck:
    """One table under the static checker: its program, and where to report."""

    findings: Findings
    where: str
    table: Table

    @property
    def maps(self) -> Maps:
        """Those of the program."""
        return self.findings.program.maps

    @property
    def program(self) -> Program:
        """The program that the findings are about."""
        return self.findings.program

    @property
    def sources(self) -> list[FeatureMap]:
        """The maps that the table reads."""
        return [self.maps[index] for index in self.table.sources]

    @property
    def target(self) -> FeatureMap:
        """The map that the table computes."""
        return self.maps[self.table.destination]

    def at(self, place: str) -> TableCheck:
        """The same table, at a place inside."""
        return TableCheck(self.findings, f"{self.where}, {place}", self.table)

    def require(self, condition: bool, message: str) -> bool:
        """Report a mistake unless a condition holds, which is returned."""
        return self.findings.require(condition, self.where, message)

    def require_same_shape(self, sources: Sequence[FeatureMap]) -> None:
        """The sources are of the destination's shape."""
        shape = list(self.target.dims)
        for source in sources:
            same = source.dims == self.target.dims
            self.require(
                same, f"'{source.name}' has not the shape {shape} of '{self.target.name}'."
            )

    def require_kept(self, source: FeatureMap) -> None:
        """The destination has the source's integers, elsewhere."""
        kept = [(m.element, m.bits, m.zero_point) for m in (source, self.target)]
        same = kept[0] == kept[1]
        self.require(same, "It must keep the type, the bits and the zero point.")

    def require_activations(self, values: Ints) -> None:
        """All values are activations of the destination."""
        bits = self.target.bits
        inside = bool(((values >= 0) & (values < 2**bits)).all())
        self.require(inside, f"A value is no activation of {bits} bits.")


# --- lowering -------------------------------------------------------------------------------------


class Lowering(Protocol):
    """What an instruction needs of the compiler's module to make its table of an op."""

    def sources(self, op: Any) -> tuple[int, ...]:
        """The maps of an op's operands, by number."""

    def destination(self, op: Any) -> int:
        """The map of an op's result."""

    def array(self, ref: Any, shape: tuple[int, ...] | None = None) -> Ints:
        """A stored tensor, as int64, perhaps cut anew."""

    def map_shape(self, op: Any) -> tuple[int, int, int]:
        """[C, H, W] of an op's result."""

    def matrix(self, op: Any) -> NDArray[Any]:
        """The epitome matrices of the groups of an mvm, one below the other."""


# --- tables ---------------------------------------------------------------------------------------


class Table(DeclaredInstruction):
    """An instruction that computes maps as its tables say.

    A class below this one is a dataclass with the field `type`, its name, and the fields that make
    up a table; `source` or `sources`, and `destination`, are numbers of feature maps.

    Attributes:
        least_sources: How many maps it reads at least.
        most_sources: How many at most.
        takes: What these hold, ACTIVATIONS, ACCUMULATORS or TOKENS; None for any.
        makes: What its destination holds.
        joins_parts: Whether it adds the parts of one layer, which the reference does not split.
    """

    __pydantic_config__ = STRICT

    # Every class below is a dataclass.
    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]

    least_sources: ClassVar[int] = 1
    most_sources: ClassVar[int] = 1
    takes: ClassVar[str | None] = ACTIVATIONS
    makes: ClassVar[str] = ACTIVATIONS
    joins_parts: ClassVar[bool] = False

    destination: int

    def __init_subclass__(cls) -> None:
        """The field `type` is the name: one statement of it, in the class and in documents."""
        super().__init_subclass__()
        if "type" in vars(cls):
            cls.name = vars(cls)["type"]

    if TYPE_CHECKING:
        # Not there at run time, where a dataclass would take it for the default of its field.
        @property
        def sources(self) -> tuple[int, ...]:
            """The maps it reads, by number."""
            raise NotImplementedError

    @property
    def contents(self) -> tuple[str | None, str]:
        """`takes` and `makes`, where a table's own fields decide them too."""
        return self.takes, self.makes

    @classmethod
    def of(cls, op: Any, lowering: Lowering) -> Self:
        """The table of an op of the compiler."""
        raise NotImplementedError(cls.name)

    def finished(self) -> Table:
        """The table with what follows from its own fields alone, and takes long to compute."""
        return self

    def rows(self, maps: Maps, y: int) -> Sequence[Sequence[int]]:
        """For each source the rows that output row `y` reads, ascending."""
        return [[y]] * len(self.sources)

    def source_rows(self, maps: Maps) -> SourceRows:
        """The same for all rows of its destination."""
        height = maps[self.destination].height
        return SourceRows([self.rows(maps, y) for y in range(height)])

    def tile_problem(self, tile: int, number: int) -> str:
        """Why a tile cannot execute it as table `number`; empty when it can."""
        return ""

    def limit_problems(self, maps: Maps) -> list[str]:
        """Where it names more than its maps have, which nobody should take for numbers to spread.

        Called by the reader; the keys are those of the document.
        """
        return []

    def made(self, maps: Maps) -> Mapping[str, int]:
        """How many numbers are made for it that stand in no file.

        By a name, under which they are made once for all tables that have it; called when
        `limit_problems` has none.
        """
        return {}

    def check(self, check: TableCheck) -> None:
        """Report all that is wrong with it by itself; its maps exist and hold what they must."""

    def check_sums(self, check: TableCheck, bounds: Mapping[int, Ints]) -> None:
        """Report where numbers may become too large.

        Args:
            check: Where to report.
            bounds: The largest magnitudes, int64 [C], in each map of accumulators.
        """

    def claims(self, program: Program) -> Iterator[Claim]:
        """What the integer reference must have for it: constants and nodes, just so.

        Whatever the reference has and no table claims, is not proven: then verification fails.
        """
        raise NotImplementedError(self.name)

    def bound(self, maps: Maps) -> int | None:
        """The largest magnitude of the accumulators that it makes; None: others tell."""
        return None

    def position_events(self, program: Program) -> Counts:
        """What one output position uses of crossbars and their periphery."""
        return Counts()


class OneSource:
    """For tables with one source: the field `source`."""

    source: int

    @property
    def sources(self) -> tuple[int, ...]:
        """The one map that it reads."""
        return (self.source,)


def holds(target: FeatureMap) -> str:
    """What a map holds, as tables name it."""
    if target.is_token:
        return TOKENS
    return ACTIVATIONS if target.is_activation else ACCUMULATORS


def term_of(source: FeatureMap) -> Term:
    """A map as an operand of a sum or product of the reference."""
    return source.name, source.zero_point if source.is_activation else None


def activation_of(source: FeatureMap) -> Activation:
    """A map of activations as the reference has it."""
    return Activation(source.name, source.bits, source.zero_point)
