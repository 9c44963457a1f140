"""Locks on folders: one at a time, and none is left behind."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from epimc.support.locks import Lock

LOCKED = """
import sys
from pathlib import Path
from epimc.support.locks import Lock
lock = Lock()
print(lock.is_refused(Path(sys.argv[1])), flush=True)
sys.stdin.read()
"""

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no such locks")


def test_one_at_a_time(tmp_path: Path) -> None:
    first, second = Lock(), Lock()
    assert not first.is_refused(tmp_path)
    assert second.is_refused(tmp_path)
    first.release()
    assert not second.is_refused(tmp_path)
    second.release()


def test_a_killed_process_leaves_no_lock(tmp_path: Path) -> None:
    lock, command = Lock(), [sys.executable, "-c", LOCKED, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"False\n"
        assert lock.is_refused(tmp_path)
        process.kill()
    assert not lock.is_refused(tmp_path)
    lock.release()


def test_what_is_no_folder_nobody_has_locked(tmp_path: Path) -> None:
    lock = Lock()
    (tmp_path / "file").touch()
    assert not lock.is_refused(tmp_path / "file")
    assert not lock.is_refused(tmp_path / "none")
    assert lock.handle == -1
