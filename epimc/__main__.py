"""The command `epimc`, also `python -m epimc`: interrupts first, then all that takes time."""

from __future__ import annotations

import sys

from epimc.support.interrupts import end_at_signals


def main() -> int:
    """Run the command line with the arguments of this process; returns the exit code."""
    end_at_signals()
    from epimc.cli.streams import fill_closed_streams

    fill_closed_streams()
    from epimc.cli.main import main as run

    return run()


if __name__ == "__main__":
    sys.exit(main())
