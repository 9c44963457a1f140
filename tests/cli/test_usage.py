"""Usage, exit codes, what is loaded, interrupts and tracebacks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import epimc
from epimc.cli.main import main
from epimc.support.diagnostics import EpimcError
from tests.cli.conftest import Run, contents

pytestmark = pytest.mark.smoke

ROOT = Path(epimc.__file__).parents[1]

COMMANDS = [
    "asm",
    "check",
    "compile",
    "disasm",
    "evaluate",
    "inspect",
    "opt",
    "plan",
    "run",
    "targets",
    "verify",
]


def python(code: str) -> subprocess.CompletedProcess[str]:
    """Run some code in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT
    )


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["compile", "--help"]])
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    result = python(
        "import sys\n"
        "from epimc.cli.main import main\n"
        f"code = main({arguments})\n"
        "heavy = {'numpy', 'onnx', 'onnxruntime', 'rich', 'lark', 'networkx'}\n"
        "print(sorted(heavy & set(sys.modules)), code)\n"
    )
    assert result.stderr == ""
    assert result.stdout.splitlines()[-1] == "[] 0"


def test_importing_epimc_loads_nothing() -> None:
    result = python(
        "import sys, epimc\n"
        "print(sorted(name for name in sys.modules if name.startswith(('epimc', 'numpy'))))\n"
    )
    assert result.stdout == "['epimc', 'epimc.support', 'epimc.support.version']\n"


def test_the_module_runs() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "epimc", "--version"],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert (result.returncode, result.stdout) == (0, f"epimc {epimc.__version__}\n")
    result = subprocess.run(
        [sys.executable, "-m", "epimc", "check", "nothing"],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == "error: Bundle 'nothing' does not exist.\n"


def test_an_output_of_another_encoding_gets_escapes(tmp_path: Path) -> None:
    model = tmp_path / "Größe日本.onnx"
    model.write_bytes((ROOT / "examples" / "mnist-conv.onnx").read_bytes())
    for arguments in ([], ["--json"]):
        result = subprocess.run(
            [sys.executable, "-m", "epimc", "plan", str(model), *arguments],
            capture_output=True,
            check=False,
            cwd=ROOT,
            env={**os.environ, "PYTHONIOENCODING": "ascii"},
        )
        assert (result.returncode, result.stderr) == (0, b"")
        if arguments:
            assert json.loads(result.stdout)["model"] == model.name
        else:
            assert b"Gr\\xf6\\xdfe\\u65e5\\u672c.onnx on epim-256" in result.stdout


def asked_by_a_shell(instruction: str, words: str = "") -> subprocess.CompletedProcess[str]:
    """What a shell gets when it asks for completions, whichever shell runs the tests."""
    place = str(len(words.split()) - 1)
    asked = {"_EPIMC_COMPLETE": instruction, "COMP_WORDS": words, "COMP_CWORD": place}
    return subprocess.run(
        [sys.executable, "-c", "from epimc.cli.main import main; raise SystemExit(main())"],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, **asked},
    )


@pytest.mark.parametrize(
    ("words", "completions"),
    [("epimc ins", ["inspect"]), ("epimc compile --targ", ["--target"]), ("epimc nonsens", [])],
)
def test_a_shell_completes_commands_and_options(words: str, completions: list[str]) -> None:
    result = asked_by_a_shell("complete_bash", words)
    assert (result.stdout.split(), result.stderr) == (completions, "")


def test_a_shell_is_told_how_to_complete() -> None:
    result = asked_by_a_shell("source_bash")
    assert (result.returncode, result.stderr) == (0, "")
    assert "complete -o default -F _epimc_completion epimc" in result.stdout


def test_version(run: Run) -> None:
    result = run("--version")
    assert (result.code, result.out, result.err) == (0, f"epimc {epimc.__version__}\n", "")


def test_help_names_every_command(run: Run) -> None:
    text = run("--help").out
    for command in COMMANDS:
        assert f"\n  {command} " in text
        result = run(command, "--help")
        assert result.code == 0
        assert f"Usage: epimc {command} " in result.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["compil"], ["'compil'", "compile"]),
        (["compile"], ["MODEL"]),
        (["compile", "model.onnx"], ["--output"]),
        (["compile", "model.onnx", "-o", "out", "--weigth-bits", "8"], ["--weigth-bits"]),
        (
            ["compile", "model.onnx", "-o", "out", "--weight-bits", "17"],
            ["weight_bits = 17", "1..16"],
        ),
        (
            ["compile", "model.onnx", "-o", "out", "--weight-bits", "0"],
            ["weight_bits = 0", "1..16"],
        ),
        (["compile", "model.onnx", "-o", "out", "--activation-bits", "1"], ["--activation-bits"]),
        (["compile", "model.onnx", "-o", "out", "--activation-bits", "x"], ["--activation-bits"]),
        (["run", "bundle"], ["--input"]),
        (["check", "bundle", "more"], ["more"]),
        (["verify", "bundle", "--nonsense"], ["--nonsense"]),
    ],
)
def test_wrong_usage(arguments: list[str], words: list[str], run: Run, here: Path) -> None:
    """The texts are those of the command line's library; they name what is wrong."""
    before = contents(here)
    result = run(*arguments)
    assert (result.code, result.out) == (2, "")
    assert all(word in result.err for word in words), result.err
    assert contents(here) == before


