"""What processes of one evaluation send each other: a header in JSON, and arrays.

Nothing is pickled; the arrays are an npz file.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from epimc.samples.samples import encode_samples

Array = NDArray[Any]

LENGTH_BYTES = 8


def send(stream: BinaryIO, header: Mapping[str, Any], arrays: Mapping[str, Array]) -> None:
    """Write one message.

    Raises:
        OSError: The other process has ended.
    """
    for part in (json.dumps(header).encode(), encode_samples(arrays) if arrays else b""):
        stream.write(len(part).to_bytes(LENGTH_BYTES, "little"))
        stream.write(part)
    stream.flush()


def receive(stream: BinaryIO) -> tuple[dict[str, Any], dict[str, Array]]:
    """Read one message.

    Raises:
        EOFError: There is none any more.
    """
    header = json.loads(read_part(stream))
    data = read_part(stream)
    if not data:
        return header, {}
    with np.load(io.BytesIO(data), allow_pickle=False) as file:
        return header, dict(file)


def read_part(stream: BinaryIO) -> bytes:
    """A part of a message, behind its length; EOFError where the stream ends."""
    length = int.from_bytes(read_exactly(stream, LENGTH_BYTES), "little")
    return read_exactly(stream, length)


def read_exactly(stream: BinaryIO, count: int) -> bytes:
    """So many bytes; EOFError where the stream ends."""
    data = stream.read(count)
    if len(data) != count:
        raise EOFError
    return data
