"""Safetensors files, as the library writes them, without the copies that it makes of all arrays."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from epimc.support.files import Piece

# The library's order of element types: it writes the last ones first.
TYPES = ("BOOL", "U8", "I8", "I16", "U16", "F16", "I32", "U32", "F32", "F64", "I64", "U64")


def array_pieces(arrays: Mapping[str, NDArray[Any]]) -> Iterator[Piece]:
    """The file of arrays of booleans, integers and floats: what stands before, then one by one."""
    order = sorted(arrays, key=lambda name: (-TYPES.index(type_of(arrays[name])), name))
    stated, end = {}, 0
    for name in order:
        array, start = arrays[name], end
        end += array.nbytes
        shape = [*array.shape]
        stated[name] = {"dtype": type_of(array), "shape": shape, "data_offsets": [start, end]}
    head = json.dumps(stated, separators=(",", ":"), ensure_ascii=False).encode()
    # The arrays begin at a multiple of eight.
    head += b" " * (-len(head) % 8)
    yield len(head).to_bytes(8, "little") + head
    for name in order:
        yield bytes_of(arrays[name])


def type_of(array: NDArray[Any]) -> str:
    """The library's name of an element type."""
    kind = array.dtype.kind
    return "BOOL" if kind == "b" else f"{kind.upper()}{8 * array.dtype.itemsize}"


def bytes_of(array: NDArray[Any]) -> memoryview:
    """The bytes of an array, the lowest of each number first; no copy where they lie so."""
    data = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    return data.reshape(-1).view(np.uint8).data
