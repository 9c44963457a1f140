"""The command `epimc`, also `python -m epimc`: interrupts first, then all that takes time."""

from __future__ import annotations

import sys

from epimc.support.interrupts import end_at_signals, ignore_signals


def main() -> int:
    """Run the command line with the arguments of this process; returns the exit code."""
    end_at_signals()
    from epimc.cli.streams import fill_closed_streams

    fill_closed_streams()
    from epimc.cli.main import main as run

    code = run()
    # It is done: while Python ends, its own handlers are gone.
    ignore_signals()
    return code


if __name__ == "__main__":
    sys.exit(main())
