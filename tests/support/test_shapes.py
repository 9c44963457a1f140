"""Shapes as users write them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from epimc.support.diagnostics import EpimcError
from epimc.support.shapes import option_for, shape_texts, shapes_from

pytestmark = pytest.mark.smoke


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        ("x=1x3x224x224", (1, 3, 224, 224)),
        ("x=1,3,224,224", (1, 3, 224, 224)),
        ("x = 1, 3".replace(" =", "="), (1, 3)),
        ("x=(1, 3)", (1, 3)),
        ("x=[7]", (7,)),
        ("x=(7,)", (7,)),
        ("x=7", (7,)),
        ("x=()", ()),
        ("x=0x2147483647", (0, 2**31 - 1)),
    ],
)
def test_texts(text: str, shape: tuple[int, ...]) -> None:
    assert shapes_from([text]) == {"x": shape}


def test_names_may_have_anything() -> None:
    texts = ["a=b=1x2", "model/in:0=3", "it's x=4"]
    assert shapes_from(texts) == {"a=b": (1, 2), "model/in:0": (3,), "it's x": (4,)}


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["1x3"], "Shape '1x3' names no input."),
        (["=1x3"], "Shape '=1x3' names no input."),
        (["x="], "Shape 'x=' is not complete: a size is missing."),
        (["x=1xx3"], "Shape 'x=1xx3' is not complete: a size is missing."),
        (["x=1x3xH"], "Shape 'x=1x3xH' is not complete: 'H' is no size."),
        (["x=1x-3"], "Shape 'x=1x-3' is not complete: '-3' is no size."),
        (["x=1x٣"], "Shape 'x=1x٣' is not complete: '٣' is no size."),
        (["x=1", "x=2"], "Input 'x' is given two shapes."),
        (
            ["x=2147483648"],
            "Shape 'x=2147483648' has the size 2147483648, which is not in 0..2147483647.",
        ),
    ],
)
def test_wrong_texts(texts: list[str], message: str) -> None:
    with pytest.raises(EpimcError) as caught:
        shapes_from(texts)
    assert caught.value.diagnostic.message == message


def test_a_number_of_many_digits() -> None:
    with pytest.raises(EpimcError, match=r"which is not in 0\.\.2147483647"):
        shapes_from(["x=" + "9" * 10_000])


@pytest.mark.parametrize(
    ("shapes", "expected"),
    [
        ({"x": (1, 3), "y=z": [np.int64(4)], "s": ()}, {"x": (1, 3), "y=z": (4,), "s": ()}),
        (["x=1x3"], {"x": (1, 3)}),
        ((), {}),
        ({}, {}),
        ({"x": np.array([1, 3])}, {"x": (1, 3)}),
    ],
)
def test_from_python(shapes: Any, expected: dict[str, tuple[int, ...]]) -> None:
    assert shapes_from(shape_texts(shapes)) == expected


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ("x=1", "Shapes cannot be 'x=1'."),
        (3, "Shapes cannot be 3."),
        ([(1, 3)], "Shapes cannot be [(1, 3)]."),
        ({"x": 3}, "The shape of input 'x' cannot be 3."),
        ({"x": "1x3"}, "The shape of input 'x' cannot be '1x3'."),
        ({"x": (1, 2.0)}, "The shape of input 'x' cannot be (1, 2.0)."),
        ({"x": (1, True)}, "The shape of input 'x' cannot be (1, True)."),
        ({"x": (1, None)}, "The shape of input 'x' cannot be (1, None)."),
        ({3: (1,)}, "The shape of input 3 cannot be (1,)."),
        ({"x": (-1,)}, "Shape 'x=(-1)' has the size -1, which is not in 0..2147483647."),
    ],
)
def test_wrong_shapes_from_python(shapes: Any, message: str) -> None:
    with pytest.raises(EpimcError) as caught:
        shape_texts(shapes)
    assert caught.value.diagnostic.message == message


def test_an_option_to_copy() -> None:
    assert option_for("x", (1, 3, "H", "W")) == "--shape 'x=1x3xHxW'"
    assert option_for("x", (1, "max_x")) == "--shape 'x=1,max_x'"
    assert option_for("it's", (1, "H")) == """--shape 'it'"'"'s=1xH'"""
