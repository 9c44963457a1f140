"""Ctrl-C and the like end a command at once, with one word, whatever it is doing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import epimc
from tests.cli.conftest import Run, contents

ROOT = Path(epimc.__file__).parents[1]
COMPILE = ("compile", "model.onnx", "-o", "bundle", "--dump-ir", "dumps")
EXIT_CODES = {"SIGINT": 130, "SIGTERM": 143, "SIGHUP": 129}

# Sends itself a signal when a module is first imported, or a function of one is called.
STRUCK = """
import importlib, os, runpy, signal, sys

how, module, name, *arguments = sys.argv[1:]

def strike():
    if how == "ignored":
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        os.kill(os.getpid(), signal.SIGINT)
    else:
        os.kill(os.getpid(), getattr(signal, how))

class Finder:
    def find_spec(self, wanted, path=None, target=None):
        if wanted == module:
            sys.meta_path.remove(self)
            strike()

# In the background of a script, or under nohup, they are ignored, and so in what that starts.
usual = signal.SIG_IGN if how == "ignored" else signal.default_int_handler
signal.signal(signal.SIGINT, usual)
signal.signal(signal.SIGTERM, signal.SIG_DFL)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
if name:
    loaded = importlib.import_module(module)
    kept = getattr(loaded, name)

    def struck(*arguments, **named):
        result = kept(*arguments, **named)
        try:
            strike()
        except BaseException:
            pass
        return result

    setattr(loaded, name, struck)
else:
    sys.meta_path.insert(0, Finder())
sys.argv = ["epimc", *arguments]
runpy.run_module("epimc", run_name="__main__")
"""


def struck(
    how: str, module: str, name: str, folder: Path, *arguments: str
) -> subprocess.CompletedProcess[str]:
    """Run a command that is struck at one place."""
    return subprocess.run(
        [sys.executable, "-c", STRUCK, how, module, name, *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


@pytest.mark.parametrize(
    ("how", "module"),
    [
        ("SIGINT", "epimc.cli.streams"),
        ("SIGINT", "typer"),
        ("SIGINT", "numpy"),
        ("SIGINT", "onnxruntime"),
        ("SIGTERM", "epimc.cli.streams"),
        ("SIGTERM", "onnx"),
        ("SIGHUP", "epimc.backends"),
    ],
)
def test_while_something_is_imported(how: str, module: str, here: Path) -> None:
    before = contents(here)
    result = struck(how, module, "", here, *COMPILE)
    assert (result.returncode, result.stdout) == (EXIT_CODES[how], "")
    assert result.stderr == "interrupted\n"
    assert contents(here) == before


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("epimc.compiler.importing", "import_source"),
        ("epimc.support.writing", "fill_folder"),
        ("epimc.support.writing", "make_file"),
        ("epimc.bundle.outputs", "check_output"),
    ],
)
def test_where_an_exception_would_be_lost(module: str, name: str, here: Path) -> None:
    """As in a destructor, or in a library that takes it for its own failure."""
    before = contents(here)
    result = struck("SIGINT", module, name, here, *COMPILE)
    assert (result.returncode, result.stdout) == (130, "")
    assert result.stderr == "interrupted\n"
    assert contents(here) == before


def test_after_the_last_step_the_new_is_there(here: Path) -> None:
    result = struck("SIGTERM", "epimc.support.workshops", "exchange", here, *COMPILE)
    assert (result.returncode, result.stdout) == (143, "")
    assert sorted(os.listdir(here)) == ["bundle", "model.onnx", "samples.npz"]
    assert '"target": "epim-256"' in (here / "bundle" / "manifest.json").read_text()


def test_a_signal_that_is_ignored_stays_ignored(here: Path) -> None:
    """As `nohup` has it, and a shell for what it runs in the background."""
    result = struck("ignored", "numpy", "", here, "check", "bundle")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("good: ")


def test_with_debug_ctrl_c_tells_where(here: Path) -> None:
    result = struck("SIGINT", "onnx", "", here, *COMPILE, "--debug")
    assert result.returncode != 0
    assert "Traceback (most recent call last):" in result.stderr
    assert "KeyboardInterrupt" in result.stderr


def test_within_python_the_exception_is_reported(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The library of the command line would make a silent exit of it."""

    def interrupt(folder: Path, limit_bytes: int) -> None:
        del folder, limit_bytes
        raise KeyboardInterrupt

    monkeypatch.setattr("epimc.bundle.bundle.read_bundle", interrupt)
    result = run("check", "bundle")
    assert (result.code, result.out, result.err) == (130, "", "interrupted\n")
