"""Ctrl-C and the like: what is unfinished is removed, one word is said, and the process ends.

A command ends inside the signal's handler.  `KeyboardInterrupt`, which Python would raise there,
comes out of any line: out of a library that takes it for a failure of its own, out of a destructor,
where it is lost, or out of the very lines that clean up.  Who uses epimc as a library has Python's
behaviour: handlers are set by the command alone.

Nothing is imported here that takes time: until handlers are set, Python answers with a traceback.
"""

from __future__ import annotations

import os
import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import NoReturn

WORD = b"interrupted\n"

# What a shell reports of a process that a signal has ended: 128 and the signal's number.
SIGNALLED = 128

_unfinished: list[Callable[[], object]] = []
"""What puts things in order, the newest last."""


def at_interrupt(tidy: Callable[[], object]) -> None:
    """Have something called before an interrupt ends the process, until `no_longer` of it."""
    _unfinished.append(tidy)


def no_longer(tidy: Callable[[], object]) -> None:
    """The same is in order: it need not be called any more."""
    if tidy in _unfinished:
        _unfinished.remove(tidy)


def end_at_signals() -> None:
    """Set the handlers; a signal that is ignored, as by `nohup`, stays ignored."""
    for number in known_signals("SIGINT", "SIGTERM", "SIGHUP"):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, end)


def ignore_signals() -> None:
    """Let nothing interrupt what still has to be done."""
    for number in known_signals("SIGINT", "SIGTERM", "SIGHUP"):
        signal.signal(number, signal.SIG_IGN)


def known_signals(*names: str) -> list[int]:
    """The numbers of those signals that the system has."""
    return [getattr(signal, name) for name in names if hasattr(signal, name)]


def raise_at_interrupt() -> None:
    """Have Ctrl-C raise KeyboardInterrupt again, whose traceback tells what was going on."""
    if signal.getsignal(signal.SIGINT) is end:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def end(number: int, _frame: FrameType | None) -> NoReturn:
    """Put things in order and end the process; nothing interrupts that."""
    ignore_signals()
    try:
        # The reader of standard error may have gone with the same signal.
        for pipe in known_signals("SIGPIPE"):
            signal.signal(pipe, signal.SIG_IGN)
        for tidy in reversed(_unfinished):
            _without_fail(tidy)
        _without_fail(say_word)
    finally:
        os._exit(SIGNALLED + number)


def say_word() -> None:
    """One word on standard error, unless nobody reads it there.

    Not by `print`: the signal may have come in the middle of one.
    """
    import select

    _, ready, _ = select.select([], [2], [], 0)
    if ready:
        os.write(2, WORD)


def _without_fail(step: Callable[[], object]) -> None:
    try:
        step()
    except Exception:
        return  # There is no one to tell, and other things are to be done yet.
