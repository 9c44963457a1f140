"""What C code prints is dropped, and nothing else."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest

from epimc.support.quiet import flush_all, without_prints

pytestmark = pytest.mark.smoke


def test_prints_of_c_are_dropped(capfd: pytest.CaptureFixture[str]) -> None:
    library = ctypes.CDLL(None)
    library.puts(b"before")
    with without_prints():
        library.puts(b"meanwhile")
    library.puts(b"behind")
    flush_all()
    assert capfd.readouterr().out == "before\nbehind\n"


def test_prints_come_back_after_an_error(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyError), without_prints():
        raise KeyError
    print("still", flush=True)
    assert capfd.readouterr().out == "still\n"


def test_a_closed_output_stays_closed() -> None:
    code = "import os; os.close(1)\nfrom epimc.support.quiet import without_prints\n"
    code += "with without_prints(): pass\nimport sys; sys.stdout = None"
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")
