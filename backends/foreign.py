"""Backends of other packages: whatever their methods raise names them, as no defect of epimc."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FunctionType, GeneratorType
from typing import Any

from epimc.support.diagnostics import EpimcError, error

OWN = "epimc."
"""How the names of epimc's own modules begin."""


class Door:
    """A base of the classes by which the driver knows a backend.

    What a class of another package has in the place of a method or property of its base is guarded:
    it raises EpimcError, or what was raised on purpose as such.
    """

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        if cls.__module__.startswith(OWN):
            return
        for name, member in list(vars(cls).items()):
            if name.startswith("_") or not any(name in vars(base) for base in cls.__mro__[1:]):
                continue
            what = f"{cls.__qualname__}.{name}"
            if isinstance(member, FunctionType):
                setattr(cls, name, guarded(member, cls.__module__, what))
            elif isinstance(member, property) and member.fget is not None:
                setattr(cls, name, property(guarded(member.fget, cls.__module__, what)))


def guarded(function: Callable[..., Any], module: str, what: str) -> Callable[..., Any]:
    """A function whose failures name the module, and the function as `what`."""

    @functools.wraps(function)
    def call(*arguments: Any, **keywords: Any) -> Any:
        with failures_named(module, what):
            result = function(*arguments, **keywords)
        # Its body has not run yet.
        return steps(result, module, what) if isinstance(result, GeneratorType) else result

    return call


def steps(generator: Iterator[Any], module: str, what: str) -> Iterator[Any]:
    """The same, with failures that name the module."""
    with failures_named(module, what):
        yield from generator


@contextmanager
def failures_named(module: str, what: str) -> Iterator[None]:
    """Raise EpimcError for whatever a backend raises, also for an attempt to end the process."""
    try:
        yield
    except (EpimcError, MemoryError):
        raise
    except (Exception, SystemExit) as problem:
        raise error(
            f"The backend in the module '{module}' has failed in {what}.",
            notes=[f"{type(problem).__name__}: {problem}"],
            hint="Report it to the authors of that package; --debug shows where it is.",
        ) from problem
