"""Compiling functions to machine code, which is kept on disk from the first use on."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any, TypeVar

import numba
from numba.core import config

from epimc.support.diagnostics import error

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function) -> Function:
    """The function as machine code, made at its first call.

    It runs without the interpreter's lock, so that threads run it at the same time, and checks
    neither indices nor overflows.  The code is kept beside the module, or in the user's cache,
    under the features of the processor, until a module of this folder changes; where neither can be
    written, it is made in each process.

    Raises:
        EpimcError: Numba is told to compile nothing.
    """
    # Numba makes its settings at run time, of the environment.
    if vars(config).get("DISABLE_JIT"):
        raise error(
            "The simulator's kernels cannot be compiled: NUMBA_DISABLE_JIT is set.",
            hint="Unset it, or use the engine 'bytes'.",
        )
    make: Any = partial(numba.njit, nogil=True, error_model="numpy", boundscheck=False)
    try:
        kernel: Function = make(cache=True)(function)
        stamp(kernel)
    # No folder takes files.
    except RuntimeError:
        kernel = make()(function)
    return kernel


def stamp(kernel: Any) -> None:
    """Have the code of a kernel kept for as long as the modules that it may consist of.

    Numba looks at the module of the function alone, not at what that takes from others.
    """
    kernel._cache._cache_file._source_stamp = sources()


@cache
def sources(folder: Path = Path(__file__).parent) -> str:
    """A digest of the modules of a folder, of this one unless another is stated."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def inlined(function: Function) -> Function:
    """A part of compiled functions, which becomes machine code within each that calls it."""
    make: Any = numba.njit
    part: Function = make(nogil=True, error_model="numpy", boundscheck=False, inline="always")(
        function
    )
    return part
