from __future__ import annotations

import logging
from typing import Any

import numba
import pytest
from numba.core import event

from epimc.backends.crossbar.compiled.notice import Notice


def test_compiling_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    notice = Notice()
    event.register("numba:compile", notice)  # type: ignore[no-untyped-call]
    try:
        with caplog.at_level(logging.INFO, "epimc"):
            for _ in range(2):
                # Nothing of it is on disk.
                function: Any = numba.njit(lambda x: x + 1)
                assert function(1) == 2
    finally:
        event.unregister("numba:compile", notice)  # type: ignore[no-untyped-call]
    assert caplog.messages == ["compiling the simulator's kernels for this processor, once"]
