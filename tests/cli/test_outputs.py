"""Where commands write: in one step, into pipes, and not over what is not theirs."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from epimc.bundle.bundle import read_bundle
from tests.cli.conftest import Refuse, Run, contents

RUN = ("run", "bundle", "--input", "samples.npz", "--output")
OPT = ("opt", "bundle/ir/00-import.epi", "-o")
ASM = ("asm", "bundle/program.asm", "-o")
DISASM = ("disasm", "bundle/program.bin", "-o")
DUMPS = ("opt", "bundle/ir/00-import.epi", "-p", "layout", "-o", "x.epi", "--dump-ir")
COMPILE = ("compile", "model.onnx", "--calibration", "samples.npz", "-o")
WRITERS = [RUN, OPT, ASM, DISASM, DUMPS, COMPILE, (*COMPILE, "new", "--dump-ir")]
names = pytest.mark.parametrize("command", WRITERS, ids=lambda words: "-".join(words[:1]))


@contextmanager
def files_of(largest: int) -> Iterator[None]:
    """This process may write files of so many bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


# --- what is not a command's to write -----------------------------------------------------------


@names
def test_nothing_is_written_into_a_bundle(command: tuple[str, ...], here: Path, run: Run) -> None:
    before = contents(here)
    (here / "link").symlink_to("bundle/ir")
    for name in ("bundle/y", "bundle/ir/y", "link/y"):
        result = run(*command, name)
        assert (result.code, result.out) == (2, "")
        path = f"{name}/tensors" if command[-1] == "--dump-ir" else name
        assert result.err == (
            f"error: '{path}' cannot be written: it lies in the bundle '{here}/bundle'.\n"
            "  hint: Choose a place outside of it.\n"
        )
    (here / "link").unlink()
    assert contents(here) == before


@pytest.mark.parametrize("command", [RUN, OPT, ASM, DISASM], ids=lambda words: words[0])
def test_a_command_does_not_write_over_its_input(
    command: tuple[str, ...], here: Path, refuse: Refuse
) -> None:
    source = command[3] if command is RUN else command[1]
    (here / "input").write_bytes((here / source).read_bytes())
    (here / "link").symlink_to("input")
    words = tuple("input" if word == source else word for word in command)
    for output in ("input", "./input", "link"):
        assert refuse(*words, output) == (
            f"error: '{output.removeprefix('./')}' is what is read, and cannot be written too.\n"
            "  hint: Give another path.\n"
        )


def test_dumps_are_not_written_into_the_output(here: Path, refuse: Refuse) -> None:
    for folder in ("out", "out/ir"):
        assert refuse(*COMPILE, "out", "--dump-ir", folder) == (
            f"error: The dumps cannot be written to '{folder}': that is in the output folder"
            " 'out'.\n"
            "  hint: Choose a folder outside of it; the bundle has its own copy of the IR.\n"
        )


def test_a_bundle_with_files_of_the_users_is_not_replaced(here: Path, refuse: Refuse) -> None:
    names = ["notes.txt", "ir/mine.epi", "reference/link", "a\nb"]
    for name in names[:2]:
        (here / "bundle" / name).write_text("mine")
    (here / "bundle" / names[2]).symlink_to("..")
    assert refuse(*COMPILE, "bundle") == (
        "error: Output folder 'bundle' holds files that are not of the bundle there.\n"
        "  note: 'ir/mine.epi'\n"
        "  note: 'notes.txt'\n"
        "  note: 'reference/link'\n"
        "  hint: Move them to another place, or choose another folder.\n"
    )
    for number in range(4):
        (here / "bundle" / f"x{number}").touch()
    assert "  note: 2 more.\n" in refuse(*COMPILE, "bundle")


def test_a_folder_without_files_is_no_obstacle(here: Path, run: Run) -> None:
    (here / "bundle" / "empty" / "folder").mkdir(parents=True)
    assert run(*COMPILE, "bundle").code == 0
    assert not (here / "bundle" / "empty").exists()


