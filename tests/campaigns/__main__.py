"""`python -m tests.campaigns`: run a campaign, or one case again."""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import sys
import tempfile
import time
from pathlib import Path
from random import SystemRandom

import epimc.api
import epimc.verification.verify  # noqa: F401  (before processes are forked)
from tests.campaigns import seeds
from tests.campaigns.kinds import KINDS
from tests.campaigns.outcomes import BAD
from tests.campaigns.running import Campaign, Summary

BUILD = Path("build/campaign")
MANY = 10**6


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.campaigns", description=__doc__)
    parser.add_argument("--seed", type=int, help="of all cases; else a new one")
    parser.add_argument("--cases", type=int, help="how many, however long they take")
    parser.add_argument("--minutes", type=float, default=10.0, help="else so long (10)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--kind", choices=[kind.name for kind in KINDS], help="of this kind alone")
    parser.add_argument("--case", type=int, help="the one of this number; its files stay")
    return parser.parse_args()


def main() -> int:
    """Run what the command line asks for; 1 where a case is bad."""
    chosen = arguments()
    # A campaign of so many cases has one seed, so that it goes on where it was stopped.
    default = 0 if chosen.cases else SystemRandom().randrange(10**6)
    seed = default if chosen.seed is None else chosen.seed
    prepared = BUILD.resolve() / "seeds"
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        seeds.prepare(prepared)
    seeds.warm_up(prepared)
    kinds = [kind for kind in KINDS if chosen.kind in (None, kind.name)]
    end = float("inf") if chosen.cases else time.monotonic() + 60 * chosen.minutes
    log = BUILD.resolve() / f"seed-{seed}.jsonl"
    campaign = Campaign(seed, prepared, log, kinds, end)
    if chosen.case is not None:
        folder = Path(tempfile.mkdtemp(prefix="case."))
        record = campaign.case(kinds[0], chosen.case, folder)
        print(f"{record.outcome}: epimc {' '.join(record.words)}\n{record.said}\nin {folder}")
        return int(record.outcome in BAD)
    print(f"seed {seed}, {campaign.log}", flush=True)
    campaign.run(chosen.cases or MANY, chosen.jobs)
    names = {kind.name for kind in kinds}
    summary = Summary.of([record for record in campaign.done() if record.kind in names])
    print("\n".join(summary.lines(seed)))
    return int(bool(summary.bad))


if __name__ == "__main__":
    sys.exit(main())
