"""Hints, and errors that name several mistakes at once."""

from __future__ import annotations

import pytest

from epimc.support.diagnostics import Diagnostic, Span, did_you_mean, mistaken, nearest, render

pytestmark = pytest.mark.smoke

WORDS = ("fold", "quantize", "Known")


@pytest.mark.parametrize(
    ("word", "near"), [("fuld", "fold"), ("quantise", "quantize"), ("zzz", None), ("Knwn", "Known")]
)
def test_the_nearest_word_is_data(word: str, near: str | None) -> None:
    assert nearest(word, WORDS) == near
    hint = "Known: Known, fold, quantize." if near is None else f"Did you mean '{near}'?"
    assert did_you_mean(word, WORDS) == hint


def test_fewer_words_may_be_listed_than_are_known() -> None:
    assert did_you_mean("fuld", WORDS, listed=["quantize"]) == "Did you mean 'fold'?"
    assert did_you_mean("zzz", WORDS, listed=["quantize"]) == "Known: quantize."
    assert did_you_mean("zzz", WORDS, listed=[]) == ""
    assert did_you_mean("zzz", []) == ""


def test_every_mistake_is_named() -> None:
    assert str(mistaken("The plans have", ["A.", "B."], hint="C.")) == (
        "error: The plans have 2 mistakes.\n  note: A.\n  note: B.\n  hint: C."
    )
    assert str(mistaken("Plan files has", ["A."])) == (
        "error: Plan files has 1 mistake.\n  note: A."
    )


def test_the_rest_is_counted() -> None:
    mistakes = [f"{number}." for number in range(5)]
    assert mistaken("It has", mistakes, most=5).diagnostic.notes == tuple(mistakes)
    few = mistaken("It has", mistakes, most=3).diagnostic
    assert (few.message, few.notes) == ("It has 5 mistakes.", ("0.", "1.", "2.", "2 more."))


def test_long_words_are_not_compared() -> None:
    assert nearest("x" * 200, ["x" * 199]) == "x" * 199
    assert nearest("x" * 201, ["x" * 200]) is None
    assert nearest("x" * 200, ["x" * 201]) is None
    assert did_you_mean("y", ["x" * 201]) == f"Known: {'x' * 200}…."


def test_of_many_words_those_are_compared_that_begin_alike() -> None:
    many = [f"a{number}" for number in range(2000)]
    assert nearest("conv1x", [*many, "conv1"]) == "conv1"
    assert nearest("onv1", [*many, "conv1"]) is None
    assert nearest("onv1", [*many[1:], "conv1"]) == "conv1"
    assert did_you_mean("?", many).endswith(", a1177, and 1800 more.")


@pytest.mark.parametrize(
    ("column", "shown", "place"),
    [
        (1, "^" + "." * 199 + "...", 1),
        (201, "..." + "." * 100 + "^" + "." * 99 + "...", 104),
        (1000, "..." + "." * 199 + "^", 203),
    ],
)
def test_of_a_long_line_the_part_around_the_column_is_shown(
    column: int, shown: str, place: int
) -> None:
    line = "." * (column - 1) + "^" + "." * (1000 - column)
    text = render(Diagnostic("It is wrong.", Span("f", 1, column, line)))
    assert text == f"error: It is wrong.\n  --> f:1:{column}\n1 | {shown}\n  | {' ' * (place - 1)}^"
