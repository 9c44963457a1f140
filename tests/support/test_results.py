"""Results: objects, documents and texts of one thing."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import FrozenInstanceError, dataclass, field
from typing import ClassVar

import pytest

from epimc.support.results import FORMAT, INLINED, OnnxNode, Result, as_json, first_name, onnx_nodes
from epimc.support.tables import Block, Lines, table


@dataclass(frozen=True)
class Size:
    """Some numbers."""

    rows: int
    columns: int


@dataclass(frozen=True)
class Part:
    """A part of a thing."""

    name: str
    nodes: tuple[OnnxNode, ...]
    size: Size = field(metadata=INLINED)


class Chip:
    """What knows its own keys."""

    def to_dict(self) -> Mapping[str, object]:
        """Two of them."""
        return {"schema": 1, "crossbar": {"rows": 2}}


@dataclass(frozen=True)
class Thing(Result):
    """A thing."""

    KIND: ClassVar[str] = "thing"

    share: float | None
    good: bool
    counts: Mapping[str, int]
    parts: tuple[Part, ...]
    chip: Chip

    def blocks(self) -> Iterator[Block]:
        """Parts and a line."""
        yield table(("part", "rows"), [(part.name, str(part.size.rows)) for part in self.parts])
        yield Lines((f"share: {self.share}",))


THING = Thing(0.5, True, {"a": 1}, (Part("p", onnx_nodes((("Conv", "c"),)), Size(2, 3)),), Chip())


def test_the_document() -> None:
    document = THING.to_json()
    assert document == {
        "format": FORMAT,
        "kind": "thing",
        "share": 0.5,
        "good": True,
        "counts": {"a": 1},
        "parts": [
            {"name": "p", "nodes": [{"op": "Conv", "name": "c"}], "rows": 2, "columns": 3},
        ],
        "chip": {"schema": 1, "crossbar": {"rows": 2}},
    }
    assert json.loads(json.dumps(document, allow_nan=False)) == document


def test_the_text_and_the_html() -> None:
    assert str(THING) == "part  rows\n----  ----\np        2\nshare: 0.5"
    assert "<td>p</td>" in THING._repr_html_()


def test_a_result_does_not_change() -> None:
    with pytest.raises(FrozenInstanceError):
        THING.share = 1.0  # type: ignore[misc]


@pytest.mark.parametrize("value", [math.nan, math.inf, object(), {1, 2}, b"bytes"])
def test_what_json_has_no_form_for(value: object) -> None:
    with pytest.raises(TypeError, match="JSON"):
        as_json(value)


def test_nodes_are_kept_exactly() -> None:
    nodes = (("Conv", "layer(1)/conv"), ("com.x.Relu", "it's, b"), ("Add", "a\nb"))
    assert as_json(onnx_nodes(nodes)) == [{"op": op, "name": name} for op, name in nodes]


def test_a_layer_is_called_by_its_first_node() -> None:
    assert first_name("value", onnx_nodes((("Conv", "c"), ("Relu", "r")))) == "c"
    assert first_name("value", onnx_nodes((("Conv", ""),))) == "value"
    assert first_name("value", ()) == "value"
