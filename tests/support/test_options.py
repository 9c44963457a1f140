"""Options of every type: printed, read back, refused with what was expected."""

from __future__ import annotations

import string
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epimc.ir.pipeline import Pass, overridden, parse_pipeline, print_pipeline
from epimc.support.diagnostics import EpimcError
from epimc.support.options import Option, kind_of, options_of


class Order(Enum):
    """Some order."""

    DEPTH = "depth-first"
    BREADTH = "breadth-first"


@dataclass(frozen=True)
class Wide(Pass):
    """A pass with an option of every type."""

    bits: Annotated[int, Option("Bits.", minimum=2, maximum=8)] = 8
    share: float = 0.5
    fast: bool = False
    word: str = "none"
    file: Path = Path("a.toml")
    mode: Literal["fast", "exact"] = "fast"
    order: Order = Order.DEPTH
    sizes: Annotated[tuple[int, ...], Option("Sizes.", minimum=1)] = ()
    words: tuple[str, ...] = field(default_factory=lambda: ("a",))
    nested: tuple[tuple[bool, ...], ...] = ()
    limit: int | None = None
    label: str | None = None

    name: ClassVar[str] = "wide"
    requires: ClassVar[str] = "nn"
    ensures: ClassVar[str] = "nn"


@dataclass(frozen=True)
class Other(Pass):
    """Another pass."""

    level: Annotated[int, Option("Level.", maximum=3)] = 0

    name: ClassVar[str] = "other"
    requires: ClassVar[str] = "nn"
    ensures: ClassVar[str] = "nn"


REGISTRY = {"wide": f"{__name__}:Wide", "other": f"{__name__}:Other"}

# What the grammar gives a meaning to comes often.
TEXT = st.text(st.sampled_from('{}[],="\\ none') | st.characters(exclude_categories=["Cs"]))
WIDE = st.builds(
    Wide,
    bits=st.integers(2, 8),
    share=st.floats(allow_nan=False),
    fast=st.booleans(),
    word=TEXT,
    file=TEXT.map(Path),
    mode=st.sampled_from(["fast", "exact"]),
    order=st.sampled_from(Order),
    sizes=st.lists(st.integers(min_value=1)).map(tuple),
    words=st.lists(TEXT).map(tuple),
    nested=st.lists(st.lists(st.booleans()).map(tuple)).map(tuple),
    limit=st.none() | st.integers(),
    label=st.none() | st.just("none") | TEXT,
)


def parsed(text: str) -> list[Pass]:
    """The passes that a text names."""
    return parse_pipeline(text, REGISTRY)


@given(st.lists(WIDE | st.builds(Other, st.integers(max_value=3)), max_size=3))
def test_what_is_printed_is_read_back(passes: list[Pass]) -> None:
    text = print_pipeline(passes)
    assert parsed(text) == passes
    assert print_pipeline(parsed(text)) == text


@given(st.text(string.punctuation + "wide= 4ano"))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        steps = parsed(text)
    except EpimcError:
        return
    assert parsed(print_pipeline(steps)) == steps


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"word": "uniform:1024x256"}, "word=uniform:1024x256"),
        ({"word": ""}, 'word=""'),
        ({"word": 'a "b", {c}'}, r'word="a \"b\", {c}"'),
        ({"file": Path("/tmp/my plans.toml")}, 'file="/tmp/my plans.toml"'),
        ({"order": Order.BREADTH, "mode": "exact"}, "mode=exact,order=breadth-first"),
        ({"sizes": (4, 2), "words": ()}, "sizes=[4,2],words=[]"),
        ({"nested": ((True,), ())}, "nested=[[true],[]]"),
        ({"label": "none", "limit": 3}, 'limit=3,label="none"'),
    ],
)
def test_how_values_are_printed(options: dict[str, Any], text: str) -> None:
    assert str(Wide(**options)) == f"wide{{{text}}}"


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("wide{}", {}),
        ('wide{word="none"}', {}),
        ("wide{ word = two words , }", {"word": "two words"}),
        ("wide{word=a=b}", {"word": "a=b"}),
        ("wide{limit=none,label=none}", {}),
        ('wide{sizes=[ 1, 2, ],words=["a,b",c]}', {"sizes": (1, 2), "words": ("a,b", "c")}),
    ],
)
def test_other_ways_to_write_values(text: str, options: dict[str, Any]) -> None:
    assert parsed(text) == [Wide(**options)]


