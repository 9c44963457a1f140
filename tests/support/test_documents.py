"""The layout of JSON documents, and what is said about wrong ones."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from epimc.support.diagnostics import EpimcError
from epimc.support.documents import WIDTH, Record, lay_out, read_document, refuse_many_values


class Point(Record):
    """A record for these tests."""

    x: int
    y: float


class Points(Record):
    """A record that holds others."""

    points: tuple[Point, ...]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)  # fmt: skip


@given(VALUES)
def test_the_layout_is_json_of_the_same_value(value: object) -> None:
    text = lay_out(value)
    assert json.loads(text) == value
    assert lay_out(json.loads(text)) == text


def test_what_fits_on_a_line_stays_on_one() -> None:
    row = {"a": [1, 2], "b": "x" * 50}
    long = ["y" * WIDTH, {}]
    assert lay_out({"rows": [row, row, row, row], "long": long, "e": []}) == (
        "{\n"
        '  "rows": [\n'
        f"    {json.dumps(row)},\n"
        f"    {json.dumps(row)},\n"
        f"    {json.dumps(row)},\n"
        f"    {json.dumps(row)}\n"
        "  ],\n"
        '  "long": [\n'
        f'    "{"y" * WIDTH}",\n'
        "    {}\n"
        "  ],\n"
        '  "e": []\n'
        "}\n"
    )


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_floats_come_back_exactly(value: float) -> None:
    data = lay_out({"x": 1, "y": value}).encode()
    assert read_document(data, TypeAdapter(Point), "It").y.hex() == value.hex()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_json_lacks_are_refused(value: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        lay_out({"y": value})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"x": 1,', "It is not JSON: EOF while parsing a value at line 1 column 8."),
        ("[" * 10**5, "It is not JSON: recursion limit exceeded at line 1 column 202."),
        ("5", "It has 1 mistake.\n  note: the document = 5: input should be an object."),
        (
            '{"points": [{"x": 1.0, "y": 2, "z": 3}, {"x": "1", "y": NaN}, {}]}',
            "It has 6 mistakes.\n"
            "  note: points[0].x = 1.0: input should be a valid integer.\n"
            "  note: points[0].z is unknown.\n"
            '  note: points[1].x = "1": input should be a valid integer.\n'
            "  note: points[1].y = NaN: input should be a finite number.\n"
            "  note: points[2].x is missing.\n"
            "  note: points[2].y is missing.",
        ),
    ],
)
def test_wrong_documents(text: str, expected: str) -> None:
    with pytest.raises(EpimcError) as caught:
        read_document(text.encode(), TypeAdapter(Points), "It")
    assert str(caught.value) == f"error: {expected}"


@pytest.mark.parametrize(
    "text",
    [
        '{"points": [], "points": []}',
        '{"points": [{"x": 1, "y": 2}, {"x": 1, "y": 2, "points": 3, "points": 3}]}',
    ],
)
def test_a_key_twice_is_refused(text: str) -> None:
    with pytest.raises(EpimcError) as caught:
        read_document(text.encode(), TypeAdapter(dict[str, object]), "It")
    assert str(caught.value) == "error: It has the key 'points' twice."


def test_values_are_counted_before_they_are_made() -> None:
    numbers = TypeAdapter(list[int])
    text = lay_out([0] * 100).encode()
    assert read_document(text, numbers, "It") == [0] * 100
    refuse_many_values(text, "It", 100)
    with pytest.raises(EpimcError) as caught:
        refuse_many_values(text, "It", 99)
    assert str(caught.value) == "error: It has more than 99 values."
    with pytest.raises(EpimcError, match="more than 4194304 values"):
        read_document(b"[" + b"[]," * 2**21 + b"0]", numbers, "It")


def test_only_the_first_mistakes_are_listed() -> None:
    with pytest.raises(EpimcError) as caught:
        read_document(json.dumps({"points": [{}] * 50}).encode(), TypeAdapter(Points), "It")
    assert caught.value.diagnostic.message == "It has 100 mistakes."
    assert len(caught.value.diagnostic.notes) == 21
    assert caught.value.diagnostic.notes[-1] == "80 more."
