"""Samples for a model, and the npz files that hold them.

An npz file holds one array for each input of the model, under the input's name, samples first.
It may hold integer `labels` besides.  Nothing in a file is trusted: no pickles, and no
array is made before its declared size is known to be allowed.
"""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from epimc.backends.base import CompiledProgram
from epimc.support.diagnostics import EpimcError, did_you_mean, error
from epimc.support.files import sha256, sha256_of_file
from epimc.support.limits import DEFAULT_BYTES, MADE_FACTOR
from epimc.support.npy_files import read_header
from epimc.support.sample_types import (
    Array,
    Shaped,
    as_type,
    objects_of,
    refuse_in_files,
    refuse_type,
    samples_in_front,
)
from epimc.support.writing import write_file

Ints = NDArray[np.int64]

LABELS = "labels"

# Many more than a model has inputs.
MOST_ARRAYS = 10_000

# What numpy writes; of other ways to compress, Python inflates more than is asked for.
KNOWN_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)

# Numbers that were measured do not shrink so much: what does is made of nothing, and counts so.
PLAUSIBLE_RATIO = 64
FIRST_DATE = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, eq=False)
class Samples:
    """Samples for every input of a model.

    Attributes:
        inputs: [n, *shape] by the input's name, in its own type (`sample_types.py`).
        labels: int64 [n], or None.
        sha256: Of the file that they come from; empty if they come from none.
        origin: What a report says of them: the SHA-256, or how they were made.
    """

    inputs: dict[str, Array]
    labels: Ints | None
    sha256: str
    origin: str

    @property
    def count(self) -> int:
        """How many samples there are: n, at least 1; one of a model without inputs."""
        return next((len(array) for array in self.inputs.values()), 1)

    def first(self, count: int) -> Samples:
        """The first `count` samples, or all if there are fewer."""
        inputs = {name: array[:count] for name, array in self.inputs.items()}
        labels = None if self.labels is None else self.labels[:count]
        return Samples(inputs, labels, self.sha256, self.origin)


# --- writing ------------------------------------------------------------------------------------


def write_samples(path: Path, arrays: Mapping[str, Array]) -> None:
    """Write an npz file; equal arrays give equal bytes.

    Raises:
        EpimcError: The system refuses.
    """
    write_file(path, encode_samples(arrays))


