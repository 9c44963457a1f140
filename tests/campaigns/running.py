"""Many cases: spread over processes, written down one by one, and gone on with where they ended."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random

from tests.campaigns.kinds import KINDS, Kind
from tests.campaigns.outcomes import BAD, GOOD, Record
from tests.campaigns.sandbox import watched


@dataclass(frozen=True)
class Campaign:
    """Which cases are run.

    Attributes:
        seed: Of all of them.
        seeds: The folder of what they start from.
        log: Where each case is written down, as a line of JSON.
        kinds: Those to run.
        until: `time.monotonic()` when no further case begins.
    """

    seed: int
    seeds: Path
    log: Path
    kinds: Sequence[Kind] = KINDS
    until: float = float("inf")

    def case(self, kind: Kind, number: int, folder: Path) -> Record:
        """Run one case: the same for the same seed, kind and number.

        Args:
            kind: Of the case.
            number: Among those of its kind.
            folder: An empty one, where its files are left.
        """
        random = Random(f"{self.seed} {kind.name} {number}")
        return watched(kind.name, number, folder, partial(kind.play, random, self.seeds))

    def done(self) -> list[Record]:
        """The cases that are written down."""
        if not self.log.exists():
            return []
        lines = self.log.read_text("utf-8").splitlines()
        # The last line may be half a one, where a campaign was killed.
        return [Record(**json.loads(line)) for line in lines if line.endswith("}")]

    def wanted(self, count: int) -> Iterator[tuple[Kind, int]]:
        """The first `count` cases of all kinds, in turn, by the kinds' shares."""
        numbers: Counter[str] = Counter()
        total = sum(kind.share for kind in self.kinds)
        for index in range(count):
            # The kind that is furthest behind its share.
            kind = max(
                self.kinds, key=lambda kind: kind.share * (index + 1) - total * numbers[kind.name]
            )
            yield kind, numbers[kind.name]
            numbers[kind.name] += 1

    def run(self, count: int, jobs: int) -> None:
        """Run what is missing of the first `count` cases, in several processes."""
        known = {(record.kind, record.number) for record in self.done()}
        missing = [case for case in self.wanted(count) if (case[0].name, case[1]) not in known]
        self.log.parent.mkdir(parents=True, exist_ok=True)
        workers = []
        for job in range(jobs):
            child = os.fork()
            if child == 0:
                self._work(missing[job::jobs])
            workers.append(child)
        for child in workers:
            _, status = os.waitpid(child, 0)
            if status:
                raise RuntimeError(f"a worker of the campaign ended with status {status}")

    def _work(self, cases: Sequence[tuple[Kind, int]]) -> None:
        """Run cases one after the other; never returns."""
        status = 1
        try:
            for kind, number in cases:
                if time.monotonic() > self.until:
                    break
                folder = Path(tempfile.mkdtemp(prefix="case."))
                record = self.case(kind, number, folder)
                shutil.rmtree(folder, ignore_errors=True)
                with self.log.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(record.to_dict()) + "\n")
            status = 0
        finally:
            os._exit(status)


@dataclass
class Summary:
    """How many cases came to what.

    Attributes:
        counts: By kind and outcome.
        bad: The records of the bad ones.
        slowest: In seconds.
        largest: In bytes.
    """

    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    bad: list[Record] = field(default_factory=list)
    slowest: float = 0.0
    largest: int = 0

    @staticmethod
    def of(records: Sequence[Record]) -> Summary:
        """The summary of some cases."""
        summary = Summary()
        for record in records:
            summary.counts[record.kind, record.outcome] += 1
            summary.slowest = max(summary.slowest, record.seconds)
            summary.largest = max(summary.largest, record.bytes)
            if record.outcome in BAD:
                summary.bad.append(record)
        return summary

    def lines(self, seed: int) -> Iterator[str]:
        """A table, and how each bad case is run again."""
        kinds = list(dict.fromkeys(kind for kind, _ in self.counts))
        outcomes = [GOOD, "refused", "check failed", *BAD]
        yield (
            f"{'kind':15}"
            + "".join(f"{name:>13}" for name in outcomes[:3])
            + "".join(f"{name:>10}" for name in outcomes[3:])
        )
        for kind in kinds:
            cells = [self.counts[kind, outcome] for outcome in outcomes]
            yield (
                f"{kind:15}"
                + "".join(f"{cell:>13}" for cell in cells[:3])
                + "".join(f"{cell:>10}" for cell in cells[3:])
            )
        total, memory = sum(self.counts.values()), self.largest / 2**20
        most = f"at most {self.slowest:.1f} s and {memory:.0f} MiB"
        yield f"{total} cases, {len(self.bad)} bad; {most}"
        for record in self.bad:
            reason = (record.said.strip().splitlines() or ["nothing was said"])[-1][:150]
            again = f"python -m tests.campaigns --seed {seed} --kind {record.kind}"
            yield f"{record.outcome}: {again} --case {record.number}: {reason}"
