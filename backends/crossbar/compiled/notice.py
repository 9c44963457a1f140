"""A word when kernels are compiled, which takes seconds and happens once a machine."""

from __future__ import annotations

import logging

from numba.core import event

LOGGER = logging.getLogger(__name__)


class Notice(event.Listener):
    """Logs that kernels are being compiled, at the first of them."""

    def __init__(self) -> None:
        self.logged = False

    def on_start(self, event: event.Event) -> None:
        """A function is being compiled: its code is not on disk."""
        if not self.logged:
            self.logged = True
            LOGGER.info("compiling the simulator's kernels for this processor, once")

    def on_end(self, event: event.Event) -> None:
        """It is done."""


def give_notice() -> None:
    """Log it from now on, if it happens."""
    if not _LISTENING:
        _LISTENING.append(Notice())
        event.register("numba:compile", _LISTENING[0])  # type: ignore[no-untyped-call]


_LISTENING: list[Notice] = []