@pytest.mark.parametrize("command", [RUN, OPT, ASM, DISASM], ids=lambda words: words[0])
def test_the_place_is_looked_at_before_the_work(
    command: tuple[str, ...], here: Path, refuse: Refuse
) -> None:
    (here / "folder").mkdir()
    (here / "program.asm").write_text("no program")
    assert refuse(*command, "folder") == (
        "error: 'folder' cannot be written: Is a directory.\n  hint: Give the path of a file.\n"
    )
    assert refuse(*command, "none/y") == (
        "error: 'none/y' cannot be written: No such file or directory.\n"
        "  hint: Check the path: each of its folders must exist.\n"
    )


# --- in one step --------------------------------------------------------------------------------


@names
@pytest.mark.parametrize("largest", [0, 50])
def test_a_full_disk_leaves_everything_as_it_was(
    largest: int, command: tuple[str, ...], here: Path, run: Run
) -> None:
    # All that it imports is there then, and its machine code: neither is written under the limit.
    assert run(*command, "good").code == 0
    (here / "out").mkdir()
    place = "out/y" if command is not DUMPS else "dumps"
    for output in (place, "samples.npz" if command is OPT else place):
        before = contents(here)
        with files_of(largest):
            result = run(*command, output)
        assert (result.code, result.out) == (2, "")
        lines = result.err.splitlines()
        errors = [line for line in lines if line.startswith("error: ")]
        assert len(errors) == 1, lines
        assert errors[0].endswith("cannot be written: File too large.")
        assert lines[-1].startswith("  hint: Raise the limit on the size of files (ulimit -f)")
        assert contents(here) == before


def test_tensors_that_are_not_as_they_should_be_are_written_again(here: Path, run: Run) -> None:
    assert run(*OPT, "x.epi").code == 0
    files = sorted((here / "tensors").iterdir())
    good = {path: path.read_bytes() for path in files}
    ages = [path.stat().st_mtime_ns for path in files]
    assert len(files) > 1
    files[0].write_bytes(good[files[0]][:-1])
    files[1].write_bytes(bytes(len(good[files[1]])))
    assert run(*OPT, "x.epi").code == 0
    assert {path: path.read_bytes() for path in files} == good
    assert [path.stat().st_mtime_ns for path in files[2:]] == ages[2:]


# --- pipes and devices --------------------------------------------------------------------------


def test_results_can_go_into_a_pipe(here: Path, run: Run) -> None:
    assert run(*RUN, "y.npz").code == 0
    os.mkfifo(here / "pipe")
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append((here / "pipe").read_bytes()))
    reader.start()
    result = run(*RUN, "pipe")
    reader.join()
    assert (result.code, result.out) == (0, "4 samples: y -> pipe\n")
    assert read == [(here / "y.npz").read_bytes()]


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_results_can_go_to_standard_output(options: list[str], here: Path, run: Run) -> None:
    """What is said of them goes to standard error then."""
    assert run(*RUN, "y.npz").code == 0
    expected = (here / "y.npz").read_bytes()
    result = subprocess.run(
        [sys.executable, "-m", "epimc", *RUN, "/dev/stdout", *options],
        capture_output=True,
        check=False,
        cwd=here,
    )
    assert (result.returncode, result.stdout) == (0, expected)
    assert b"/dev/stdout" in result.stderr
    with (here / "z.npz").open("wb") as file:
        code = subprocess.call(
            [sys.executable, "-m", "epimc", *RUN, "/dev/fd/1", *options],
            cwd=here,
            stdout=file,
            stderr=subprocess.DEVNULL,
        )
    assert code == 0
    with np.load(here / "z.npz") as arrays:
        assert list(arrays) == ["y"]


def test_a_full_device_is_refused(refuse: Refuse) -> None:
    for command in (RUN, OPT, ASM, DISASM):
        assert refuse(*command, "/dev/full") == (
            "error: '/dev/full' cannot be written: No space left on device.\n"
            "  hint: Make room there, or choose another place.\n"
        )


def test_a_bundle_that_was_taken_from_its_place_is_read(here: Path, run: Run) -> None:
    """A process was killed between two steps, where the system knows no single one."""
    workshop = here / ".bundle.epimc-0123456789abcdef"
    (workshop / "old").mkdir(parents=True)
    (workshop / "new").mkdir()
    (here / "bundle").rename(workshop / "old" / "bundle")
    assert run("check", "bundle").code == 0
    assert read_bundle(here / "bundle").target.name == "tiny"
    assert not workshop.exists()
