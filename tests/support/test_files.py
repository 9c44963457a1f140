"""Reading within a limit, writing in one step, and names that stay inside a folder."""

from __future__ import annotations

import hashlib
import os
import shutil
import threading
from pathlib import Path

import pytest

from epimc.support.diagnostics import EpimcError
from epimc.support.files import (
    PIECE_BYTES,
    is_plain_name,
    lies_inside,
    make_folder,
    read_bytes,
    read_text,
    replace_folder,
    sha256,
    sha256_of_file,
    write_file,
)

pytestmark = pytest.mark.smoke


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder by its path."""
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def test_checksums_are_sha_256(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    expected = hashlib.sha256(b"abc").hexdigest()
    assert sha256(b"abc") == sha256_of_file(tmp_path / "a") == expected


# --- reading ------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, PIECE_BYTES, PIECE_BYTES + 1])
def test_a_file_is_read_up_to_the_limit(size: int, tmp_path: Path) -> None:
    path, data = tmp_path / "a", bytes(range(256)) * (size // 256) + bytes(size % 256)
    path.write_bytes(data)
    assert read_bytes(path) == read_bytes(path, limit=size) == data
    path.write_bytes(data + b"x")
    with pytest.raises(EpimcError) as caught:
        read_bytes(path, "Plan", limit=size)
    assert str(caught.value) == f"error: Plan file '{path}' is larger than {size} bytes."


def test_no_more_is_read_of_what_never_ends() -> None:
    with pytest.raises(EpimcError, match=r"'/dev/zero' is larger than 10 bytes\."):
        read_bytes(Path("/dev/zero"), limit=10)


def test_text_is_utf_8(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes("\ufeffü\r\n".encode())
    assert read_text(path) == "ü\r\n"
    path.write_bytes(b"ab\xff")
    with pytest.raises(EpimcError) as caught:
        read_text(path, "Target")
    assert str(caught.value) == (
        f"error: Target file '{path}' is not UTF-8 text.\n"
        "  note: The byte at offset 2 cannot be decoded.\n"
        "  hint: Save the file in UTF-8."
    )


def test_what_cannot_be_read_is_reported(tmp_path: Path) -> None:
    with pytest.raises(EpimcError) as caught:
        read_bytes(tmp_path)
    assert str(caught.value) == (
        f"error: '{tmp_path}' cannot be read: Is a directory.\n  hint: Give the path of a file."
    )


# --- one file -----------------------------------------------------------------------------------


def test_a_file_is_made_and_replaced(tmp_path: Path) -> None:
    (tmp_path / "usual").write_bytes(b"")
    write_file(tmp_path / "a", b"1")
    modes = [(tmp_path / name).stat().st_mode for name in ("usual", "a")]
    assert modes[0] == modes[1]
    (tmp_path / "a").chmod(0o640)
    write_file(tmp_path / "a", b"2")
    assert contents(tmp_path) == {"a": b"2", "usual": b""}
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640


def test_a_link_to_a_file_stays(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("real")
    for data in (b"1", b"2"):
        write_file(tmp_path / "link", data)
        assert (tmp_path / "link").is_symlink()
        assert (tmp_path / "real").read_bytes() == data


def test_a_pipe_is_written_into(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=write_file, args=(tmp_path / "pipe", b"1"))
    writer.start()
    assert read_bytes(tmp_path / "pipe") == b"1"
    writer.join()


@pytest.mark.parametrize("name", ["chmod", "replace"])
@pytest.mark.parametrize("problem", [KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_a_file_that_is_not_finished_leaves_nothing(
    name: str, problem: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").write_bytes(b"old")

    def refuse(*arguments: object) -> None:
        raise problem

    monkeypatch.setattr(os, name, refuse)
    with pytest.raises((KeyboardInterrupt, EpimcError)) as caught:
        write_file(tmp_path / "a", b"new")
    assert contents(tmp_path) == {"a": b"old"}
    if isinstance(problem, OSError):
        assert str(caught.value) == (
            f"error: '{tmp_path}/a' cannot be written: No space left on device.\n"
            "  hint: Make room there, or choose another place."
        )


@pytest.mark.parametrize(
    ("name", "reason"), [("none/a", "No such file or directory"), ("", "Is a directory")]
)
def test_where_no_file_can_be(name: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(EpimcError, match=f"cannot be written: {reason}"):
        write_file(tmp_path / name, b"")
    assert not os.listdir(tmp_path)


def test_the_longest_names_can_be_written(tmp_path: Path) -> None:
    write_file(tmp_path / ("a" * 255), b"1")
    assert os.listdir(tmp_path) == ["a" * 255]


# --- folders ------------------------------------------------------------------------------------


def test_a_folder_is_made_with_those_above_it(tmp_path: Path) -> None:
    make_folder(tmp_path / "a" / "b")
    make_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()
    (tmp_path / "file").touch()
    with pytest.raises(EpimcError, match=r"Folder '.*file/c' cannot be made: Not a directory"):
        make_folder(tmp_path / "file" / "c")


@pytest.mark.parametrize("name", ["a", "a/b.c", ".a", "a..b", "a b/ü"])
def test_plain_names(name: str) -> None:
    assert is_plain_name(name)


@pytest.mark.parametrize(
    "name",
    ["", ".", "/", "/a", "//a", "../a", "a/..", "a/../b", "a//b", "a/", "./a", "a\\b", "a\0"],
)
def test_names_that_are_not_plain(name: str, tmp_path: Path) -> None:
    assert not is_plain_name(name)
    assert not lies_inside(tmp_path, name)


def test_links_are_followed(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "inner").write_text("x")
    (folder / "good").symlink_to("inner")
    (folder / "bad").symlink_to("../outer")
    (folder / "up").symlink_to("..")
    (folder / "circle").symlink_to("circle")
    names = ["inner", "good", "bad", "up/outer", "circle"]
    assert [lies_inside(folder, name) for name in names] == [True, True, False, False, False]


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


@pytest.mark.parametrize("step", [0, 1, 2])
def test_an_interruption_leaves_the_old_folder(
    step: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "out"
    replace_folder(folder, {"a": b"old"}.items())
    done: list[int] = []
    rename, write = os.rename, Path.write_bytes

    def interrupted() -> None:
        if len(done) == step:
            done.append(-1)
            raise KeyboardInterrupt
        done.append(len(done))

    def slow_rename(source: Path, target: Path) -> None:
        interrupted()
        rename(source, target)

    def slow_write(path: Path, data: bytes) -> int:
        interrupted()
        return write(path, data)

    monkeypatch.setattr(os, "rename", slow_rename)
    monkeypatch.setattr(Path, "write_bytes", slow_write)
    with pytest.raises(KeyboardInterrupt):
        replace_folder(folder, {"a": b"new"}.items())
    assert contents(tmp_path) == {"out/a": b"old"}


def test_an_interruption_while_cleaning_up_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "out"
    replace_folder(folder, {"a": b"old"}.items())
    rmtree, calls = shutil.rmtree, []

    def slow_rmtree(path: Path, ignore_errors: bool) -> None:
        calls.append(path)
        if len(calls) == 1:
            raise KeyboardInterrupt
        rmtree(path, ignore_errors)

    monkeypatch.setattr(shutil, "rmtree", slow_rmtree)
    with pytest.raises(KeyboardInterrupt):
        replace_folder(folder, {"a": b"new"}.items())
    assert contents(tmp_path) == {"out/a": b"new"}


def test_what_the_system_refuses_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(EpimcError) as caught:
        replace_folder(tmp_path / "out", {"a": b"1"}.items())
    assert str(caught.value) == (
        f"error: Output folder '{tmp_path}/out' cannot be written: No space left on device.\n"
        "  hint: Make room there, or choose another place."
    )
    assert os.listdir(tmp_path) == []
    with pytest.raises(EpimcError, match="cannot be written: No such file or directory"):
        replace_folder(tmp_path / "none" / "out", {}.items())
