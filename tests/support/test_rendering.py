"""Blocks as text and as HTML, whatever names they have."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from epimc.support.rendering import WIDTH, html_of, text_of
from epimc.support.tables import Block, Facts, Lines, TableBlock, Verbatim, short, table

TITLES = ("layer", "bits", "dB")


def test_a_table() -> None:
    rows = [("conv1", "8", "39.23"), ("a", "4", "-")]
    assert text_of([table(TITLES, rows, left=2)]) == (
        "layer  bits     dB\n"
        "-----  ----  -----\n"
        "conv1  8     39.23\n"
        "a      4         -"
    )  # fmt: skip


def test_a_table_without_rows() -> None:
    assert text_of([table(TITLES, [])]) == "layer  bits  dB\n-----  ----  --"


@pytest.mark.parametrize("name", ["n" * 200, "卷积" * 100, "[bold]" * 40, ":smile:" * 30])
def test_the_first_column_is_cut(name: str) -> None:
    titles, rule, row = text_of([table(TITLES, [(name, "8", "39.23")])]).split("\n")
    assert cell_len(titles) == cell_len(rule) == cell_len(row) == WIDTH
    first, bits, db = row.rsplit(None, 2)
    assert first.rstrip().endswith("…")
    assert name.startswith(first.rstrip("… "))
    assert (bits, db) == ("8", "39.23")


def test_where_the_others_leave_no_room_the_widest_is_cut() -> None:
    row = text_of([table(TITLES, [("name", "8", "x" * 300)])]).split("\n")[2]
    assert row.split()[:2] == ["name", "8"]
    assert row.endswith("x…")
    assert cell_len(row) == WIDTH


def test_names_are_no_markup_and_stay_on_their_line() -> None:
    rows = [("[/red]a", "b\nc", "\x1b[31m")]
    assert text_of([table(TITLES, rows)]).split("\n")[2] == "[/red]a   b c   [31m"


def test_long_lines_are_broken_between_words_and_long_words_cut() -> None:
    text = text_of([Lines(("  calls: " + "Softmax 'a', " * 12, "p" * 150 + " -> y"))])
    first, second, third, fourth = text.split("\n")
    assert first.startswith("  calls: Softmax 'a', Softmax")
    assert second.startswith(("    'a',", "    Softmax"))
    assert f"{first} {second.strip()}".split() == ("calls: " + "Softmax 'a', " * 12).split()
    assert third == "p" * (WIDTH - 1) + "…"
    assert fourth == "  -> y"


def test_lines_facts_and_texts_follow_each_other() -> None:
    blocks: list[Block] = [
        Lines(("a", "", "b")),
        Facts((("top-1", "3 %"),)),
        Verbatim("x" * 120 + "\n  y\n"),
    ]
    assert text_of(blocks) == f"a\n\nb\ntop-1: 3 %\n{'x' * 120}\n  y"


def test_what_is_empty_leaves_no_line() -> None:
    empty: list[Block] = [Lines(()), Facts(())]
    assert text_of([*empty, Lines(("a",)), *empty]) == "a"
    assert html_of(empty).strip() == ""


def test_the_environment_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    block = table(TITLES, [("n" * 200, "8", "1")])
    before = text_of([block])
    for name, value in {"COLUMNS": "40", "FORCE_COLOR": "1", "TTY_COMPATIBLE": "1"}.items():
        monkeypatch.setenv(name, value)
    assert text_of([block]) == before
    assert "\x1b" not in before


names = st.text(st.characters(codec="utf-8"), max_size=220)
blocks_of_any_text: st.SearchStrategy[Block] = st.one_of(
    st.lists(st.tuples(names, names, names), max_size=3).map(lambda rows: table(TITLES, rows)),
    st.lists(names, max_size=3).map(lambda lines: Lines(tuple(lines))),
    st.lists(st.tuples(names, names), max_size=3).map(lambda pairs: Facts(tuple(pairs))),
)


@settings(max_examples=60, deadline=None)
@given(blocks_of_any_text)
def test_no_line_is_wider_than_the_page(block: Block) -> None:
    lines = text_of([block]).split("\n")
    assert max(map(cell_len, lines)) <= WIDTH
    assert all(line.isprintable() for line in lines)
    if isinstance(block, TableBlock):
        assert len(lines) == 2 + len(block.rows)


class Page(HTMLParser):
    """The elements of a page, and its texts."""

    def __init__(self, text: str) -> None:
        """Read it."""
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        """Go into an element."""
        self.open.append(tag)
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Leave it."""
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Keep a text."""
        if data.strip():
            self.texts.append(data)


def test_html_escapes_every_text() -> None:
    evil = "<script>alert('x')</script> & \"y\""
    blocks: list[Block] = [
        table((evil, "bits"), [(evil, "8")]),
        Lines((evil, "")),
        Facts(((evil, evil),)),
        Verbatim(evil),
    ]
    page = Page(html_of(blocks))
    assert page.open == []
    assert set(page.tags) == {"table", "thead", "tbody", "tr", "th", "td", "p", "pre"}
    assert page.texts == [evil, "bits", evil, "8", evil, evil, evil, evil]


def test_html_cuts_nothing_and_aligns_numbers() -> None:
    text = html_of([table(TITLES, [("n" * 200, "8", "1")])])
    assert "n" * 200 in text
    assert '<td style="text-align: right">8</td>' in text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0"),
        (9999, "9999"),
        (10000, "10.0k"),
        (999949, "1000k"),
        (1234567, "1.23M"),
        (98765432109, "98.8G"),
    ],
)
def test_short_counts(count: int, text: str) -> None:
    assert short(count) == text
