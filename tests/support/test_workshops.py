"""Workshops: whatever ends a process, there is the old or the new, and the next one clears up."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import epimc
from epimc.support import exchange as exchange_module
from epimc.support import workshops
from epimc.support.exchange import exchange
from epimc.support.workshops import Workshop, clear, recover
from epimc.support.writing import replace_folder, write_file
from tests.support.test_writing import contents

smoke = pytest.mark.smoke

ROOT = Path(epimc.__file__).parents[1]


@pytest.mark.parametrize(
    ("how", "what"),
    [
        *(("SIGKILL", what) for what in ("folder", "steps", "file")),
        *(("SIGINT", what) for what in ("folder", "steps", "file")),
        *(("raise", what) for what in ("folder", "steps", "file")),
        ("SIGTERM", "file"),
        ("SIGHUP", "file"),
    ],
)
def test_at_every_line_the_old_or_the_new_is_there(how: str, what: str, tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "tests.support.strikes", how, what, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert result.returncode == 0, result.stderr
    assert int(result.stdout) > 50
    says = how in ("SIGINT", "SIGTERM", "SIGHUP")
    assert set(result.stderr.split()) == ({"interrupted"} if says else set())


# --- one step or two ----------------------------------------------------------------------------


@smoke
def test_two_paths_are_exchanged(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").write_bytes(b"b")
    if not exchange(tmp_path / "a", tmp_path / "b"):
        pytest.skip("the file system cannot")
    assert (tmp_path / "a").read_bytes() == b"b"
    assert (tmp_path / "b").is_dir()
    with pytest.raises(FileNotFoundError):
        exchange(tmp_path / "a", tmp_path / "none")


@smoke
def test_without_the_call_nothing_happens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").write_bytes(b"a")
    monkeypatch.setattr(exchange_module, "system_call", lambda: None)
    assert not exchange(tmp_path / "a", tmp_path / "none")
    assert contents(tmp_path) == {"a": b"a"}


@smoke
def test_two_steps_of_which_the_second_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old comes back, which the first step has moved."""
    replace_folder(tmp_path / "out", {"a": b"old"}.items())
    rename = os.rename

    def refuse_new(source: Path, target: Path) -> None:
        if Path(source).parent.name == "new":
            raise PermissionError(13, "Permission denied")
        rename(source, target)

    monkeypatch.setattr(workshops, "exchange", lambda one, other: False)
    monkeypatch.setattr(os, "rename", refuse_new)
    with pytest.raises(epimc.EpimcError, match="cannot be written: Permission denied"):
        replace_folder(tmp_path / "out", {"a": b"new"}.items())
    assert contents(tmp_path) == {"out/a": b"old"}
    assert os.listdir(tmp_path) == ["out"]