def encode_samples(arrays: Mapping[str, Array]) -> bytes:
    """The bytes of an npz file that holds the arrays, sorted by name, not compressed."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in sorted(arrays):
            content = io.BytesIO()
            npy.write_array(content, np.asanyarray(arrays[name]), allow_pickle=False)
            entry = zipfile.ZipInfo(f"{name}.npy", FIRST_DATE)
            entry.create_system = 3  # Otherwise the bytes would tell the system.
            archive.writestr(entry, content.getvalue())
    return buffer.getvalue()


def inputs_of(program: CompiledProgram) -> list[Shaped]:
    """The inputs of a program; what the host takes itself may hold NaN and infinity."""
    hosted = {name for call in program.host_calls for name in call.inputs}
    return [Shaped.of(port, finite=port.name not in hosted) for port in program.inputs]


def texts_in(inputs: Sequence[Shaped]) -> set[str]:
    """The names of the inputs that take texts, which the files of bundles may hold."""
    return {port.name for port in inputs if port.element == "string"}


# --- reading ------------------------------------------------------------------------------------


def read_samples(
    path: Path, inputs: Sequence[Shaped], *, limit_bytes: int = DEFAULT_BYTES
) -> Samples:
    """Read the samples of an npz file.

    Args:
        path: The file.
        inputs: The inputs of the model.
        limit_bytes: Of all arrays together, uncompressed.

    Raises:
        EpimcError: The file is broken or too large, an array is missing, unknown, or has the
            wrong shape, type or values.
    """
    refuse_in_files("a file of samples", inputs)
    arrays = read_arrays(path, limit_bytes)
    with reports_broken_files(path):
        digest = sha256_of_file(path)
    return checked_samples(arrays, inputs, f"sample file '{path}'", digest)


def samples_in(
    data: bytes, path: Path, inputs: Sequence[Shaped], *, limit_bytes: int = DEFAULT_BYTES
) -> Samples:
    """The samples in the bytes of an npz file; `path` names it, the rest as `read_samples`."""
    with reports_broken_files(path):
        arrays = arrays_in(io.BytesIO(data), path, limit_bytes, texts_in(inputs))
    for port in inputs:
        if not port.is_tensor and port.name in arrays:
            arrays[port.name] = decoded_samples(arrays[port.name], port.name, path)
    return checked_samples(arrays, inputs, f"sample file '{path}'", sha256(data))


def coded(samples: Array) -> Array:
    """Samples that are no tensors as bytes, for the files of bundles."""
    # It needs ONNX, which other samples do without.
    from epimc.backends.onnx.values import encode

    return np.frombuffer(encode(list(samples)), np.uint8)


def decoded_samples(array: Array, name: str, path: Path) -> Array:
    """The inverse of `coded`.

    Raises:
        EpimcError: The bytes are no such samples.
    """
    from epimc.backends.onnx.values import decode

    what = f"The samples of '{name}' in sample file '{path}'"
    if array.dtype != np.uint8 or array.ndim != 1:
        raise error(f"{what} are no bytes.")
    samples = decode(array.tobytes(), what)
    return objects_of(samples)


def checked_samples(
    arrays: Mapping[str, Array], inputs: Sequence[Shaped], source: str, digest: str
) -> Samples:
    """Samples of arrays that may be anything.

    Args:
        arrays: By name.
        inputs: The inputs of the model.
        source: What messages call that which holds the arrays, such as `sample file 'x.npz'`.
        digest: A SHA-256 of the arrays.

    Raises:
        EpimcError: An array is missing, unknown, or has the wrong shape, type or values.
    """
    check_names(source, arrays, inputs)
    names = [port.name for port in inputs]
    checked = {port.name: checked_input(source, arrays[port.name], port) for port in inputs}
    counts = {name: len(array) for name, array in checked.items()}
    if len(set(counts.values())) > 1:
        raise error(
            f"The arrays of {source} have different numbers of samples.",
            notes=[f"'{name}' has {count}." for name, count in counts.items()],
            hint="Save as many of each.",
        )
    labels = None
    if LABELS in arrays and LABELS not in names:
        labels = checked_labels(source, arrays[LABELS], max(counts.values(), default=1))
    return Samples(checked, labels, digest, digest)


def read_arrays(path: Path, limit_bytes: int) -> dict[str, Array]:
    """Every array of an npz file by name."""
    if not path.is_file():
        state = "is not a file" if path.exists() else "does not exist"
        raise error(f"Sample file '{path}' {state}.")
    with reports_broken_files(path):
        return arrays_in(path, path, limit_bytes)


def arrays_in(
    file: Path | IO[bytes], path: Path, limit_bytes: int, texts: Container[str] = ()
) -> dict[str, Array]:
    """Every array of an npz file by name.

    Args:
        file: It, or its bytes.
        path: Names it.
        limit_bytes: Of all arrays together.
        texts: Names of arrays that may hold texts.
    """
    if not zipfile.is_zipfile(file):
        raise error(
            f"Sample file '{path}' is not an npz file.",
            hint="Save the samples by numpy.savez, under the names of the model's inputs.",
        )
    with zipfile.ZipFile(file) as archive:
        check_sizes(path, archive, limit_bytes, texts)
        entries = archive.infolist()
        return {array_name(entry.filename): load(archive, entry) for entry in entries}


@contextmanager
def reports_broken_files(path: Path) -> Iterator[None]:
    """Turn whatever the libraries raise about a broken file into an EpimcError."""
    try:
        yield
    except (EpimcError, MemoryError):
        raise
    except OSError as caught:
        raise error(f"Sample file '{path}' cannot be read: {caught.strerror or caught}.") from None
    except Exception as caught:
        # zipfile and numpy raise errors of a dozen types, down to those of Python's tokenizer.
        raise error(f"Sample file '{path}' is broken.", notes=[str(caught)]) from None


def array_name(filename: str) -> str:
    """The name of the array that an entry of an npz file holds."""
    return filename.removesuffix(".npy")


def check_sizes(
    path: Path, archive: zipfile.ZipFile, limit_bytes: int, texts: Container[str] = ()
) -> None:
    """Raise EpimcError if an entry is no array of numbers, or if they are too large together."""
    entries = archive.infolist()
    if len(entries) > MOST_ARRAYS:
        raise error(f"Sample file '{path}' holds {len(entries)} arrays, more than {MOST_ARRAYS}.")
    total = 0
    names: set[str] = set()
    for entry in entries:
        name = array_name(entry.filename)
        if entry.compress_type not in KNOWN_COMPRESSIONS:
            raise error(
                f"Array '{name}' of sample file '{path}' is compressed in an unknown way.",
                hint="Save the samples by numpy.savez or numpy.savez_compressed.",
            )
        if name == entry.filename:
            raise error(f"Sample file '{path}' holds '{name}', which is no array.")
        if name in names:
            raise error(f"Sample file '{path}' holds two arrays '{name}'.")
        names.add(name)
        with archive.open(entry) as file:
            shape, kind = read_header(file)
        if kind.hasobject:
            raise error(f"Array '{name}' of sample file '{path}' holds Python objects.")
        if kind.kind not in ("biufcU" if name in texts else "biufc"):
            raise error(f"Array '{name}' of sample file '{path}' holds no numbers.")
        total += math.prod(shape) * kind.itemsize
    if total > limit_bytes:
        raise error(
            f"Sample file '{path}' holds arrays of {total} bytes; the limit is {limit_bytes}.",
            hint="Save fewer samples.",
        )
    packed = sum(entry.compress_size for entry in entries)
    if total > PLAUSIBLE_RATIO * packed and total * MADE_FACTOR > limit_bytes:
        raise error(
            f"Sample file '{path}' inflates from {packed} to {total} bytes, which count "
            f"{MADE_FACTOR} times; the limit is {limit_bytes}.",
            hint="Save the samples without compression (numpy.savez), or raise the limit.",
        )


def load(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Array:
    """The array of an entry, whose checksum must be right."""
    with archive.open(entry) as file:
        array: Array = npy.read_array(file, allow_pickle=False)
        # The checksum is compared where the entry ends.
        if file.read(1):
            raise ValueError(f"array '{array_name(entry.filename)}' has too many bytes")
    return array


def check_names(source: str, arrays: Mapping[str, Array], inputs: Sequence[Shaped]) -> None:
    """Raise EpimcError unless there is an array for each input, and besides only labels."""
    names = [port.name for port in inputs]
    names_in = ", ".join(f"'{name}'" for name in sorted(arrays)) or "nothing"
    spare = sorted(set(arrays) - {*names, LABELS})
    for name in names:
        if name not in arrays:
            raise error(
                f"{source[:1].upper()}{source[1:]} has no array for the input '{name}'.",
                notes=[f"It holds {names_in}."],
                hint=(
                    f"Rename the array '{spare[0]}' to '{name}'."
                    if len(spare) == 1
                    else f"Save the samples under the name '{name}'."
                ),
            )
    if spare:
        raise error(
            f"Array '{spare[0]}' of {source} is no input of the model.",
            hint=did_you_mean(spare[0], [*names, LABELS]),
        )


def checked_input(source: str, array: Array, port: Shaped) -> Array:
    """The array of an input in its own type, if its type, shape and values are right."""
    subject = f"Array '{port.name}' of {source}"
    if port.is_tensor:
        refuse_type(subject, array, port)
    in_front = samples_in_front(subject, array, port)
    return as_type(subject, in_front, port)


def checked_labels(source: str, array: Array, count: int) -> Ints:
    """The labels as int64, if their type and shape are right."""
    subject = f"Array '{LABELS}' of {source}"
    if array.dtype.kind not in "iu":
        raise error(
            f"{subject} has the type {array.dtype.name}, not int64.",
            hint="Convert it by astype('int64').",
        )
    if array.shape != (count,):
        raise error(
            f"{subject} has a wrong shape.",
            notes=[f"Expected ({count},), found {array.shape}."],
            hint="Save the number of the class of each sample.",
        )
    return array.astype(np.int64)
