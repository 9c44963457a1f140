"""The labels of the axes of products."""

from __future__ import annotations

import pytest

from epimc.frontend.core.equations import leading_labels, multiplications, terms_of
from epimc.frontend.core.node import UnsupportedError


@pytest.mark.parametrize(
    ("equation", "ranks", "factors", "result"),
    [
        ("bij,jk->bik", (3, 2), ["bij", "jk"], "bik"),
        (" b i j , j k ", (3, 2), ["bij", "jk"], "bik"),
        ("ba,Bb", (2, 2), ["ba", "Bb"], "Ba"),
        ("b...j,...jk->b...k", (4, 3), ["b89j", "9jk"], "b89k"),
        ("...j,jk", (3, 2), ["89j", "jk"], "89k"),
        ("a...->...a", (3,), ["a89"], "89a"),
        ("a...->...a", (1,), ["a"], "a"),
        ("ii->i", (2,), ["ii"], "i"),
    ],
)
def test_terms(equation: str, ranks: tuple[int, ...], factors: list[str], result: str) -> None:
    assert terms_of(equation, ranks) == (factors, result)


@pytest.mark.parametrize(
    ("equation", "ranks"), [("ab,bc->ac", (2,)), ("ab", (2, 2)), ("ab,c->abc", (3, 1)), ("", (2,))]
)
def test_equations_that_do_not_fit(equation: str, ranks: tuple[int, ...]) -> None:
    with pytest.raises(UnsupportedError, match=f"the equation '{equation}' is not supported"):
        terms_of(equation, ranks)


def test_too_many_leading_axes() -> None:
    with pytest.raises(UnsupportedError, match="a factor of more than 10 axes is not supported"):
        leading_labels([11, 0])


@pytest.mark.parametrize(
    ("equation", "shapes", "count"),
    [
        ("bij,jk->bik", ((2, 3, 4), (4, 5)), 120),
        ("...ij,...jk", ((6, 2, 3), (1, 3, 4)), 144),
        ("a,b->", ((2,), (3,)), 6),
    ],
)
def test_multiplications(equation: str, shapes: tuple[tuple[int, ...], ...], count: int) -> None:
    assert multiplications(equation, shapes) == count
