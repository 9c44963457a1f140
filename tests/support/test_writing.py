"""Files and folders are written in one step, whatever stops that."""

from __future__ import annotations

import os
import resource
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from epimc.support import writing
from epimc.support.diagnostics import EpimcError
from epimc.support.files import read_bytes
from epimc.support.writing import (
    check_place,
    make_folder,
    replace_folder,
    with_folder,
    write_file,
    write_files,
)

pytestmark = pytest.mark.smoke


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder by its path."""
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


# --- files --------------------------------------------------------------------------------------


def test_a_file_is_made_and_replaced(tmp_path: Path) -> None:
    (tmp_path / "usual").write_bytes(b"")
    write_file(tmp_path / "a", b"1")
    modes = [(tmp_path / name).stat().st_mode for name in ("usual", "a")]
    assert modes[0] == modes[1]
    (tmp_path / "a").chmod(0o640)
    write_file(tmp_path / "a", b"2")
    assert contents(tmp_path) == {"a": b"2", "usual": b""}
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640
    assert sorted(os.listdir(tmp_path)) == ["a", "usual"]


def test_a_link_to_a_file_stays(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("real")
    for data in (b"1", b"2"):
        write_file(tmp_path / "link", data)
        assert (tmp_path / "link").is_symlink()
        assert (tmp_path / "real").read_bytes() == data


def test_a_link_in_a_circle_is_refused(tmp_path: Path) -> None:
    (tmp_path / "circle").symlink_to("circle")
    for write in (check_place, lambda path: write_file(path, b"1")):
        with pytest.raises(EpimcError) as caught:
            write(tmp_path / "circle")
        assert str(caught.value) == (
            f"error: '{tmp_path}/circle' cannot be written: Too many levels of symbolic links.\n"
            "  hint: Check the path: its links lead in a circle."
        )
    assert (tmp_path / "circle").is_symlink()


def test_a_pipe_is_written_into(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    check_place(tmp_path / "pipe")
    writer = threading.Thread(target=write_file, args=(tmp_path / "pipe", b"1"))
    writer.start()
    assert read_bytes(tmp_path / "pipe") == b"1"
    writer.join()
    assert os.listdir(tmp_path) == ["pipe"]


def test_an_open_file_is_written_into(tmp_path: Path) -> None:
    with (tmp_path / "a").open("wb") as file:
        file.write(b"before ")
        file.flush()
        write_file(Path(f"/dev/fd/{file.fileno()}"), b"now ")
        write_file(Path(f"/proc/self/fd/{file.fileno()}"), b"after")
    assert contents(tmp_path) == {"a": b"before now after"}
    with pytest.raises(EpimcError, match="'/dev/fd/12345' cannot be written: Bad file descriptor"):
        write_file(Path("/dev/fd/12345"), b"1")


def test_a_full_device_is_reported() -> None:
    with pytest.raises(EpimcError) as caught:
        write_file(Path("/dev/full"), b"1")
    assert str(caught.value) == (
        "error: '/dev/full' cannot be written: No space left on device.\n"
        "  hint: Make room there, or choose another place."
    )


@pytest.mark.parametrize("name", ["mkdir", "chmod", "replace"])
@pytest.mark.parametrize("problem", [KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_a_file_that_is_not_finished_leaves_nothing(
    name: str, problem: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").write_bytes(b"old")

    def refuse(*arguments: object, **named: object) -> None:
        raise problem

    monkeypatch.setattr(os, name, refuse)
    with pytest.raises((KeyboardInterrupt, EpimcError)) as caught:
        write_file(tmp_path / "a", b"new")
    assert contents(tmp_path) == {"a": b"old"}
    assert os.listdir(tmp_path) == ["a"]
    if isinstance(problem, OSError):
        assert str(caught.value) == (
            f"error: '{tmp_path}/a' cannot be written: No space left on device.\n"
            "  hint: Make room there, or choose another place."
        )


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("none/a", "No such file or directory"),
        ("file/a", "Not a directory"),
        ("", "Is a directory"),
        ("a" * 256, "File name too long"),
    ],
)
def test_where_no_file_can_be(name: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for write in (check_place, lambda path: write_file(path, b"1")):
        with pytest.raises(EpimcError, match=f"cannot be written: {reason}"):
            write(tmp_path / name)
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("name", ["a" * 255, "é" * 127, os.fsdecode(b"\xff" * 255)])
def test_the_longest_names_can_be_written(name: str, tmp_path: Path) -> None:
    write_file(tmp_path / name, b"1")
    replace_folder(tmp_path / "folder", {name: b"1"}.items())
    assert sorted(os.listdir(tmp_path)) == sorted([name, "folder"])


# --- several files ------------------------------------------------------------------------------


def test_of_several_files_all_are_written_or_none(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "a").write_bytes(b"old")

    def fail() -> bytes:
        raise OSError(28, "No space left on device")

    with pytest.raises(EpimcError, match=f"'{tmp_path}/c' cannot be written: No space left"):
        write_files([(tmp_path / "d" / "b", b"1"), (tmp_path / "a", b"1"), (tmp_path / "c", fail)])
    assert contents(tmp_path) == {"a": b"old"}
    write_files([(tmp_path / "d" / "b", b"1"), (tmp_path / "a", lambda: b"2")])
    assert contents(tmp_path) == {"a": b"2", "d/b": b"1"}
    assert sorted(os.listdir(tmp_path)) == ["a", "d"]
    assert os.listdir(tmp_path / "d") == ["b"]


# --- folders ------------------------------------------------------------------------------------


def test_a_folder_is_made_with_those_above_it(tmp_path: Path) -> None:
    make_folder(tmp_path / "a" / "b")
    make_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()
    (tmp_path / "file").touch()
    with pytest.raises(EpimcError, match=r"Folder '.*file/c' cannot be made: Not a directory"):
        make_folder(tmp_path / "file" / "c")


def fail_in(folder: Path, *files: Path) -> None:
    """Make a folder for nothing, and some files meanwhile."""
    with with_folder(folder):
        assert folder.is_dir()
        for file in files:
            file.touch()
        raise KeyboardInterrupt


def test_folders_that_were_made_for_nothing_go_again(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    for folder in (tmp_path / "a" / "b", tmp_path / "mine"):
        with pytest.raises(KeyboardInterrupt):
            fail_in(folder)
    assert os.listdir(tmp_path) == ["mine"]
    with pytest.raises(KeyboardInterrupt):
        fail_in(tmp_path / "a" / "b", tmp_path / "a" / "file")
    assert contents(tmp_path) == {"a/file": b""}
    assert sorted(os.listdir(tmp_path / "a")) == ["file"]


def test_a_folder_is_made_and_replaced(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    first, second = {"a": b"1", "d/e/f": b"2"}, {"b": b"3"}
    replace_folder(folder, first.items())
    assert contents(folder) == first
    replace_folder(folder, second.items())
    assert contents(folder) == second
    assert os.listdir(tmp_path) == ["out"]


def test_it_has_the_permissions_of_any_new_folder(tmp_path: Path) -> None:
    (tmp_path / "usual").mkdir()
    replace_folder(tmp_path / "out", {}.items())
    modes = [(tmp_path / name).stat().st_mode for name in ("usual", "out")]
    assert modes[0] == modes[1]


def test_a_link_to_the_folder_stays(tmp_path: Path) -> None:
    replace_folder(tmp_path / "real", {"a": b"1"}.items())
    (tmp_path / "link").symlink_to("real")
    replace_folder(tmp_path / "link", {"a": b"2"}.items())
    assert (tmp_path / "link").is_symlink()
    assert contents(tmp_path / "real") == {"a": b"2"}


def test_what_the_system_refuses_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writing, "make_file", full)
    with pytest.raises(EpimcError) as caught:
        replace_folder(tmp_path / "out", {"a": b"1"}.items())
    assert str(caught.value) == (
        f"error: Output folder '{tmp_path}/out' cannot be written: No space left on device.\n"
        "  hint: Make room there, or choose another place."
    )
    assert os.listdir(tmp_path) == []
    with pytest.raises(EpimcError, match="cannot be written: No such file or directory"):
        replace_folder(tmp_path / "none" / "out", {}.items())


def limited(code: str, folder: Path) -> str:
    """What some code says when no file that it writes may have more than 1,000 bytes."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))

    imports = "from pathlib import Path\nfrom epimc.support.writing import *\n"
    result = subprocess.run(
        [sys.executable, "-B", "-c", imports + code],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        preexec_fn=limit,
    )
    assert result.returncode == 1
    return result.stderr


@pytest.mark.parametrize(
    "code",
    [
        "write_file(Path('a'), bytes(2000))",
        "write_files([(Path('a'), b'1'), (Path('b'), bytes(2000))])",
        "replace_folder(Path('folder'), [('a', b'1'), ('b', bytes(2000))])",
    ],
)
def test_a_limit_on_the_size_of_files_leaves_all_as_it_was(code: str, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")
    (tmp_path / "folder").mkdir()
    said = limited(code, tmp_path)
    assert "cannot be written: File too large.\n" in said
    assert "hint: Raise the limit on the size of files (ulimit -f), or choose another" in said
    assert contents(tmp_path) == {"a": b"old"}
    assert sorted(os.listdir(tmp_path)) == ["a", "folder"]
