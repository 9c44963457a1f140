"""Replacing a folder in one step, and names that stay inside a folder."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

import pytest

from epimc.support.diagnostics import EpimcError
from epimc.support.files import (
    is_plain_name,
    lies_inside,
    replace_folder,
    sha256,
    sha256_of_file,
)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder by its path."""
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def test_checksums_are_sha_256(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    expected = hashlib.sha256(b"abc").hexdigest()
    assert sha256(b"abc") == sha256_of_file(tmp_path / "a") == expected


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
        f"error: Output folder '{tmp_path}/out' cannot be written: No space left on device."
    )
    assert os.listdir(tmp_path) == []
    with pytest.raises(EpimcError, match="cannot be written: No such file or directory"):
        replace_folder(tmp_path / "none" / "out", {}.items())
