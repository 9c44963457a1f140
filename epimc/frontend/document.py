"""What is written about the supported operators: by `epimc ops`, and in the README."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import ClassVar

import epimc.frontend.operators  # noqa: F401  (it registers its records)
from epimc.frontend.core.operator import OnnxOperator, lookup, records
from epimc.support.diagnostics import did_you_mean, error
from epimc.support.results import Result
from epimc.support.tables import Block, Lines, table

WIDTH = 100


def operator_named(name: str) -> OnnxOperator:
    """The record of an operator.

    Raises:
        EpimcError: There is none of that name; the message says which may be meant.
    """
    record = lookup(name)
    if record is None:
        known = [other.op_type for other in records()]
        hint = did_you_mean(name, known, ()) or "Run `epimc ops` for all of them."
        raise error(f"epimc does not know the ONNX operator '{name}'.", hint=hint)
    return record


def operators_by_name() -> list[OnnxOperator]:
    """All records, by name."""
    return sorted(records(), key=lambda record: record.op_type)


TRAITS = {
    "imported": "computed inputs: it becomes ops of the IR",
    "folded": "constant inputs: it becomes a constant",
    "shape_only": "it reads nothing of its input but the shape, and is always constant",
    "more_dims": "its input may have more dims than a value of the IR has",
    "all_results": "every output may be used, not the first one only",
}


@dataclass(frozen=True)
class OperatorResult(Result):
    """One ONNX operator.

    Attributes:
        name: Its op type.
        since: The oldest opset from which it is read.
        imported: Whether it may have computed inputs: it becomes ops of the IR.
        folded: Whether it may have constant inputs: it becomes a constant.
        shape_only: Whether it reads nothing of its input but the shape.
        more_dims: Whether its input may have more dims than a value of the IR has.
        all_results: Whether every output may be used, not the first one only.
        parameters: The numbers of its inputs that the chip must know as it is programmed.
        doc: What is supported, in one line.
        details: More of that, in lines; may be empty.
    """

    KIND: ClassVar[str] = "operator"

    name: str
    since: int
    imported: bool
    folded: bool
    shape_only: bool
    more_dims: bool
    all_results: bool
    parameters: tuple[int, ...]
    doc: str
    details: str

    @staticmethod
    def of(record: OnnxOperator) -> OperatorResult:
        """What there is to say of a record."""
        return OperatorResult(
            name=record.op_type,
            since=record.since,
            imported=record.importer is not None,
            folded=record.folds or record.shape_only,
            shape_only=record.shape_only,
            more_dims=record.more_dims,
            all_results=record.all_results,
            parameters=record.parameters,
            doc=record.doc,
            details=record.details,
        )

    def blocks(self) -> Iterator[Block]:
        """All that is known of it, in lines."""
        yield Lines((f"{self.name}: {self.doc}.", *self.details.splitlines()))
        yield Lines((f"  read from opset {self.since} on",))
        yield Lines(tuple(f"  {text}" for key, text in TRAITS.items() if getattr(self, key)))
        if self.parameters:
            numbers = ", ".join(map(str, self.parameters))
            yield Lines((f"  constant on the chip: inputs {numbers}, counted from 0",))


@dataclass(frozen=True)
class OperatorList(Result):
    """The ONNX operators that are supported.

    Attributes:
        operators: By name.
    """

    KIND: ClassVar[str] = "operators"

    operators: tuple[OperatorResult, ...]

    def blocks(self) -> Iterator[Block]:
        """One table, with a line for each operator."""
        titles = ("operator", "since", "becomes", "what is supported")
        rows = ((each.name, str(each.since), becomes(each), each.doc) for each in self.operators)
        yield table(titles, rows, left=4)


def becomes(operator: OperatorResult) -> str:
    """What is done with nodes of an operator, in a word."""
    if not operator.imported:
        return "folded"
    return "both" if operator.folded else "imported"


def operator_list() -> str:
    """The operators as a list in Markdown, in which those that one text describes share a line."""
    imported = [record for record in records() if record.importer is not None]
    folded = [record for record in records() if record.importer is None]
    return "\n".join([*_bullets(imported), *_bullets(folded)])


def _bullets(group: Iterable[OnnxOperator]) -> Iterable[str]:
    for doc, alike in groupby(group, key=lambda record: record.doc):
        text = f"- {', '.join(record.op_type for record in alike)}: {doc[:1].lower()}{doc[1:]}"
        yield textwrap.fill(text, WIDTH, subsequent_indent="  ", break_long_words=False)
