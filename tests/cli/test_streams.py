"""Standard streams that are closed, full or read by no one, and names that are no text."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import epimc
from tests.cli.conftest import Result, contents

ROOT = Path(epimc.__file__).parents[1]
EPIMC = f'"{sys.executable}" -B -m epimc'

FULL = (
    "error: Standard output cannot be written: No space left on device.\n"
    "  hint: Make room there, or choose another place.\n"
)
CLOSED = "error: Standard output cannot be written: Bad file descriptor.\n"


def shell(folder: Path, line: str, **variables: str) -> Result:
    """What a line for the shell gives, in which `epimc` is this one."""
    result = subprocess.run(
        ["bash", "-c", f'set -o pipefail; epimc() {{ {EPIMC} "$@"; }}; {line}'],
        capture_output=True,
        check=False,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **variables},
    )
    return Result(result.returncode, result.stdout.decode(), result.stderr.decode())


@pytest.mark.parametrize(
    "command",
    [
        "targets",
        "targets --json",
        "disasm bundle/program.bin",
        "opt bundle/ir/00-import.epi",
        "run bundle --input samples.npz --output y.npz",
        "--help",
        "--version",
    ],
)
def test_what_cannot_go_to_standard_output_is_an_error(command: str, here: Path) -> None:
    assert shell(here, f"epimc {command} > /dev/full") == Result(2, "", FULL)
    assert shell(here, f"epimc {command} >&-") == Result(2, "", CLOSED)


def test_what_prints_nothing_needs_no_standard_output(here: Path) -> None:
    line = "epimc asm bundle/program.asm -o x.bin <&- >&- 2>&-"
    assert shell(here, line) == Result(0, "", "")
    assert (here / "x.bin").read_bytes() == (here / "bundle" / "program.bin").read_bytes()


@pytest.mark.parametrize("closed", ["2>&-", "2> /dev/full", "<&- 2>&-"])
def test_an_error_that_cannot_be_said_is_an_exit_code(closed: str, here: Path) -> None:
    for command in ("check none", "compile model.onnx", "nonsense"):
        assert shell(here, f"epimc {command} {closed}") == Result(2, "", "")
    result = shell(here, f"epimc compile model.onnx -o new {closed}")
    assert (result.code, result.err) == (0, "")
    assert "1 crossbar on 1 tile" in result.out


def test_no_stream_at_all(here: Path) -> None:
    """The first files that are opened must not become the standard streams."""
    before = contents(here)
    assert shell(here, "epimc compile model.onnx -o new <&- >&- 2>&-").code == 2
    assert shell(here, "epimc check new").code == 0
    assert {name for name in contents(here) if not name.startswith("new")} == set(before)


def test_a_pipe_that_no_one_reads_ends_without_a_word(here: Path) -> None:
    result = shell(here, "(epimc inspect bundle --stage asm; echo $? >&2) | head -c 1")
    assert (result.code, len(result.out)) == (0, 1)
    # Either it was ended by the signal, or all went into the pipe before the reader did.
    assert result.err in ("0\n", "141\n")


# --- names that are no text ---------------------------------------------------------------------

ENVIRONMENTS = [
    {},
    {"PYTHONIOENCODING": "ascii"},
    {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
]


@pytest.mark.parametrize("variables", ENVIRONMENTS, ids=["utf-8", "ascii", "C"])
def test_names_that_are_no_text(variables: dict[str, str], here: Path) -> None:
    name = b"na\xc3(\xff\xc3\xbc"

    def place(ending: str) -> Path:
        return here / os.fsdecode(name + ending.encode())

    (here / "model.onnx").rename(place(".onnx"))
    (here / "samples.npz").rename(place(".npz"))
    place(".toml").write_text(shell(here, "epimc targets tiny").out)
    lines = [
        'epimc compile "$N.onnx" -o "$N" --calibration "$N.npz" --dump-ir "$N.d"',
        'epimc inspect "$N"',
        'epimc plan "$N.onnx" --target "$N.toml" --json',
        'epimc run "$N" --input "$N.npz" --output "$N.y"',
        'epimc opt "$N.d/00-import.epi" -p layout -o "$N.epi"',
        'epimc opt "$N.epi"',
        'epimc asm "$N/program.asm" -o "$N.bin"',
    ]
    for line in lines:
        result = shell(here, f"N=$'na\\xc3(\\xff\\xc3\\xbc'; {line}", **variables)
        assert result.code == 0, (line, result.err)
        if "--json" in line:
            assert json.loads(result.out)["format"] == 1
    stated = json.loads((place("") / "manifest.json").read_text())
    assert stated["model"]["name"] == "na\ufffd(\ufffdü.onnx"
    result = shell(here, "N=$'\\xff'; epimc check \"$N\"", **variables)
    assert result == Result(2, "", "error: Bundle '\\udcff' does not exist.\n")
