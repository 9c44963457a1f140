"""A short campaign of every kind, always the same, and what the harness itself promises."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import time
from collections import Counter
from pathlib import Path
from random import Random

import pytest

from tests.campaigns import sandbox, seeds
from tests.campaigns.kinds import KINDS, Kind
from tests.campaigns.mutation import changed_bytes, changed_text
from tests.campaigns.outcomes import (
    CRASH,
    FAILED,
    GOOD,
    HANG,
    MEMORY,
    REFUSED,
    SILENT,
    TRACEBACK,
    WRONG,
)
from tests.campaigns.running import Campaign, Summary
from tests.campaigns.sandbox import Bench, watched

# Six parts, so that several processes can share them.
PARTS, CASES, SEED = 6, 360, 7


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What cases start from."""
    folder = tmp_path_factory.mktemp("campaign") / "seeds"
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        seeds.prepare(folder)
    seeds.warm_up(folder)
    return folder


@pytest.mark.parametrize("part", range(PARTS))
def test_nothing_hurts(part: int, prepared: Path, tmp_path: Path) -> None:
    campaign = Campaign(SEED, prepared, tmp_path / "log.jsonl")
    records = []
    for index, (kind, number) in enumerate([*campaign.wanted(CASES)][part::PARTS]):
        folder = tmp_path / str(index)
        folder.mkdir()
        records.append(campaign.case(kind, number, folder))
    summary = Summary.of(records)
    assert not summary.bad, "\n".join(summary.lines(SEED))
    # Most inputs are refused, or nothing was changed that matters.
    assert {outcome for _, outcome in summary.counts} >= {GOOD, REFUSED}


# --- the harness ----------------------------------------------------------------------------------


def played(tmp_path: Path, bench_does: str) -> str:
    """What becomes of a case that does something bad."""

    def play(bench: Bench) -> None:
        if bench_does == "traceback":
            raise AssertionError("of the case itself")
        if bench_does == "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        if bench_does == "hang":
            time.sleep(60)
        if bench_does == "memory":
            b"1" * (sandbox.MEMORY_BYTES + 2**20)
        if bench_does == "wrong":
            bench.complain("it is wrong")
        bench.run("targets", {"refused": "none"}.get(bench_does, "tiny"))

    return watched("x", 0, tmp_path, play).outcome


@pytest.mark.parametrize(
    ("does", "outcome"),
    [
        ("nothing", GOOD),
        ("refused", REFUSED),
        ("traceback", CRASH),
        ("crash", CRASH),
        ("wrong", WRONG),
        ("hang", HANG),
        ("memory", MEMORY),
    ],
)
def test_the_sandbox_sees_what_is_bad(
    does: str, outcome: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if does == "hang":
        monkeypatch.setattr(sandbox, "SECONDS", 0.2)
    if does == "memory":
        monkeypatch.setattr(sandbox, "MEMORY_BYTES", 2**29)
    assert played(tmp_path, does) == outcome


@pytest.mark.parametrize(
    ("code", "said", "outcome"),
    [
        (0, "warning: x\n", GOOD),
        (2, "error: x\n  hint: y\n", REFUSED),
        (2, "", SILENT),
        (2, "error: x\nerror: y\n", SILENT),
        (0, "error: x\n", SILENT),
        (1, "error: x\n", FAILED),
        (3, "error: x\n", SILENT),
        (130, "interrupted\n", SILENT),
        (None, "Traceback", TRACEBACK),
    ],
)
def test_a_command_is_judged_by_its_code_and_its_words(
    code: int | None, said: str, outcome: str
) -> None:
    from tests.campaigns.outcomes import Done

    assert Done(("run",), code, said).outcome == outcome


def test_cases_are_the_same_again(prepared: Path) -> None:
    data = (prepared / "fire.onnx").read_bytes()
    first, second = (changed_bytes(Random("1 x 2"), data) for _ in range(2))
    assert first == second != data
    text = (prepared / "fire" / "program.asm").read_text("utf-8")
    assert changed_text(Random(3), text) == changed_text(Random(3), text) != text


def test_kinds_come_by_their_shares(tmp_path: Path) -> None:
    counts = Counter(kind.name for kind, _ in Campaign(0, tmp_path, tmp_path / "l").wanted(1000))
    assert sum(kind.share for kind in KINDS) == 100
    assert counts == {kind.name: 10 * kind.share for kind in KINDS}


def test_a_campaign_goes_on_where_it_ended(tmp_path: Path) -> None:
    def play(random: Random, folder: Path, bench: Bench) -> None:
        del random, folder
        bench.run("targets", "tiny")

    campaign = Campaign(0, tmp_path, tmp_path / "log.jsonl", [Kind("x", 100, play)])
    campaign.run(3, 1)
    with campaign.log.open("a", encoding="utf-8") as file:
        file.write('{"kind": "x", "numb')
    assert [record.number for record in campaign.done()] == [0, 1, 2]
    campaign.log.write_text(campaign.log.read_text("utf-8") + "\n", encoding="utf-8")
    campaign.run(5, 2)
    assert sorted(record.number for record in campaign.done()) == [0, 1, 2, 3, 4]
