"""The part of docs/isa.md on tables, written from the fields of the instructions' classes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import TypeAdapter

from epimc.backends.crossbar.core.program import FeatureMap, Port
from epimc.backends.crossbar.instructions.table import Table, stored_fields
from epimc.support.docstrings import attribute_docs

Schema = Mapping[str, Any]

INTRODUCTION = """\
## The document of tables

`tables.json` of a bundle holds the inputs and outputs, the feature maps, and the tables, by which
instructions name what they compute; inputs, outputs and tables name maps by their numbers.  A table
has the key `type`, the name of its instruction, and the fields of the instruction's section above.
An array stands there with its element type and shape only: its numbers lie in
`tables.safetensors` under `NUMBER.FIELD`, or in `weights.safetensors` under the name that tables
share.
"""


def table_fields(kind: type[Table]) -> Iterator[str]:
    """The lines on the fields of a table: what each may be in the document, and what it means."""
    schema = TypeAdapter(kind).json_schema()
    yield from fields_of(kind.__doc__ or "", schema, stored_types(kind))
    yield ""


def stored_types(kind: type[Table]) -> dict[str, str]:
    """In words, the arrays of a table."""
    return {
        name: "array of " + " or ".join(f"`{dtype.name}`" for dtype in mark.types)
        for name, mark in stored_fields(kind).items()
    }


def other_records(tables: list[type[Table]]) -> Iterator[str]:
    """The sections on all that is no table: maps, inputs and outputs, and what tables hold."""
    schemas = {kind.__name__: TypeAdapter(kind).json_schema() for kind in (FeatureMap, Port)}
    for table in tables:
        schemas |= TypeAdapter(table).json_schema().get("$defs", {})
    del schemas["StoredArray"]
    for name, schema in sorted(schemas.items()):
        text = schema["description"]
        yield from [f"### {name}", "", text.partition("\n\nAttributes:")[0], ""]
        yield from fields_of(text, schema, {})
        yield ""


def fields_of(docstring: str, schema: Schema, stored: Mapping[str, str]) -> Iterator[str]:
    """The lines of a table of fields."""
    meanings = attribute_docs(docstring)
    yield "| field | value | meaning |"
    yield "|---|---|---|"
    for name, item in schema["properties"].items():
        if name != "type":
            value = stored.get(name) or words(item)
            yield f"| `{name}` | {value} | {meanings.get(name, '')} |"


def words(schema: Schema) -> str:
    """What a value may be, in words."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema:
        return " or ".join(words(item) for item in schema["anyOf"])
    if "enum" in schema:
        return " or ".join(f"`{value}`" for value in schema["enum"])
    if "prefixItems" in schema:
        return "[" + ", ".join(words(item) for item in schema["prefixItems"]) + "]"
    if schema["type"] == "array":
        return f"list of {words(schema['items'])}"
    if schema["type"] in ("integer", "number"):
        return number(schema)
    others = {"string": "text", "boolean": "`true` or `false`", "null": "`null`"}
    return others[str(schema["type"])]


def number(schema: Schema) -> str:
    """What an integer or a real number may be, in words."""
    low, high = schema.get("minimum"), schema.get("maximum")
    if schema["type"] == "integer":
        below, above = schema.get("exclusiveMaximum"), schema.get("exclusiveMinimum")
        high = below - 1 if below is not None else high
        low = above + 1 if above is not None else low
    elif "exclusiveMinimum" in schema:
        return f"number above {schema['exclusiveMinimum']}"
    return str(schema["type"]) if low is None or high is None else f"{low} to {high}"
