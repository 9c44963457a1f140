"""Hints, and errors that name several mistakes at once."""

from __future__ import annotations

import pytest

from epimc.support.diagnostics import did_you_mean, mistaken, nearest

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
