"""What the results of the suite come to: totals, failures by kind, and what became worse."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence

from tests.conformance.records import BARRED, CHIP, HOST, MIXED, PASSED, Record

SHOWN = 5


def kind_of(said: str) -> str:
    """What was said without names and numbers, so that it can be counted."""
    return re.sub(r"\d+(\.\d+)?", "N", re.sub(r"'[^']*'", "'…'", said))


def totals(records: Sequence[Record]) -> list[str]:
    """How many tests passed, and where."""
    counts = Counter(record.status for record in records)
    bar = [record for record in records if record.status != BARRED]
    passed = sum(record.passed for record in bar)
    named = sum(record.passed and bool(record.chip) for record in bar)
    where = ", ".join(f"{status} {counts[status]}" for status in (CHIP, MIXED, HOST))
    others = ", ".join(
        f"{status} {counts[status]}" for status in sorted(counts) if status not in PASSED
    )
    share = f" ({passed / len(bar):.1%})" if bar else ""
    return [
        f"{len(records)} tests, {len(bar)} of which onnxruntime passes: {passed} pass{share}",
        f"{named} of them compute an operator on the chip: {where}",
        f"not passed: {others}" if others else "",
    ]


def failures(records: Iterable[Record]) -> Iterator[str]:
    """Failures by kind: how many, and the first of their tests."""
    kinds: dict[str, list[str]] = defaultdict(list)
    for record in records:
        if record.counts and not record.passed:
            kinds[f"{record.status}: {kind_of(record.said)}"].append(record.test)
    for kind, tests in sorted(kinds.items(), key=lambda item: (-len(item[1]), item[0])):
        yield f"{len(tests):5}  {kind}"
        yield f"       {', '.join(tests[:SHOWN])}"


def regressions(kept: Sequence[Record], fresh: Sequence[Record]) -> list[str]:
    """What was better in the kept results, a line each."""
    before = {record.test: record for record in kept}
    lines = []
    for record in fresh:
        old = before.get(record.test)
        if old is None or not old.passed:
            continue
        if not record.passed:
            lines.append(f"{record.test}: passed before; {record.status}: {record.said}")
        elif lost := sorted({*old.chip} - {*record.chip}):
            lines.append(f"{record.test}: no longer on the chip: {', '.join(lost)}")
    return lines
