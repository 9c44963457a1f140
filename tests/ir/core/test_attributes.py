"""Kinds of attributes: what they take, and how large it may be."""

from __future__ import annotations

from typing import Any

import pytest

from epimc.ir.core.attributes import (
    ADDRESS,
    INTEGER,
    NUMBER,
    AttributeKind,
    Ref,
    at_least,
    integers,
    pair,
    rows_of,
)
from epimc.ir.core.module import refs_in
from epimc.ir.core.types import IrError

LARGEST = 2**31 - 1
BEYOND = "expected integers from -2147483647 to 2147483647"


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (INTEGER, LARGEST),
        (INTEGER, -LARGEST),
        (ADDRESS, 2**48),
        (at_least(1), LARGEST),
        (integers(), (LARGEST, -LARGEST)),
        (pair(0), (0, LARGEST)),
        (rows_of(integers(1)), ((LARGEST,),)),
        (NUMBER, 2**60),
    ],
)
def test_what_is_just_small_enough(kind: AttributeKind[Any], value: Any) -> None:
    assert kind.load(value) == value


@pytest.mark.parametrize(
    ("kind", "value", "problem"),
    [
        (INTEGER, LARGEST + 1, BEYOND),
        (INTEGER, -LARGEST - 1, BEYOND),
        (INTEGER, 10**4000, BEYOND),
        (INTEGER, True, "expected an integer"),
        (ADDRESS, 2**48 + 1, "expected integers from -281474976710656 to 281474976710656"),
        (ADDRESS, 1.0, "expected an address"),
        (at_least(1), LARGEST + 1, BEYOND),
        (integers(), (0, LARGEST + 1), BEYOND),
        (pair(0), (0, 2**63), BEYOND),
        (rows_of(integers(1)), ((2**63,),), BEYOND),
        (NUMBER, 10**400, "expected a number that a float64 can hold"),
    ],
)
def test_what_is_too_large(kind: AttributeKind[Any], value: Any, problem: str) -> None:
    with pytest.raises(IrError) as caught:
        kind.load(value)
    assert str(caught.value) == problem


def test_references_come_in_order_however_deep_they_lie() -> None:
    value: Any = Ref("inner")
    for _ in range(100_000):
        value = (value,)
    assert list(refs_in({"a": (Ref("x"), {"b": Ref("y")}), "c": value})) == [
        Ref("x"),
        Ref("y"),
        Ref("inner"),
    ]
