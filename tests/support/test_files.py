"""Reading within a limit, and names that stay inside a folder."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from epimc.support.diagnostics import EpimcError
from epimc.support.files import (
    PIECE_BYTES,
    is_plain_name,
    lies_inside,
    read_bytes,
    read_text,
    sha256,
    sha256_of_file,
)

pytestmark = pytest.mark.smoke


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


# --- names --------------------------------------------------------------------------------------


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
