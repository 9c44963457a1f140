"""`python -m epimc` is the command `epimc`."""

from __future__ import annotations

import sys

from epimc.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
