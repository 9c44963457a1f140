"""What is written about the supported operators: by `epimc ops`, and in the README."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from itertools import groupby
from typing import Any

import epimc.frontend.operators  # noqa: F401  (it registers its records)
from epimc.frontend.core.operator import OnnxOperator, lookup, records
from epimc.support.diagnostics import did_you_mean, error

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


def as_data(record: OnnxOperator) -> dict[str, Any]:
    """An operator as JSON has it."""
    return {
        "name": record.op_type,
        "since": record.since,
        "imported": record.importer is not None,
        "folded": record.folds or record.shape_only,
        "shape_only": record.shape_only,
        "more_dims": record.more_dims,
        "all_results": record.all_results,
        "doc": record.doc,
        "details": record.details,
    }


def in_full(data: dict[str, Any]) -> str:
    """All that is known of one operator, in lines."""
    traits = {
        "imported": "computed inputs: it becomes ops of the IR",
        "folded": "constant inputs: it becomes a constant",
        "shape_only": "it reads nothing of its input but the shape, and is always constant",
        "more_dims": "its input may have more dims than a value of the IR has",
        "all_results": "every output may be used, not the first one only",
    }
    lines = [f"{data['name']}: {data['doc']}.", *data["details"].splitlines()]
    lines.append(f"  read from opset {data['since']} on")
    return "\n".join([*lines, *(f"  {text}" for key, text in traits.items() if data[key])])


def operator_list() -> str:
    """The operators as a list in Markdown, in which those that one text describes share a line."""
    imported = [record for record in records() if record.importer is not None]
    folded = [record for record in records() if record.importer is None]
    return "\n".join([*_bullets(imported), *_bullets(folded)])


def _bullets(group: Iterable[OnnxOperator]) -> Iterable[str]:
    for doc, alike in groupby(group, key=lambda record: record.doc):
        text = f"- {', '.join(record.op_type for record in alike)}: {doc[:1].lower()}{doc[1:]}"
        yield textwrap.fill(text, WIDTH, subsequent_indent="  ", break_long_words=False)
