"""Arrays in files of NumPy, of which nothing is trusted: neither types nor sizes nor contents."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from epimc.support.diagnostics import EpimcError, error
from epimc.support.files import refused

# What numpy reads of the header of an array, whose length a file states.
LONGEST_HEADER = 10_000

NUMBERS = "biuf"
"""The kinds of types of numbers that inputs have."""


def read_npy(path: Path, limit_bytes: int) -> NDArray[Any]:
    """The array of numbers in an npy file.

    Raises:
        EpimcError: It cannot be read, holds something else, or is too large.
    """
    with failures_named(path), path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size > limit_bytes:
            raise error(f"File '{path}' has {size} bytes; the limit is {limit_bytes}.")
        refuse_wrong_size(file)
        array: NDArray[Any] = npy.read_array(file, allow_pickle=False)
        return array


def map_npy(path: Path) -> NDArray[Any]:
    """The array of numbers in an npy file, of which nothing is read before it is used.

    Raises:
        EpimcError: It cannot be read, or holds something else.
    """
    with failures_named(path):
        with path.open("rb") as file:
            refuse_wrong_size(file)
        array: NDArray[Any] = npy.open_memmap(path, mode="r")
        return array


def refuse_wrong_size(file: IO[bytes]) -> None:
    """Raise ValueError unless a file has an array of numbers and nothing else; it is rewound."""
    size = os.fstat(file.fileno()).st_size
    shape, kind = read_header(file)
    if kind.kind not in NUMBERS:
        raise ValueError(f"it holds no numbers, but {kind}")
    if math.prod(shape) * kind.itemsize != size - file.tell():
        raise ValueError("it has more or fewer bytes than its header says")
    file.seek(0)


@contextmanager
def failures_named(path: Path) -> Iterator[None]:
    """Make one error of whatever is raised about an npy file."""
    try:
        # A pipe would be waited for.
        if path.exists() and not path.is_file():
            raise error(f"'{path}' is not a file.")
        yield
    except (EpimcError, MemoryError):
        raise
    except OSError as problem:
        raise refused(f"File '{path}'", "read", problem) from None
    except Exception as problem:
        # numpy raises errors of a dozen types, down to those of Python's tokenizer.
        raise error(
            f"File '{path}' is no array of NumPy.",
            notes=[str(problem)],
            hint="Write it by numpy.save, without objects.",
        ) from None


def read_header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and type that the header of an array declares; ValueError if it is broken."""
    header = bounded_header(file)
    version = npy.read_magic(header)
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    try:
        shape, _, kind = read(header)
    # How Python says that a literal is nested too deeply.
    except (MemoryError, RecursionError):
        raise ValueError("the header of an array is nested too deeply") from None
    if any(isinstance(size, bool) or size < 0 for size in shape):
        raise ValueError(f"an array has the shape {shape}")
    return shape, kind


def bounded_header(file: IO[bytes]) -> IO[bytes]:
    """Magic, version, length and text of a header; ValueError where these are too long."""
    start = file.read(npy.MAGIC_LEN)
    # Behind the magic come both numbers of the version; the length has 2 bytes in the first.
    stated = file.read(2 if start[-2:-1] == b"\x01" else 4)
    length = int.from_bytes(stated, "little")
    if length > LONGEST_HEADER:
        raise ValueError(f"the header of an array has {length} bytes, more than {LONGEST_HEADER}")
    return io.BytesIO(start + stated + file.read(length))
