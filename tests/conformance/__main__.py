"""`python -m tests.conformance`: run ONNX's backend suite, and say what differs from what is kept.

python -m tests.conformance                     all of it; 1 where it is worse than what is kept
python -m tests.conformance --keep              and keep the results, and write their page anew
python -m tests.conformance --every 8           a sample
python -m tests.conformance --match 'conv.*pad' some
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from tests.conformance.page import PAGE, page
from tests.conformance.records import Record, Results, read
from tests.conformance.reports import failures, regressions, totals
from tests.conformance.suite import trials
from tests.conformance.workers import ROOT, run_all

KEPT = ROOT / "tests" / "data" / "conformance.json"
LOG = Path("build/conformance.jsonl")


def arguments(words: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.conformance",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--every", type=int, default=1, metavar="N", help="one of N tests")
    parser.add_argument("--match", default="", metavar="PATTERN", help="those with such names")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--log", type=Path, default=LOG, help=f"what is done ({LOG})")
    parser.add_argument("--resume", action="store_true", help="go on where the log ends")
    parser.add_argument("--keep", action="store_true", help="keep the results of all tests")
    parser.add_argument("--page", action="store_true", help="write the page, and run nothing")
    return parser.parse_args(words)


def main(words: Sequence[str] | None = None) -> int:
    """Run what the command line asks for."""
    options = arguments(words)
    if options.page:
        (ROOT / PAGE).write_text(page(Results.read(KEPT)), encoding="utf-8")
        return 0
    names = [name for name in trials() if re.search(options.match, name)][:: options.every]
    records = run_logged(names, options.log, options.jobs, resume=options.resume)
    print("\n".join((*failures(records), *totals(records))))
    if options.keep:
        if len(names) != len(trials()):
            print("Only the results of all tests are kept.", file=sys.stderr)
            return 2
        results = Results.of(records)
        KEPT.write_text(results.text(), encoding="utf-8")
        (ROOT / PAGE).write_text(page(results), encoding="utf-8")
        return 0
    worse = regressions(Results.read(KEPT).records, records)
    print("\n".join(worse))
    return int(bool(worse))


def run_logged(names: Sequence[str], log: Path, jobs: int, *, resume: bool) -> list[Record]:
    """The records of tests; each is written to the log as soon as it is there."""
    log.parent.mkdir(parents=True, exist_ok=True)
    if not resume:
        log.unlink(missing_ok=True)
    done = {record.test: record for record in read(log)}
    with log.open("a", encoding="utf-8") as file:

        def took(record: Record) -> None:
            done[record.test] = record
            print(json.dumps(asdict(record)), file=file, flush=True)
            if sys.stderr.isatty():
                print(f"\r{len(done)} of {len(names)}", end="", file=sys.stderr)

        run_all([name for name in names if name not in done], jobs, took)
    return [done[name] for name in names]


if __name__ == "__main__":
    sys.exit(main())