@smoke
def test_what_cannot_be_put_back_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even the second step back is possible: the workshop has all that there is."""
    replace_folder(tmp_path / "out", {"a": b"old"}.items())
    rename = os.rename

    def refuse_all_but_the_first(source: Path, target: Path) -> None:
        if ".epimc-" in str(source):
            raise PermissionError(13, "Permission denied")
        rename(source, target)

    monkeypatch.setattr(workshops, "exchange", lambda one, other: False)
    monkeypatch.setattr(os, "rename", refuse_all_but_the_first)
    with pytest.raises(epimc.EpimcError, match="cannot be written: Permission denied"):
        replace_folder(tmp_path / "out", {"a": b"new"}.items())
    monkeypatch.undo()
    assert not (tmp_path / "out").exists()
    recover(tmp_path / "out")
    assert contents(tmp_path) == {"out/a": b"new"}


# --- leftovers ----------------------------------------------------------------------------------


@pytest.fixture
def busy(tmp_path: Path) -> Iterator[Path]:
    """The workshop of another process, which lives, for the place `out`."""
    code = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from epimc.support.workshops import Workshop\n"
        "with Workshop(Path(sys.argv[1])) as workshop:\n"
        "    print(workshop.path, flush=True)\n"
        "    time.sleep(600)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "out")],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert process.stdout is not None
    with process:
        yield Path(process.stdout.readline().strip())
        process.send_signal(signal.SIGKILL)


@smoke
def test_the_workshop_of_a_living_process_is_left_alone(busy: Path, tmp_path: Path) -> None:
    clear(tmp_path)
    replace_folder(tmp_path / "out", {"a": b"1"}.items())
    write_file(tmp_path / "b", b"2")
    assert contents(tmp_path) == {"b": b"2", "out/a": b"1"}
    assert sorted(os.listdir(tmp_path)) == sorted([busy.name, "b", "out"])


def abandoned(folder: Path, name: str = "out") -> Path:
    """A workshop that no process has."""
    path = folder / f".{name}.epimc-0123456789abcdef"
    (path / "new" / name).mkdir(parents=True)
    (path / "new" / name / "a").write_bytes(b"new")
    return path


@smoke
def test_what_a_killed_process_left_is_cleared(tmp_path: Path) -> None:
    abandoned(tmp_path)
    abandoned(tmp_path, "other\n")
    write_file(tmp_path / "b", b"1")
    assert os.listdir(tmp_path) == ["b"]


@smoke
def test_closed_folders_are_removed_too(tmp_path: Path) -> None:
    for files in ({"a/b/c": b"1"}, {"d": b"2"}):
        replace_folder(tmp_path / "out", files.items())
        for name in ("a/b", "a"):
            if "a/b/c" in files:
                (tmp_path / "out" / name).chmod(0)
    assert os.listdir(tmp_path) == ["out"]
    assert contents(tmp_path) == {"out/d": b"2"}


@smoke
def test_what_only_looks_like_it_stays(tmp_path: Path) -> None:
    names = [".out.epimc-0123", "out.epimc-0123456789abcdef", ".out.epimc-0123456789abcdeg", ".git"]
    for name in names:
        (tmp_path / name).mkdir()
    (tmp_path / ".file.epimc-0123456789abcdef").touch()
    (tmp_path / ".link.epimc-0123456789abcdef").symlink_to(".git")
    before = sorted(os.listdir(tmp_path))
    clear(tmp_path)
    assert sorted(os.listdir(tmp_path)) == before


@smoke
@pytest.mark.parametrize("has_new", [True, False])
def test_a_place_that_was_left_empty_is_filled(has_new: bool, tmp_path: Path) -> None:
    """Killed between two steps: both the old and the new lie in the workshop."""
    path = abandoned(tmp_path)
    (path / "old" / "out").mkdir(parents=True)
    (path / "old" / "out" / "a").write_bytes(b"old")
    if not has_new:
        (path / "new" / "out" / "a").unlink()
        (path / "new" / "out").rmdir()
    recover(tmp_path / "out")
    assert contents(tmp_path) == {"out/a": b"new" if has_new else b"old"}
    assert os.listdir(tmp_path) == ["out"]


@smoke
def test_nothing_is_searched_where_a_place_is_full(tmp_path: Path) -> None:
    path = abandoned(tmp_path)
    (tmp_path / "out").mkdir()
    recover(tmp_path / "out")
    assert path.is_dir()


STRANGE = ".out.epimc-0123456789abcdef"


def strangers_workshop(folder: Path, inside: str) -> Path:
    """A workshop out of an archive: its `old`, or something in it, leads to a folder elsewhere."""
    home, work = folder / "home", folder / "work"
    home.mkdir()
    (home / "precious").write_text("mine")
    (work / STRANGE / inside).parent.mkdir(parents=True)
    (work / STRANGE / inside).symlink_to(home)
    return work


@pytest.mark.parametrize("inside", ["old", "old/out", "old/other", "new"])
def test_nothing_is_moved_through_links_of_a_workshop(inside: str, tmp_path: Path) -> None:
    work = strangers_workshop(tmp_path, inside)
    if inside == "new":
        (work / STRANGE / "old" / "out").mkdir(parents=True)
        (tmp_path / "home" / "out").mkdir()
    recover(work / "out")
    clear(work)
    assert (tmp_path / "home" / "precious").read_text() == "mine"
    left = {path.name for path in (tmp_path / "home").iterdir()}
    assert left == ({"precious", "out"} if inside == "new" else {"precious"})
    # Of its own, without a link, a workshop completes what it is named after.
    assert {path.name for path in work.iterdir()} == ({"out"} if inside == "new" else set())


def test_a_workshop_fills_no_place_but_its_own(tmp_path: Path) -> None:
    (tmp_path / STRANGE / "old" / "other").mkdir(parents=True)
    (tmp_path / ".other.epimc-0123456789abcdef" / "old" / "other").mkdir(parents=True)
    recover(tmp_path / "out")
    assert {path.name for path in tmp_path.iterdir()} == {".other.epimc-0123456789abcdef"}


@smoke
def test_two_processes_that_make_one_place_at_once(tmp_path: Path) -> None:
    """Both find it empty; the one that comes second replaces what the first has made."""
    place = tmp_path / "out"
    with Workshop(place) as first, Workshop(place) as second:
        for workshop, data in ((first, b"1"), (second, b"2")):
            workshop.new(place).mkdir()
            (workshop.new(place) / "a").write_bytes(data)
            workshop.put_folder(place)
            assert (place / "a").read_bytes() == data
    assert os.listdir(tmp_path) == ["out"]


@smoke
def test_a_lock_is_made_again_where_the_folder_was_cleared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process takes a new folder for abandoned in the moment before it is locked."""
    opened, calls = os.open, list[Path]()

    def cleared_first(path: Path, *arguments: Any, **named: Any) -> int:
        handle = opened(path, *arguments, **named)
        if not calls:
            os.rmdir(path)
        calls.append(path)
        return handle

    monkeypatch.setattr(os, "open", cleared_first)
    with Workshop(tmp_path / "out") as workshop:
        assert (workshop.path / "new").is_dir()
    assert len(calls) >= 2
    assert os.listdir(tmp_path) == []
