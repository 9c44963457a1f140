"""Compiling functions to machine code, which is kept on disk from the first use on."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import numba

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function) -> Function:
    """The function as machine code, made at its first call.

    It runs without the interpreter's lock, so that threads run it at the same time, and checks
    neither indices nor overflows.  The code is kept beside the module, or in the user's cache,
    under the features of the processor; where neither can be written, it is made in each process.
    """
    make: Any = partial(numba.njit, nogil=True, error_model="numpy", boundscheck=False)
    try:
        kernel: Function = make(cache=True)(function)
    # No folder takes files.
    except RuntimeError:
        kernel = make()(function)
    return kernel


def inlined(function: Function) -> Function:
    """A part of compiled functions, which becomes machine code within each that calls it."""
    make: Any = numba.njit
    part: Function = make(nogil=True, error_model="numpy", boundscheck=False, inline="always")(
        function
    )
    return part
