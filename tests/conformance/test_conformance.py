"""A sample of the suite as it is kept, and the page that is made of what is kept."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from tests.conformance.__main__ import KEPT, main
from tests.conformance.page import PAGE, page
from tests.conformance.records import BARRED, Record, Results, installed_versions, kept
from tests.conformance.running import run
from tests.conformance.suite import trials

ROOT = Path(__file__).parent.parent.parent

# Tests that run in this process: evenly spread over the names of those that pass.
SAMPLE = 40

# Calibration is onnxruntime's, whose sums differ in the last bits from processor to processor.
NEAR_DB = 1.0

# Noise of less than the last place of float32, 2^-23: what is rounded how is the processor's.
LAST_PLACE_DB = 20 * math.log10(2**23)


@cache
def results() -> Results:
    """The kept results."""
    return Results.read(KEPT)


def sample() -> list[Record]:
    """Some of those that pass."""
    records = [record for record in results().records if record.passed]
    return records[:: max(1, len(records) // SAMPLE)][:SAMPLE]


@pytest.mark.parametrize("record", sample(), ids=lambda record: str(record.test))
@pytest.mark.filterwarnings("ignore")
def test_a_sample_is_as_it_is_kept(record: Record) -> None:
    if record.test not in trials():
        pytest.skip("another version of ONNX, whose suite has no such test")
    fresh = run(trials()[record.test]())
    if fresh.status == BARRED and results().versions != installed_versions():
        pytest.skip("another version of onnxruntime, which does not pass the test")
    assert without_figures(fresh) == without_figures(record)
    assert (fresh.sqnr_db is None) == (record.sqnr_db is None)
    if fresh.sqnr_db is not None and record.sqnr_db is not None:
        assert fresh.sqnr_db > min(record.sqnr_db - NEAR_DB, LAST_PLACE_DB)


def without_figures(record: Record) -> dict[str, object]:
    """What must not differ at all."""
    return kept(replace(record, sqnr_db=None, cosine=None))


def test_all_tests_of_the_suite_are_kept() -> None:
    if results().versions["onnx"] != installed_versions()["onnx"]:
        pytest.skip("another version of ONNX, which has another suite")
    assert [record.test for record in results().records] == [*trials()]


def test_the_page_is_what_the_kept_results_make() -> None:
    text = (ROOT / PAGE).read_text(encoding="utf-8")
    assert text == page(results()), "renew it: python -m tests.conformance --page"


def test_the_kept_file_is_what_its_records_make() -> None:
    assert KEPT.read_text(encoding="utf-8") == results().text()


@pytest.mark.slow
def test_nothing_is_worse_than_what_is_kept(tmp_path: Path) -> None:
    assert main(["--log", str(tmp_path / "log.jsonl")]) == 0