@pytest.mark.parametrize(
    ("option", "written", "expected"),
    [
        ("bits", "x", "an integer"),
        ("bits", '"4"', "an integer"),
        ("bits", "[4]", "an integer"),
        ("share", "x", "a number"),
        ("fast", "yes", "true or false"),
        ("word", "[a]", "text"),
        ("file", "[]", "a path"),
        ("mode", "slow", "fast or exact"),
        ("order", "depth", "depth-first or breadth-first"),
        ("sizes", "3", "a list, each item an integer"),
        ("sizes", "[3, x]", "a list, each item an integer"),
        ("limit", "x", "an integer or none"),
    ],
)
def test_values_that_are_none_of_the_type(option: str, written: str, expected: str) -> None:
    with pytest.raises(EpimcError) as caught:
        parsed(f"wide{{{option}={written}}}")
    assert caught.value.diagnostic.message == (
        f"Option '{option}' of pass 'wide' is '{written}', expected {expected}."
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("wide{bits=9}", "Pass 'wide': bits = 9 is not in 2..8."),
        ("wide{sizes=[1,0]}", "Pass 'wide': sizes = 0 is not at least 1."),
        ("other{level=4}", "Pass 'other': level = 4 is not at most 3."),
    ],
)
def test_values_out_of_range(text: str, problem: str) -> None:
    with pytest.raises(EpimcError) as caught:
        parsed(text)
    assert caught.value.diagnostic.message == problem


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"bits": True}, "bits = True is not an integer"),
        ({"fast": 1}, "fast = 1 is not true or false"),
        ({"sizes": [1]}, "sizes = [1] is not a list, each item an integer"),
        ({"mode": "slow"}, "mode = 'slow' is not fast or exact"),
        ({"order": "depth-first"}, "order = 'depth-first' is not depth-first or breadth-first"),
        ({"label": 3}, "label = 3 is not text or none"),
    ],
)
def test_values_from_python_are_held_to_the_type(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        Wide(**options)
    assert str(caught.value) == problem


@pytest.mark.parametrize(
    ("text", "column", "expected"),
    [
        ("wide{bits=}", 11, "a value"),
        ('wide{word="a}', 11, "text in quotes, as in JSON"),
        ("wide{sizes=[1}", 14, "a comma or ']'"),
        ("wide{bits=4", 12, "a comma or '}'"),
        ("wide other", 6, "a comma"),
    ],
)
def test_malformed_text(text: str, column: int, expected: str) -> None:
    with pytest.raises(EpimcError) as caught:
        parsed(text)
    assert caught.value.diagnostic.message == (
        f"Pipeline '{text}' is malformed at column {column}: expected {expected}."
    )


def test_options_are_set_in_passes_that_stand() -> None:
    passes = [Wide(share=0.25), Other(), Wide()]
    assert overridden(passes, "wide{bits=4},other{level=2}") == (
        Wide(share=0.25, bits=4),
        Other(2),
        Wide(bits=4),
    )
    assert overridden(passes, "") == tuple(passes)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("widde{bits=4}", "There is no pass 'widde' among those that run."),
        ("wide{bit=4}", "Pass 'wide' has no option 'bit'."),
        ("wide{=4}", "Pass 'wide' has no option ''."),
        ("wide{bits=9}", "Pass 'wide': bits = 9 is not in 2..8."),
    ],
)
def test_options_that_cannot_be_set(text: str, problem: str) -> None:
    with pytest.raises(EpimcError) as caught:
        overridden([Wide()], text)
    assert caught.value.diagnostic.message == problem


def test_what_a_declaration_says() -> None:
    known = options_of(Wide)["bits"]
    assert (known.option.doc, known.option.minimum, known.default) == ("Bits.", 2, 8)
    assert known.annotation is int
    assert options_of(Wide)["words"].default == ("a",)
    with pytest.raises(TypeError, match="the type of no option"):
        kind_of(dict[str, int])