def test_no_command_prints_help(run: Run) -> None:
    result = run()
    assert result.code == 2
    assert "Usage: epimc [OPTIONS] COMMAND" in result.out + result.err


def test_an_unknown_pass_to_print_after(run: Run, here: Path) -> None:
    before = contents(here)
    result = run("compile", "model.onnx", "-o", "out", "--print-ir-after", "fuld")
    assert (result.code, result.out) == (2, "")
    assert result.err == (
        "error: There is no pass 'fuld' to print the IR after.\n  hint: Did you mean 'fold'?\n"
    )
    assert contents(here) == before


def test_a_bad_program_is_exit_code_1(run: Run, here: Path) -> None:
    """The files are whole, what they say is wrong."""
    from tests.helpers.bundles import rechecksum

    path = here / "bundle" / "program.asm"
    lines = path.read_text().splitlines(keepends=True)
    number = next(k for k, line in enumerate(lines) if "mvm" in line)
    path.write_text("".join(lines[:number] + lines[number + 1 :]))
    assert run("asm", "bundle/program.asm", "-o", "program.bin").code == 0
    (here / "program.bin").replace(here / "bundle" / "program.bin")
    rechecksum(here / "bundle")
    result = run("check", "bundle")
    assert (result.code, result.out) == (1, "")
    assert result.err.startswith("error: ")
    listed = run("check", "bundle", "--json")
    assert (listed.code, listed.err) == (1, "")
    assert '"good": false' in listed.out
    for command in (
        ["verify", "bundle"],
        ["inspect", "bundle"],
        ["run", "bundle", "--input", "samples.npz", "--output", "y.npz"],
    ):
        refused = run(*command)
        assert (refused.code, refused.out) == (1, "")
        assert refused.err.startswith(
            "error: The program does not pass its check.\n  note: error: "
        )
    assert not (here / "y.npz").exists()


@pytest.mark.parametrize(
    "stage",
    [
        "epimc.compiler.importing.import_source",
        "epimc.backends.crossbar.lower.emit.emit",
        "epimc.compiler.compiler.reference_files",
        "epimc.support.writing.fill_folder",
    ],
)
@pytest.mark.parametrize("output", ["bundle", "new"])
def test_an_interrupt_leaves_everything_as_it_was(
    stage: str, output: str, run: Run, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*arguments: object, **named: object) -> None:
        raise KeyboardInterrupt

    before = contents(here)
    monkeypatch.setattr(stage, interrupt)
    arguments = ["compile", "model.onnx", "-o", output, "--calibration", "samples.npz"]
    result = run(*arguments, "--dump-ir", "dumps")
    assert (result.code, result.out) == (130, "")
    assert result.err.splitlines()[-1] == "interrupted"
    assert contents(here) == before
    monkeypatch.undo()


@pytest.mark.parametrize(
    ("problem", "message"),
    [
        (
            PermissionError(13, "Permission denied", "a/b"),
            "'a/b' cannot be used: Permission denied.\n"
            "  hint: Change the permissions, or choose another place.\n",
        ),
        (
            OSError(5, "Input/output error", b"b\xff"),
            "'b\udcff' cannot be used: Input/output error.\n",
        ),
        (OSError("no such device"), "A file cannot be used: no such device.\n"),
        (
            MemoryError(),
            "There is not enough memory.\n"
            "  hint: Close other programs, or compile a smaller model.\n",
        ),
    ],
)
def test_what_the_system_refuses(
    problem: Exception,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where nothing else has reported it."""
    said: list[str] = []

    def refuse(folder: Path, limit_bytes: int) -> None:
        del folder, limit_bytes
        raise problem

    monkeypatch.setattr("epimc.bundle.bundle.read_bundle", refuse)
    monkeypatch.setattr("epimc.cli.main.tell", said.append)
    assert main(["check", "bundle"]) == 2
    assert said == [f"error: {message}".removesuffix("\n")]


def test_debug_shows_where_an_error_comes_from(here: Path) -> None:
    with pytest.raises(EpimcError, match=r"error: Bundle 'nothing' does not exist\."):
        main(["check", "nothing", "--debug"])
    with pytest.raises(EpimcError):
        main(["--debug", "check", "nothing"])
