"""TOML texts of any content: what is refused before it is parsed, and where."""

from __future__ import annotations

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epimc.support.diagnostics import EpimcError
from epimc.support.limits import DEEPEST
from epimc.support.toml_files import MOST_MARKS, parse_toml

pytestmark = pytest.mark.smoke

DEEP = f"Target file 'x.toml' nests its values deeper than {DEEPEST}."


def refusal(text: str, most: int = MOST_MARKS) -> str:
    """The error for a text."""
    with pytest.raises(EpimcError) as caught:
        parse_toml(text, "x.toml", "Target", most)
    assert caught.value.exit_code == 2
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "column"),
    [
        ("a" + ".a" * 20000 + " = 1", 130),
        ("[" + "a." * 20000 + "a]", 129),
        ("[[" + "a." * 20000 + "a]]", 128),
        ("a" + " . 'a'" * 20000 + " = 1", 387),
        ("a = " + "[" * 100000, 69),
        ("a = " + "{a = " * 50000, 325),
        ("a = [{b" + ".b" * 100 + " = 1}]", 132),
    ],
)
def test_what_nests_too_deeply(text: str, column: int) -> None:
    first, second, *_ = refusal(f"b = 1\n{text}\n").splitlines()
    assert (first, second) == (f"error: {DEEP}", f"  --> x.toml:2:{column}")


@pytest.mark.parametrize(
    "text",
    [
        "# " + "a." * 100 + "[" * 100,
        '"' + "a." * 100 + "[" * 100 + '" = 1',
        "a = '" + "[" * 100 + "'",
        'a = "' + '[.\\"' * 100 + '"',
        'a = """\n' + '[."\n' * 100 + '"""',
        'a = """"' + "[" * 100 + '"""""',
        "a = '''\n" + "[.'\n" * 100 + "'''",
        "a = [" + "[1.5], " * 200 + "]",
        "".join(f"a.b{i} = 1.5\n" for i in range(100)),
    ],
)
def test_what_only_looks_deep(text: str) -> None:
    assert parse_toml(text, "x.toml", "Target") == tomllib.loads(text)


def test_what_has_too_many_keys() -> None:
    text = "a = 1\nb = 2\nc = 3\n"
    assert parse_toml(text, "x.toml", "Target", 6) == {"a": 1, "b": 2, "c": 3}
    assert refusal(text, 5) == (
        "error: Target file 'x.toml' has more than 5 keys, values and lines.\n"
        "  --> x.toml:3:6\n"
        "3 | c = 3\n"
        "  |      ^"
    )


def test_of_a_long_line_a_part_is_shown() -> None:
    text = "a = [" + "1, " * 3_000_000
    lines = refusal(text).splitlines()
    assert (
        lines[0]
        == f"error: Target file 'x.toml' has more than {MOST_MARKS} keys, values and lines."
    )
    assert max(map(len, lines)) < 300
    assert lines[2].startswith("1 | ...")
    assert lines[2].endswith("...")
    # The mark stands under the comma at which the text is cut off.
    assert lines[2][lines[3].index("^")] == ","


def test_an_integer_of_too_many_digits() -> None:
    assert refusal("a = " + "9" * 5000) == (
        "error: Target file 'x.toml' is not TOML: an integer has too many digits.\n  --> x.toml"
    )


PIECES = st.sampled_from(
    [
        "a",
        ".",
        "=",
        "[",
        "]",
        "{",
        "}",
        ",",
        "\n",
        "\r\n",
        "#",
        "'",
        '"',
        "'''",
        '"""',
        "\\",
        " ",
        "1",
    ]
)


@given(st.lists(PIECES, max_size=60).map("".join))
def test_a_text_says_what_the_parser_says(text: str) -> None:
    """Nothing that the parser takes is refused, unless it is deep; and nothing else is raised."""
    try:
        expected = tomllib.loads(text)
    except ValueError:
        assert "is not TOML" in refusal(text)
    else:
        assert parse_toml(text, "x.toml", "Target") == expected
